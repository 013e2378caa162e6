/* From a picture's file or pixels to the square the network sees: evaluation's resize and centre crop, training's
 * random part. Of a JPEG, rows go from the decoder straight into the horizontal pass, and what does not show is left
 * out. */
#include "image/internal.h"

#include <limits.h>
#include <math.h>
#include <string.h>

enum { CROP_MAX = 16384 };

DEIT_INTERNAL base_status image_worker_new(image_worker **worker) {
    image_worker *w = *worker = base_calloc(1, sizeof *w);
    if (!w) return BASE_ERROR;
    w->kernels = image_kernels_best();
    return BASE_OK;
}

DEIT_INTERNAL void image_worker_free(image_worker *worker) {
    if (!worker) return;
    image_resampler_free(&worker->resampler);
    image_free(&worker->whole);
    image_free(&worker->result);
    image_free(&worker->spare);
    base_free(worker);
}

/* ---- Into the resampler ------------------------------------------------------------------------------------------ */

/* The size after resizing the shorter side, by torchvision's rounding, and the crop's offsets, by Python's. */
static base_status crop_eval_size(const image_transform *t, int width, int height, int size[2], int offset[2]) {
    int side = (int)(t->size / t->crop);
    double wide = width <= height ? side : (double)side * width / height,
           high = width <= height ? (double)side * height / width : side;
    if (wide > INT_MAX / 2 || high > INT_MAX / 2)
        return base_fail("a picture of %d x %d is too long for an input of %d", width, height, t->size);
    size[0] = (int)wide, size[1] = (int)high;
    offset[0] = (int)rint((size[0] - t->size) / 2.0), offset[1] = (int)rint((size[1] - t->size) / 2.0);
    return BASE_OK;
}

static base_status crop_begin_eval(image_worker *w, int width, int height) {
    const image_transform *t = w->transform;
    const image_region all = {0, 0, width, height};
    int size[2], offset[2];
    BASE_TRY(crop_eval_size(t, width, height, size, offset));
    BASE_TRY(image_reserve(&w->result, t->size, t->size));
    return image_resampler_begin(&w->resampler, width, &all, size[0], size[1], offset[0], offset[1], t->size, t->size,
                                 t->filter);
}

static base_status crop_begin_part(image_worker *w, int width, int height) {
    image_box box;
    w->choose(w->user, width, height, &box);
    const image_region part = {box.left, box.top, box.left + box.width, box.top + box.height};
    BASE_TRY(image_reserve(&w->result, box.to_width, box.to_height));
    return image_resampler_begin(&w->resampler, width, &part, box.to_width, box.to_height, 0, 0, box.to_width,
                                 box.to_height, box.filter);
}

static base_status crop_begin(image_sink *sink, int width, int height, image_region *region) {
    image_worker *w = (image_worker *)sink;
    BASE_TRY(w->transform ? crop_begin_eval(w, width, height) : crop_begin_part(w, width, height));
    *region = w->resampler.region;
    return BASE_OK;
}
static uint8_t *crop_row(image_sink *sink, int i) {
    return image_resampler_row(&((image_worker *)sink)->resampler, i);
}
static void crop_rows(image_sink *sink, int n) {
    image_worker *w = (image_worker *)sink;
    image_resampler_take(&w->resampler, w->kernels, n);
}

static base_status crop_pixels(image_worker *w, const uint8_t *rgb, int width, int height) {
    image_region region;
    BASE_TRY(crop_begin(&w->sink, width, height, &region));
    size_t bytes = 3 * (size_t)width, left = 3 * (size_t)region.left, right = 3 * (size_t)region.right;
    for (int y = region.top; y < region.bottom; y++) {
        memcpy(crop_row(&w->sink, 0) + left, rgb + (size_t)y * bytes + left, right - left);
        crop_rows(&w->sink, 1);
    }
    return BASE_OK;
}

/* The pixels of a source: its own, or decoded into the worker's picture. */
static base_status crop_whole(image_worker *w, const image_source *source, const uint8_t **rgb, int *width,
                              int *height) {
    *rgb = source->bytes, *width = source->width, *height = source->height;
    if (source->width)
        return image_check_size(source->name, source->width < 0 ? 0 : (uint64_t)source->width,
                                source->height < 0 ? 0 : (uint64_t)source->height);
    BASE_TRY(image_decode(&w->whole, source->bytes, source->size, source->name));
    *rgb = w->whole.data, *width = w->whole.width, *height = w->whole.height;
    return BASE_OK;
}

/* Runs what is set in the worker, transform or choose, on a source. */
static base_status crop_source(image_worker *w, const image_source *source) {
    w->sink = (image_sink){crop_begin, crop_row, crop_rows};
    if (!source->width && image_is_jpeg(source->bytes, source->size)) {
        BASE_TRY(image_decode_jpeg(&w->sink, source->bytes, source->size, source->name));
    } else {
        const uint8_t *rgb;
        int width, height;
        BASE_TRY(crop_whole(w, source, &rgb, &width, &height));
        BASE_TRY(crop_pixels(w, rgb, width, height));
    }
    image_resampler_finish(&w->resampler, w->kernels, w->result.data);
    return BASE_OK;
}

