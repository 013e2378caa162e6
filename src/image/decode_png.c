/* PNG through libpng, to the RGB that Pillow's convert("RGB") makes of it. */
#include "image/internal.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

typedef struct {
    const uint8_t *next;
    size_t left;
    image_u8 *out;
    png_bytep *rows; /* [height]; from base_malloc */
    const char *name;
    base_status status; /* of our own checks */
    char what[128];
} decode_png;

static void decode_png_error(png_structp png, png_const_charp what) {
    decode_png *d = png_get_error_ptr(png);
    snprintf(d->what, sizeof d->what, "%s", what);
    png_longjmp(png, 1);
}
static void decode_png_warning(png_structp png, png_const_charp what) {
    (void)png, (void)what;
}

static void decode_png_read(png_structp png, png_bytep out, size_t size) {
    decode_png *d = png_get_io_ptr(png);
    if (size > d->left) png_error(png, "the data stops in the middle");
    memcpy(out, d->next, size);
    d->next += size;
    d->left -= size;
}

/* Rows hold a palette index a byte; spreads them in place, from the end. Indices past the palette are black. */
static void decode_png_palette(png_structp png, png_infop info, uint8_t *row, int width) {
    png_colorp palette = NULL;
    int n = 0;
    png_get_PLTE(png, info, &palette, &n);
    for (int x = width - 1; x >= 0; x--) {
        png_color colour = row[x] < n ? palette[row[x]] : (png_color){0, 0, 0};
        memcpy(row + 3 * (size_t)x, (uint8_t[3]){colour.red, colour.green, colour.blue}, 3);
    }
}

/* Rows hold a grey of 16 bits, most significant first; in place, from the end. Pillow cuts off at 255, it does not
 * scale. */
static void decode_png_grey16(uint8_t *row, int width) {
    for (int x = width - 1; x >= 0; x--) {
        uint8_t v = row[2 * (size_t)x] ? 255 : row[2 * (size_t)x + 1];
        memset(row + 3 * (size_t)x, v, 3);
    }
}

static void decode_png_image(decode_png *d, png_structp png, png_infop info) {
    png_read_info(png, info);
    uint32_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
    int depth = png_get_bit_depth(png, info), type = png_get_color_type(png, info);
    if ((d->status = image_check_size(d->name, width, height))) png_error(png, "size");
    if ((d->status = image_reserve(d->out, (int)width, (int)height))) png_error(png, "memory");
    if (!(d->rows = base_malloc(height * sizeof *d->rows))) {
        d->status = BASE_ERROR;
        png_error(png, "memory");
    }
    for (uint32_t y = 0; y < height; y++) d->rows[y] = d->out->data + (size_t)y * width * 3;

    bool grey16 = depth == 16 && type == PNG_COLOR_TYPE_GRAY;
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_packing(png);
    else if (!(type & PNG_COLOR_MASK_COLOR) && depth < 8)
        png_set_expand_gray_1_2_4_to_8(png);
    if (depth == 16 && !grey16) png_set_strip_16(png);
    if (type & PNG_COLOR_MASK_ALPHA) png_set_strip_alpha(png);
    if (!(type & PNG_COLOR_MASK_COLOR) && !grey16) png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_rowbytes(png, info) > (size_t)width * 3) png_error(png, "rows are longer than expected");
    png_read_image(png, d->rows); /* what follows the last row is not looked at */

    for (uint32_t y = 0; y < height; y++)
        if (type == PNG_COLOR_TYPE_PALETTE)
            decode_png_palette(png, info, d->rows[y], (int)width);
        else if (grey16)
            decode_png_grey16(d->rows[y], (int)width);
}

/* All of libpng runs in here, and its longjmp ends here. */
static base_status decode_png_run(decode_png *d) {
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, decode_png_error, decode_png_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return d->status = base_fail("%s: no memory for libpng", d->name);
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        return BASE_ERROR;
    }
    png_set_read_fn(png, d, decode_png_read);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    decode_png_image(d, png, info);
    png_destroy_read_struct(&png, &info, NULL);
    return BASE_OK;
}

DEIT_INTERNAL base_status image_decode_png(image_u8 *out, const void *bytes, size_t size, const char *name) {
    decode_png d = {.next = bytes, .left = size, .out = out, .name = name};
    base_status status = decode_png_run(&d);
    base_free(d.rows);
    if (status && !d.status) return base_fail("%s: broken PNG of %zu bytes: %s", name, size, d.what);
    return status ? d.status : BASE_OK;
}
