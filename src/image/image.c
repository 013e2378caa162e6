/* Pictures in memory, and the way from a file's bytes to the network's input. */
#include "image/internal.h"

#include <math.h>
#include <string.h>

/* ---- Pictures ---------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL base_status image_check_size(const char *name, uint64_t width, uint64_t height) {
    if (width < 1 || height < 1)
        return base_fail("%s: the picture is %llu x %llu pixels: nothing to see", name, (unsigned long long)width,
                         (unsigned long long)height);
    if (width > IMAGE_MAX_PIXELS || height > IMAGE_MAX_PIXELS || width * height > IMAGE_MAX_PIXELS)
        return base_fail(
            "%s: the picture is %llu x %llu pixels; more than %d in all are taken for a decompression bomb", name,
            (unsigned long long)width, (unsigned long long)height, IMAGE_MAX_PIXELS);
    return BASE_OK;
}

DEIT_INTERNAL base_status image_reserve(image_u8 *image, int width, int height) {
    BASE_TRY(image_check_size("memory for pixels", width < 0 ? 0 : (uint64_t)width, height < 0 ? 0 : (uint64_t)height));
    image->data = image_grown(image->data, &image->capacity, (size_t)width * (size_t)height * 3 + IMAGE_SLACK);
    if (!image->data) return BASE_ERROR;
    image->width = width, image->height = height;
    return BASE_OK;
}

DEIT_INTERNAL void image_free(image_u8 *image) {
    base_free(image->data);
    memset(image, 0, sizeof *image);
}

/* ---- Decoding ---------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL bool image_is_jpeg(const void *bytes, size_t size) {
    return size >= 3 && !memcmp(bytes, "\xff\xd8\xff", 3);
}
DEIT_INTERNAL bool image_is_png(const void *bytes, size_t size) {
    return size >= 8 && !memcmp(bytes, "\x89PNG\r\n\x1a\n", 8);
}

DEIT_INTERNAL base_status image_unknown(const void *bytes, size_t size, const char *name) {
    static const struct {
        const char *magic, *format;
    } known[] = {{"GIF8", "a GIF"}, {"BM", "a BMP"},     {"RIFF", "a WebP or another RIFF file"}, {"II*", "a TIFF"},
                 {"MM", "a TIFF"},  {"<", "a web page"}, {"\x1f\x8b", "compressed by gzip"},      {"PK", "a zip"}};
    if (!size) return base_fail("%s: the file is empty; expected a JPEG or PNG picture", name);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (size >= strlen(known[i].magic) && !memcmp(bytes, known[i].magic, strlen(known[i].magic)))
            return base_fail("%s: neither JPEG nor PNG, but %s; convert it first", name, known[i].format);
    return base_fail("%s: not a picture: neither JPEG nor PNG begins like its %zu bytes", name, size);
}

typedef struct {
    image_sink sink;
    image_u8 *out;
    const char *name;
    int y;
} image_whole; /* a sink that keeps the whole picture */

static base_status image_whole_begin(image_sink *sink, int width, int height, image_region *region) {
    (void)region;
    return image_reserve(((image_whole *)sink)->out, width, height);
}
static uint8_t *image_whole_row(image_sink *sink, int i) {
    image_whole *whole = (image_whole *)sink;
    int y = whole->y + i < whole->out->height ? whole->y + i : whole->out->height - 1;
    return whole->out->data + (size_t)y * (size_t)whole->out->width * 3;
}
static void image_whole_rows(image_sink *sink, int n) {
    ((image_whole *)sink)->y += n;
}

DEIT_INTERNAL base_status image_decode(image_u8 *out, const void *bytes, size_t size, const char *name) {
    if (image_is_png(bytes, size)) return image_decode_png(out, bytes, size, name);
    if (!image_is_jpeg(bytes, size)) return image_unknown(bytes, size, name);
    image_whole whole = {{image_whole_begin, image_whole_row, image_whole_rows}, out, name, 0};
    return image_decode_jpeg(&whole.sink, bytes, size, name);
}

/* ---- Evaluation -------------------------------------------------------------------------------------------------- */

struct image_worker {
    image_sink sink; /* first: the decoder is given this */
    const image_transform *transform;
    const image_kernels *kernels;
    image_resampler resampler;
    image_u8 whole, crop;
};

/* The size after resizing the shorter side, by torchvision's rounding, and the crop's offsets, by Python's. */
static void image_eval_size(const image_transform *t, int width, int height, int size[2], int offset[2]) {
    if (t->crop > 0) {
        int side = (int)(t->size / t->crop);
        int w = width, h = height;
        width = w <= h ? side : (int)((double)side * w / h);
        height = w <= h ? (int)((double)side * h / w) : side;
    }
    size[0] = width, size[1] = height;
    offset[0] = (int)rint((width - t->size) / 2.0), offset[1] = (int)rint((height - t->size) / 2.0);
}

