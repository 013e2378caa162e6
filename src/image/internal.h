/* What the files of image share. */
#ifndef DEIT_IMAGE_INTERNAL_H
#define DEIT_IMAGE_INTERNAL_H

#include "image/image.h"

/* ---- Decoding row by row ----------------------------------------------------------------------------------------- */

enum { IMAGE_SINK_ROWS = 4, IMAGE_SLACK = 64 };

/* Who wants a picture's rows. begin learns the size and narrows `region` to what is needed (all of it at first). Then,
 * again and again, row(i) says where the i-th of the next rows goes (3 * width bytes), i < IMAGE_SINK_ROWS, and
 * rows(n) that n of them are there. Only rows from region.top to
 * region.bottom are given. Columns outside region may hold anything. */
typedef struct {
    int left, top, right, bottom; /* right and bottom exclusive */
} image_region;
typedef struct image_sink image_sink;
struct image_sink {
    base_status (*begin)(image_sink *sink, int width, int height, image_region *region);
    uint8_t *(*row)(image_sink *sink, int i);
    void (*rows)(image_sink *sink, int n);
};

DEIT_INTERNAL base_status image_check_size(const char *name, uint64_t width, uint64_t height);
DEIT_INTERNAL bool image_is_jpeg(const void *bytes, size_t size);
DEIT_INTERNAL bool image_is_png(const void *bytes, size_t size);
DEIT_INTERNAL base_status image_unknown(const void *bytes, size_t size, const char *name);
DEIT_INTERNAL base_status image_decode_jpeg(image_sink *sink, const void *bytes, size_t size, const char *name);
DEIT_INTERNAL base_status image_decode_png(image_u8 *out, const void *bytes, size_t size, const char *name);

/* ---- Resampling -------------------------------------------------------------------------------------------------- */

/* One axis: output i is the sum of k[i * stride + j] * input[first[i] + j], j < stride, over 2^22. stride is a multiple
 * of 4; unused coefficients are 0. */
typedef struct {
    int count, stride, taps; /* taps: the most that are not 0 */
    int *first;
    int32_t *k;
    /* k = low + 4096 * high, as 16-bit numbers, so that pmaddwd multiplies them exactly. Horizontal, for each output
     * and each 4 taps: [l0 l1] x 4, [l2 l3] x 4, [h0 h1] x 4, [h2 h3] x 4. Vertical, for each output and each 2 taps:
     * [l0 l1], [h0 h1]. */
    int16_t *pairs;
    size_t capacity[3]; /* of first, k, pairs, in bytes */
} image_axis;

/* A resize of a part of a picture, of which only a box of the result is computed: rows go in from `region.top` on, the
 * box comes out. */
typedef struct {
    image_axis across, down;
    image_region region; /* of the whole picture: what the box depends on */
    int left;            /* where the part begins in a row */
    int width, height;   /* of the box */
    int part_width;
    bool down_first; /* the vertical pass comes before the horizontal one */
    int done;        /* rows taken so far */
    /* [region.bottom - region.top, stride]: after the horizontal pass; or, where it is not the first, the part's rows,
     * and one row more, after the vertical pass */
    uint8_t *rows;
    size_t stride, rows_capacity;
    uint8_t *row; /* [IMAGE_SINK_ROWS, row_stride]: where rows go in */
    size_t row_stride, row_capacity;
} image_resampler;

/* The kernels for this processor; all give the same bytes. across: a row of [.., 3] in, a->count pixels out (up to 16
 * bytes past them are overwritten). down: `bytes` columns, rounded up to 32, of up to a->stride rows at `rows`. */
typedef struct {
    const char *name;
    void (*across)(uint8_t *out, const uint8_t *in, const image_axis *a);
    void (*down)(uint8_t *out, const uint8_t *rows, size_t stride, size_t bytes, const image_axis *a, int i);
} image_kernels;
/* The i-th kernels that run here, from the plainest to the fastest; NULL past the last. */
DEIT_INTERNAL const image_kernels *image_kernels_at(int i);
DEIT_INTERNAL const image_kernels *image_kernels_best(void);

/* Prepares resizing the part `from` of a picture of rows of in_width pixels to width x height, of which the box
 * (left, top, box_width, box_height) is wanted. */
DEIT_INTERNAL base_status image_resampler_begin(image_resampler *r, int in_width, const image_region *from, int width,
                                                int height, int left, int top, int box_width, int box_height,
                                                image_filter filter);
/* Where the i-th of the next rows is to be written, i < IMAGE_SINK_ROWS. */
DEIT_INTERNAL uint8_t *image_resampler_row(image_resampler *r, int i);
/* Takes n rows written there. */
DEIT_INTERNAL void image_resampler_take(image_resampler *r, const image_kernels *kernels, int n);
/* Once all rows of the region were taken: out: [height, width, 3], with IMAGE_SLACK bytes behind. */
DEIT_INTERNAL void image_resampler_finish(image_resampler *r, const image_kernels *kernels, uint8_t *out);
DEIT_INTERNAL void image_resampler_free(image_resampler *r);

/* ---- The worker -------------------------------------------------------------------------------------------------- */

struct image_worker {
    image_sink sink; /* first: the decoder is given this */
    const image_kernels *kernels;
    image_resampler resampler;
    image_u8 whole;  /* as decoded, where that is needed */
    image_u8 result; /* what the caller sees */
    image_u8 spare;  /* an operator's other picture */
    /* What the sink is to do with the picture now being decoded: one of the two. */
    const image_transform *transform;
    image_choose choose;
    void *user;
};

/* affine.c: output (x, y) shows the input at (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]), pixel centres at .5, or
 * `fill` where that lies outside. padded: the input with two more pixels on every side, which repeat its edge. */
DEIT_INTERNAL void image_affine(image_u8 *out, const image_u8 *padded, const double m[6], image_filter filter,
                                const uint8_t fill[3]);
/* The same by plain C, for tests. */
DEIT_INTERNAL void image_affine_plain(image_u8 *out, const image_u8 *padded, const double m[6], image_filter filter,
                                      const uint8_t fill[3]);
DEIT_INTERNAL void image_rotation(double m[6], double degrees, int width, int height);
/* blur.c: Pillow's GaussianBlur, in place; ImageFilter.SMOOTH. */
DEIT_INTERNAL base_status image_blur(image_u8 *image, double radius);
DEIT_INTERNAL void image_smooth(image_u8 *out, const image_u8 *in);

/* The buffer (base_malloc'd), or a larger one in its place, of at least `bytes`; what it held is lost. NULL: memory
 * ended, and the buffer is gone. */
DEIT_INTERNAL void *image_grown(void *buffer, size_t *capacity, size_t bytes);

#endif
