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

/* Pillow's Image.resize: antialiased, fixed-point coefficients, rounded to bytes after each of the two passes, in the
 * order of version 13; bicubic with a = -0.5. out must be another picture than in. */
DEIT_INTERNAL base_status image_resize(image_u8 *out, const image_u8 *in, int width, int height, image_filter filter);

/* ---- What evaluation shows the network --------------------------------------------------------------------------- */

/* What becomes of a picture that is not size x size where pictures are not resized (crop 0): an error; black around it,
 * or its edges cut off, evenly; resized to size x size, whatever its shape. */
typedef enum { IMAGE_FIT_NONE, IMAGE_FIT_PAD, IMAGE_FIT_RESIZE } image_fit;

/* Resize the shorter side to int(size / crop), centre crop to size x size, then (pixel / 255 - mean) / std in f32, as
 * torchvision does. crop 0: neither resize nor crop, the picture must be size x size (the authors' way with inputs of
 * 32 pixels and less), or is made so by `fit`. */
typedef struct {
    int size;
    double crop; /* 0 < crop <= 1, or 0 */
    image_filter filter;
    float mean[3], std[3];
    image_fit fit;
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
/* out: [3, height, width] = (pixel / 255 - mean) / std */
DEIT_INTERNAL void image_normalise(const image_u8 *image, const float mean[3], const float std[3], float *out);

/* ---- What training shows the network ----------------------------------------------------------------------------- */

/* A picture to be read: a file's bytes, or, where width is not 0, pixels [height, width, 3]. */
typedef struct {
    const void *bytes;
    size_t size;
    int width, height;
    const char *name; /* for messages */
} image_source;

/* A part of a picture, and what it is resized to. */
typedef struct {
    int left, top, width, height;
    int to_width, to_height;
    image_filter filter;
} image_box;
/* Chooses a part of a width x height picture, of at least one pixel and inside of it. */
typedef void (*image_choose)(void *user, int width, int height, image_box *box);

/* The part that `choose` picks, cut out and then resized, as torchvision's resized_crop does: pixels outside the part
 * play no role, and are mostly not even decoded. *out belongs to the worker, may be changed in place, and lives until
 * the worker's next picture. */
DEIT_INTERNAL base_status image_crop(image_worker *worker, const image_source *source, image_choose choose, void *user,
                                     image_u8 **out);
/* What image_eval normalises: size x size pixels; as image_crop's. */
DEIT_INTERNAL base_status image_eval_source(image_worker *worker, const image_transform *transform,
                                            const image_source *source, image_u8 **out);
/* out: the width x height window of `in` whose corner is at (left, top), which may lie outside: black there, or, if
 * `mirrored`, reflected at the outermost pixels (numpy's "reflect"). out must be another picture than in. */
DEIT_INTERNAL base_status image_window(image_u8 *out, const image_u8 *in, int left, int top, int width, int height,
                                       bool mirrored);

/* Pillow's operators, as timm's augmentation calls them; byte for byte the same. */
typedef enum {
    IMAGE_AUTO_CONTRAST,
    IMAGE_EQUALIZE,
    IMAGE_INVERT,
    IMAGE_POSTERIZE,    /* bits to keep; none: black, as Pillow gave before it refused; 8 or more: all */
    IMAGE_SOLARIZE,     /* inverts from this value on, 0 .. 256 */
    IMAGE_SOLARIZE_ADD, /* what is added to values below 128 */
    IMAGE_COLOR,        /* 0 grey, 1 as it is, above: more */
    IMAGE_CONTRAST,
    IMAGE_BRIGHTNESS,
    IMAGE_SHARPNESS,
    IMAGE_ROTATE,      /* degrees counter-clockwise */
    IMAGE_SHEAR_X,     /* pixels a row */
    IMAGE_SHEAR_Y,     /* pixels a column */
    IMAGE_TRANSLATE_X, /* pixels to the left */
    IMAGE_TRANSLATE_Y, /* pixels upwards */
    IMAGE_GREY,        /* convert("L"), made RGB again */
    IMAGE_BLUR,        /* Pillow's GaussianBlur: three box blurs; the radius */
    IMAGE_FLIP_X,      /* left and right */
    IMAGE_FLIP_Y,
    IMAGE_OPS
} image_op;
typedef struct {
    image_op op;
    double argument;     /* what the comments above say; of others it plays no role */
    image_filter filter; /* from IMAGE_ROTATE to IMAGE_TRANSLATE_Y: Pillow's affine sampling, bicubic with a = -1 */
    uint8_t fill[3];     /* of the same: the colour of what comes from outside */
} image_change;
/* Changes the picture in place (its memory may become another). */
DEIT_INTERNAL base_status image_apply(image_worker *worker, image_u8 *image, const image_change *change);

#endif
