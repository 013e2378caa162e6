/* image: pictures from bytes to the network's input, byte for byte as Pillow and torchvision make them. */
#ifndef DEIT_IMAGE_H
#define DEIT_IMAGE_H

#include "base/base.h"

/* ---- Pictures ---------------------------------------------------------------------------------------------------- */

/* An RGB picture, 8 bits a channel: data[(y * width + x) * 3 + channel], rows without gaps. Zero-initialise to begin;
 * what fills one keeps its memory and grows it only when needed, so that one picture serves many files. */
typedef struct {
    uint8_t *data;
    int width, height;
    size_t capacity; /* bytes at data; 64 more than the pixels take, for wide stores */
} image_u8;
/* Makes room; the pixels are undefined. Refuses more than IMAGE_MAX_PIXELS. */
DEIT_INTERNAL base_status image_reserve(image_u8 *image, int width, int height);
DEIT_INTERNAL void image_free(image_u8 *image);

/* Where Pillow sees a decompression bomb and stops, too. */
enum { IMAGE_MAX_PIXELS = 178956970 };

/* Decodes JPEG or PNG, by content, not by name, to what Pillow's Image.open(...).convert("RGB") gives: grey is
 * repeated, CMYK and YCCK are converted as Adobe writes them, alpha is dropped, palettes are looked up, 16 bits are cut
 * as Pillow does; EXIF rotation, gamma and profiles play no part. A missing end marker is forgiven where all the
 * image's data is there; data that stops in the middle is an error, as are zero bytes and other formats. name: for
 * messages. Any thread. */
DEIT_INTERNAL base_status image_decode(image_u8 *out, const void *bytes, size_t size, const char *name);

/* ---- Resizing ---------------------------------------------------------------------------------------------------- */

typedef enum { IMAGE_BILINEAR, IMAGE_BICUBIC } image_filter;

/* Pillow's Image.resize: antialiased, fixed-point coefficients, rounded to bytes after the horizontal and the vertical
 * pass; bicubic with a = -0.5. out must be another picture than in. */
DEIT_INTERNAL base_status image_resize(image_u8 *out, const image_u8 *in, int width, int height, image_filter filter);

/* ---- What evaluation shows the network --------------------------------------------------------------------------- */

/* Resize the shorter side to int(size / crop), centre crop to size x size, then (pixel / 255 - mean) / std in f32, as
 * torchvision does. crop 0: neither resize nor crop, the picture must be size x size (the authors' way with inputs of
 * 32 pixels and less). */
typedef struct {
    int size;
    double crop; /* 0 < crop <= 1, or 0 */
    image_filter filter;
    float mean[3], std[3];
} image_transform;

/* Buffers that one thread reuses from picture to picture. */
typedef struct image_worker image_worker;
DEIT_INTERNAL base_status image_worker_new(image_worker **worker);
DEIT_INTERNAL void image_worker_free(image_worker *worker); /* NULL allowed */

/* The file's bytes -> out: [3, size, size]. A worker serves one thread at a time. */
DEIT_INTERNAL base_status image_eval(image_worker *worker, const image_transform *transform, const void *bytes,
                                     size_t size, const char *name, float *out);
/* The same of pixels: rgb [height, width, 3]. */
DEIT_INTERNAL base_status image_eval_pixels(image_worker *worker, const image_transform *transform, const uint8_t *rgb,
                                            int width, int height, const char *name, float *out);
/* The same up to the crop, before normalising: a size x size picture, which belongs to the worker and lives until its
 * next call. */
DEIT_INTERNAL base_status image_eval_crop(image_worker *worker, const image_transform *transform, const void *bytes,
                                          size_t size, const char *name, const image_u8 **crop);
/* out: [3, height, width] = (pixel / 255 - mean) / std */
DEIT_INTERNAL void image_normalise(const image_u8 *image, const float mean[3], const float std[3], float *out);

#endif
