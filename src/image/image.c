/* Pictures in memory: made from a file's bytes, made into the network's input. */
#include "image/internal.h"

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
    image_whole whole = {{image_whole_begin, image_whole_row, image_whole_rows}, out, 0};
    return image_decode_jpeg(&whole.sink, bytes, size, name);
}

/* ---- Normalising ------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL void image_normalise(const image_u8 *image, const float mean[3], const float std[3], float *out) {
    size_t pixels = (size_t)image->width * (size_t)image->height;
    for (int c = 0; c < 3; c++) {
        float value[256]; /* the same three roundings as ToTensor and Normalize */
        for (int v = 0; v < 256; v++) value[v] = ((float)v / 255.0f - mean[c]) / std[c];
        for (size_t i = 0; i < pixels; i++) out[(size_t)c * pixels + i] = value[image->data[3 * i + (size_t)c]];
    }
}
