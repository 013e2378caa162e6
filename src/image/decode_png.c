/* PNG through libpng, to the RGB that Pillow's convert("RGB") makes of it. */
#include "image/internal.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

typedef struct {
    const uint8_t *next;
    size_t left;
    const uint8_t *cut;    /* the chunk that the data stop in; NULL: in none */
    const uint8_t *behind; /* how far the data were read when the last row was complete; NULL: it is not */
    bool ended;            /* the image or the data, before anything else went wrong */
    png_infop info;
    image_u8 *out;
    png_bytep *rows; /* [height]; from base_malloc */
    const char *name;
    base_status status; /* of our own checks */
    char what[128];
} decode_png;

static const char decode_png_middle[] = "the data stops in the middle";

static void decode_png_error(png_structp png, png_const_charp what) {
    decode_png *d = png_get_error_ptr(png);
    snprintf(d->what, sizeof d->what, "%s", what);
    png_longjmp(png, 1);
}
static void decode_png_warning(png_structp png, png_const_charp what) {
    (void)png, (void)what;
}

/* The chunk whose data stop in the middle, of those that Pillow looks at: up to the end, to what is no chunk, or to an
 * animation's second frame. */
static const uint8_t *decode_png_cut(const uint8_t *bytes, size_t size) {
    bool image = false;
    for (size_t at = 8; at < size && size - at >= 8;) {
        const uint8_t *chunk = bytes + at, *name = chunk + 4;
        for (int i = 0; i < 4; i++)
            if (!isalnum(name[i]) && name[i] != '_') return NULL;
        if (!memcmp(name, "IEND", 4) || (image && !memcmp(name, "fcTL", 4))) return NULL;
        image |= !memcmp(name, "IDAT", 4);
        size_t length = png_get_uint_32(chunk);
        if (length > size - at - 8) return chunk;
        at += 8 + length + 4;
    }
    return NULL;
}

/* Behind the last row libpng reads on, up to the end of the compressed data and the check sums. */
static bool decode_png_complete(png_structp png, png_infop info) {
    if (png_get_interlace_type(png, info) == PNG_INTERLACE_NONE)
        return png_get_current_row_number(png) == png_get_image_height(png, info);
    return png_get_current_pass_number(png) == PNG_INTERLACE_ADAM7_PASSES;
}

static void decode_png_read(png_structp png, png_bytep out, size_t size) {
    decode_png *d = png_get_io_ptr(png);
    if (!d->behind && d->rows && decode_png_complete(png, d->info)) d->behind = d->next;
    if (size > d->left) {
        d->ended = true;
        png_error(png, decode_png_middle);
    }
    memcpy(out, d->next, size);
    if (d->next == d->cut) png_save_uint_32(out, (png_uint_32)(d->left - 8)); /* as much of it as there is */
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

static void decode_png_rows(decode_png *d, png_structp png, png_infop info) {
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
    png_read_image(png, d->rows); /* what follows the image is not looked at */
}

/* Rows as libpng left them -> RGB. */
static void decode_png_colours(const decode_png *d, png_structp png, png_infop info) {
    uint32_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
    bool grey16 = png_get_bit_depth(png, info) == 16 && png_get_color_type(png, info) == PNG_COLOR_TYPE_GRAY;
    for (uint32_t y = 0; y < height; y++)
        if (png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE)
            decode_png_palette(png, info, d->rows[y], (int)width);
        else if (grey16)
            decode_png_grey16(d->rows[y], (int)width);
}

/* All of libpng runs in here, and its longjmp ends here. As in Pillow, the data may stop where the last row is
 * complete, in the chunk that made it so or between chunks: no check sum is missed, nor the compressed data's end. */
static base_status decode_png_run(decode_png *d) {
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, decode_png_error, decode_png_warning);
    d->info = png ? png_create_info_struct(png) : NULL;
    if (!d->info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return d->status = base_fail("%s: no memory for libpng", d->name);
    }
    if (!setjmp(png_jmpbuf(png))) {
        png_set_read_fn(png, d, decode_png_read);
        png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
        decode_png_rows(d, png, d->info);
        d->ended = true;
    }
    bool taken = d->ended && d->behind && (!d->cut || d->cut < d->behind);
    if (taken) decode_png_colours(d, png, d->info);
    png_destroy_read_struct(&png, &d->info, NULL);
    return taken ? BASE_OK : BASE_ERROR;
}

DEIT_INTERNAL base_status image_decode_png(image_u8 *out, const void *bytes, size_t size, const char *name) {
    decode_png d = {.next = bytes, .left = size, .cut = decode_png_cut(bytes, size), .out = out, .name = name};
    memcpy(d.what, decode_png_middle, sizeof decode_png_middle);
    base_status status = decode_png_run(&d);
    base_free(d.rows);
    if (status && !d.status) return base_fail("%s: broken PNG of %zu bytes: %s", name, size, d.what);
    return status ? d.status : BASE_OK;
}