static base_status image_eval_begin(image_sink *sink, int width, int height, image_region *region) {
    image_worker *w = (image_worker *)sink;
    const image_transform *t = w->transform;
    int size[2], offset[2];
    image_eval_size(t, width, height, size, offset);
    BASE_TRY(image_reserve(&w->crop, t->size, t->size));
    BASE_TRY(image_resampler_begin(&w->resampler, width, height, size[0], size[1], offset[0], offset[1], t->size,
                                   t->size, t->filter));
    *region = w->resampler.region;
    return BASE_OK;
}
static uint8_t *image_eval_row(image_sink *sink, int i) {
    return image_resampler_row(&((image_worker *)sink)->resampler, i);
}
static void image_eval_rows(image_sink *sink, int n) {
    image_worker *w = (image_worker *)sink;
    image_resampler_take(&w->resampler, w->kernels, n);
}

DEIT_INTERNAL base_status image_worker_new(image_worker **worker) {
    image_worker *w = *worker = base_calloc(1, sizeof *w);
    if (!w) return BASE_ERROR;
    w->sink = (image_sink){image_eval_begin, image_eval_row, image_eval_rows};
    w->kernels = image_kernels_best();
    return BASE_OK;
}

DEIT_INTERNAL void image_worker_free(image_worker *worker) {
    if (!worker) return;
    image_resampler_free(&worker->resampler);
    image_free(&worker->whole);
    image_free(&worker->crop);
    base_free(worker);
}

static base_status image_eval_check(const image_transform *t, const char *name, int width, int height) {
    if (t->size < 1 || t->size > 1 << 14 || !(t->crop >= 0 && t->crop <= 1) ||
        (t->crop > 0 && t->size / t->crop > 1 << 16))
        return base_fail("a crop of %d pixels that takes %g of the resized picture is out of range", t->size, t->crop);
    if (t->crop == 0 && (width != t->size || height != t->size))
        return base_fail("%s: the picture is %d x %d pixels; at this input size it is not resized and must be %d x %d",
                         name, width, height, t->size, t->size);
    return BASE_OK;
}

static base_status image_eval_crop_pixels(image_worker *w, const image_transform *t, const uint8_t *rgb, int width,
                                          int height, const char *name) {
    image_region region = {0, 0, width, height};
    w->transform = t;
    BASE_TRY(image_eval_check(t, name, width, height));
    BASE_TRY(image_eval_begin(&w->sink, width, height, &region));
    size_t bytes = 3 * (size_t)width, left = 3 * (size_t)region.left, right = 3 * (size_t)region.right;
    for (int y = region.top; y < region.bottom; y++) {
        memcpy(image_eval_row(&w->sink, 0) + left, rgb + (size_t)y * bytes + left, right - left);
        image_eval_rows(&w->sink, 1);
    }
    image_resampler_finish(&w->resampler, w->kernels, w->crop.data);
    return BASE_OK;
}

DEIT_INTERNAL base_status image_eval_crop(image_worker *worker, const image_transform *transform, const void *bytes,
                                          size_t size, const char *name, const image_u8 **crop) {
    image_worker *w = worker;
    *crop = &w->crop;
    if (image_is_jpeg(bytes, size) && transform->crop > 0) { /* straight into the horizontal pass */
        w->transform = transform;
        BASE_TRY(image_eval_check(transform, name, 0, 0));
        BASE_TRY(image_decode_jpeg(&w->sink, bytes, size, name));
        image_resampler_finish(&w->resampler, w->kernels, w->crop.data);
        return BASE_OK;
    }
    BASE_TRY(image_decode(&w->whole, bytes, size, name));
    return image_eval_crop_pixels(w, transform, w->whole.data, w->whole.width, w->whole.height, name);
}

DEIT_INTERNAL base_status image_eval(image_worker *worker, const image_transform *transform, const void *bytes,
                                     size_t size, const char *name, float *out) {
    const image_u8 *crop;
    BASE_TRY(image_eval_crop(worker, transform, bytes, size, name, &crop));
    image_normalise(crop, transform->mean, transform->std, out);
    return BASE_OK;
}

DEIT_INTERNAL base_status image_eval_pixels(image_worker *worker, const image_transform *transform, const uint8_t *rgb,
                                            int width, int height, const char *name, float *out) {
    BASE_TRY(image_check_size(name, width < 0 ? 0 : (uint64_t)width, height < 0 ? 0 : (uint64_t)height));
    BASE_TRY(image_eval_crop_pixels(worker, transform, rgb, width, height, name));
    image_normalise(&worker->crop, transform->mean, transform->std, out);
    return BASE_OK;
}

DEIT_INTERNAL void image_normalise(const image_u8 *image, const float mean[3], const float std[3], float *out) {
    size_t pixels = (size_t)image->width * (size_t)image->height;
    for (int c = 0; c < 3; c++) {
        float value[256]; /* the same three roundings as ToTensor and Normalize */
        for (int v = 0; v < 256; v++) value[v] = ((float)v / 255.0f - mean[c]) / std[c];
        for (size_t i = 0; i < pixels; i++) out[(size_t)c * pixels + i] = value[image->data[3 * i + (size_t)c]];
    }
}