DEIT_INTERNAL base_status image_crop(image_worker *worker, const image_source *source, image_choose choose, void *user,
                                     image_u8 **out) {
    worker->transform = NULL, worker->choose = choose, worker->user = user;
    *out = &worker->result;
    return crop_source(worker, source);
}

/* ---- Windows and sizes that must fit ----------------------------------------------------------------------------- */

/* Where index i of 0 .. n - 1 is after reflections at the outermost; -1: outside, if not mirrored. */
static int crop_place(int i, int n, bool mirrored) {
    if (i >= 0 && i < n) return i;
    if (!mirrored) return -1;
    if (n == 1) return 0;
    int period = 2 * (n - 1), at = i % period;
    if (at < 0) at += period;
    return at < n ? at : period - at;
}

DEIT_INTERNAL base_status image_window(image_u8 *out, const image_u8 *in, int left, int top, int width, int height,
                                       bool mirrored) {
    BASE_TRY(image_reserve(out, width, height));
    for (int y = 0; y < height; y++) {
        uint8_t *row = out->data + (size_t)y * 3 * (size_t)width;
        int from = crop_place(top + y, in->height, mirrored);
        const uint8_t *source = in->data + (size_t)(from < 0 ? 0 : from) * 3 * (size_t)in->width;
        for (int x = 0; x < width; x++) {
            int at = from < 0 ? -1 : crop_place(left + x, in->width, mirrored);
            if (at < 0)
                memset(row + 3 * (size_t)x, 0, 3);
            else
                memcpy(row + 3 * (size_t)x, source + 3 * (size_t)at, 3);
        }
    }
    return BASE_OK;
}

/* torchvision's center_crop: what is missing is padded, the odd pixel at the end. */
static int crop_centre(int length, int size) {
    return length < size ? -((size - length) / 2) : (int)rint((length - size) / 2.0);
}

/* What is shown where pictures are not resized. */
static base_status crop_fit(image_worker *w, const image_transform *t, const image_source *source) {
    const uint8_t *rgb;
    int width, height;
    BASE_TRY(crop_whole(w, source, &rgb, &width, &height));
    bool fits = width == t->size && height == t->size;
    image_u8 view = {(uint8_t *)rgb, width, height, 0};
    if (!fits && t->fit == IMAGE_FIT_NONE)
        return base_fail("%s: the picture is %d x %d pixels; at this input size it is not resized and must be %d x %d "
                         "(--fit pad or --fit resize makes it so)",
                         source->name, width, height, t->size, t->size);
    if (!fits && t->fit == IMAGE_FIT_RESIZE) return image_resize(&w->result, &view, t->size, t->size, t->filter);
    return image_window(&w->result, &view, crop_centre(width, t->size), crop_centre(height, t->size), t->size, t->size,
                        false);
}

/* ---- Evaluation -------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL base_status image_eval_source(image_worker *worker, const image_transform *transform,
                                            const image_source *source, image_u8 **out) {
    const image_transform *t = transform;
    *out = &worker->result;
    if (t->size < 1 || t->size > CROP_MAX || t->crop < 0 || t->crop > 1 || isnan(t->crop) ||
        (t->crop > 0 && t->size / t->crop > 1 << 16))
        return base_fail("a crop of %d pixels that takes %g of the resized picture is out of range", t->size, t->crop);
    if (t->crop == 0) return crop_fit(worker, t, source);
    worker->transform = t;
    return crop_source(worker, source);
}

static base_status crop_eval(image_worker *w, const image_transform *t, const image_source *source, float *out) {
    image_u8 *result;
    BASE_TRY(image_eval_source(w, t, source, &result));
    image_normalise(result, t->mean, t->std, out);
    return BASE_OK;
}

DEIT_INTERNAL base_status image_eval(image_worker *worker, const image_transform *transform, const void *bytes,
                                     size_t size, const char *name, float *out) {
    return crop_eval(worker, transform, &(image_source){.bytes = bytes, .size = size, .name = name}, out);
}

DEIT_INTERNAL base_status image_eval_pixels(image_worker *worker, const image_transform *transform, const uint8_t *rgb,
                                            int width, int height, const char *name, float *out) {
    /* 0 x 0 would be taken for a file's bytes */
    BASE_TRY(image_check_size(name, width < 0 ? 0 : (uint64_t)width, height < 0 ? 0 : (uint64_t)height));
    image_source source = {.bytes = rgb, .width = width, .height = height, .name = name};
    return crop_eval(worker, transform, &source, out);
}
