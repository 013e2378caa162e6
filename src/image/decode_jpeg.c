/* JPEG through libjpeg-turbo, set as Pillow sets it: accurate integer DCT, fancy upsampling, no scaling. */
#include "image/internal.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

enum { DECODE_JPEG_MAX_SCANS = 500 }; /* a small file of very many progressive scans would take hours */

typedef struct {
    struct jpeg_decompress_struct jpeg; /* first: libjpeg's callbacks are given this */
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    const char *name;
    image_sink *sink;
    image_region region;
    uint8_t *cmyk;      /* IMAGE_SINK_ROWS rows of 4 bytes a pixel, from libjpeg's own pool */
    bool ended;         /* the bytes ran out, and an end marker was made up */
    base_status status; /* of the sink */
    char what[JMSG_LENGTH_MAX];
} decode_jpeg;

static void decode_jpeg_error(j_common_ptr jpeg) {
    decode_jpeg *d = (decode_jpeg *)jpeg;
    jpeg->err->format_message(jpeg, d->what);
    longjmp(d->jump, 1);
}

static void decode_jpeg_stop(decode_jpeg *d, const char *what) {
    snprintf(d->what, sizeof d->what, "%s", what);
    longjmp(d->jump, 1);
}

static void decode_jpeg_cut(decode_jpeg *d) {
    decode_jpeg_stop(d, "the data stops in the middle");
}

/* Damage within the data is passed over, as Pillow does. But what libjpeg misses once the bytes have run out is missing
 * from the file; what it has too much, before the end marker, is not. */
static void decode_jpeg_message(j_common_ptr jpeg, int level) {
    decode_jpeg *d = (decode_jpeg *)jpeg;
    if (level < 0 && d->ended && jpeg->err->msg_code != JWRN_EXTRANEOUS_DATA) decode_jpeg_cut(d);
}
static void decode_jpeg_print(j_common_ptr jpeg) {
    (void)jpeg;
}

static void decode_jpeg_nothing(j_decompress_ptr jpeg) {
    (void)jpeg;
}

/* An arithmetic decoder goes on with zeros and says nothing. */
static boolean decode_jpeg_fill(j_decompress_ptr jpeg) {
    static const JOCTET end[2] = {0xff, JPEG_EOI};
    if (jpeg->arith_code) decode_jpeg_cut((decode_jpeg *)jpeg);
    ((decode_jpeg *)jpeg)->ended = true;
    jpeg->src->next_input_byte = end;
    jpeg->src->bytes_in_buffer = sizeof end;
    return TRUE;
}

static void decode_jpeg_skip(j_decompress_ptr jpeg, long bytes) {
    if (bytes <= 0) return;
    if ((size_t)bytes > jpeg->src->bytes_in_buffer) decode_jpeg_cut((decode_jpeg *)jpeg);
    jpeg->src->next_input_byte += bytes;
    jpeg->src->bytes_in_buffer -= (size_t)bytes;
}

static void decode_jpeg_progress(j_common_ptr jpeg) {
    decode_jpeg *d = (decode_jpeg *)jpeg;
    if (d->jpeg.input_scan_number > DECODE_JPEG_MAX_SCANS) decode_jpeg_stop(d, "it has too many scans");
}

/* Whether every coefficient has all its bits: progressive scans may be missing. */
static bool decode_jpeg_fine(const decode_jpeg *d) {
    for (int c = 0; c < d->jpeg.num_components && d->jpeg.coef_bits; c++)
        for (int k = 0; k < DCTSIZE2; k++)
            if (d->jpeg.coef_bits[c][k]) return false;
    return true;
}

/* With several scans, a file without end marker may lack the last: it is whole only if every component had its scan,
 * and every coefficient its bits. */
static bool decode_jpeg_whole(const decode_jpeg *d) {
    if (!d->ended || !jpeg_has_multiple_scans((j_decompress_ptr)&d->jpeg)) return true;
    for (int c = 0; c < d->jpeg.num_components; c++)
        if (!d->jpeg.comp_info[c].quant_table) return false; /* it is noted where a scan of the component begins */
    return decode_jpeg_fine(d);
}

/* Pillow takes every CMYK file for inverted, as Adobe writes them. in: [width, 4], out: [width, 3] */
static void decode_jpeg_cmyk(uint8_t *out, const uint8_t *in, int width) {
    for (int x = 0; x < width; x++, in += 4, out += 3)
        for (int c = 0; c < 3; c++) {
            int t = (255 - in[c]) * in[3] + 128, v = in[3] - (((t >> 8) + t) >> 8);
            out[c] = (uint8_t)(v < 0 ? 0 : v);
        }
}

static void decode_jpeg_header(decode_jpeg *d) {
    j_decompress_ptr jpeg = &d->jpeg;
    jpeg_read_header(jpeg, TRUE);
    int width = (int)jpeg->image_width, height = (int)jpeg->image_height, n = jpeg->num_components;
    d->status = image_check_size(d->name, jpeg->image_width, jpeg->image_height);
    if (!d->status && n != 1 && n != 3 && n != 4)
        d->status = base_fail("%s: a JPEG of %d components; expected 1, 3 or 4", d->name, n);
    d->region = (image_region){0, 0, width, height};
    if (!d->status) d->status = d->sink->begin(d->sink, width, height, &d->region);
    if (d->status) longjmp(d->jump, 1);
    jpeg->out_color_space = n == 4 ? JCS_CMYK : JCS_RGB;
    jpeg->dct_method = JDCT_ISLOW;
    if (n == 4) d->cmyk = jpeg->mem->alloc_large((j_common_ptr)jpeg, JPOOL_IMAGE, IMAGE_SINK_ROWS * 4 * (size_t)width);
}

/* Leaves out what the sink does not need: columns are then neither transformed nor converted. Upsampling takes the
 * edges of what is left for the picture's own, which shows in the outermost pixels: hence the margin. Where bits are
 * missing libjpeg smooths over blocks, and everything is taken. Returns the first column that comes out. */
static int decode_jpeg_crop(decode_jpeg *d) {
    enum { margin = 2 };
    int width = (int)d->jpeg.output_width;
    int left = d->region.left > margin ? d->region.left - margin : 0;
    int right = d->region.right < width - margin ? d->region.right + margin : width;
    JDIMENSION x = (JDIMENSION)left, columns = (JDIMENSION)(right - left);
    if ((!left && right == width) || !decode_jpeg_fine(d)) return 0;
    jpeg_crop_scanline(&d->jpeg, &x, &columns);
    return (int)x;
}

static void decode_jpeg_rows(decode_jpeg *d) {
    j_decompress_ptr jpeg = &d->jpeg;
    int left = decode_jpeg_crop(d), width = (int)jpeg->output_width;
    if (d->region.top) jpeg_skip_scanlines(jpeg, (JDIMENSION)d->region.top);
    while ((int)jpeg->output_scanline < d->region.bottom) {
        uint8_t *out[IMAGE_SINK_ROWS], *rows[IMAGE_SINK_ROWS];
        for (int i = 0; i < IMAGE_SINK_ROWS; i++) {
            out[i] = d->sink->row(d->sink, i) + 3 * (size_t)left;
            rows[i] = d->cmyk ? d->cmyk + (size_t)i * 4 * (size_t)width : out[i];
        }
        int n = (int)jpeg_read_scanlines(jpeg, rows, IMAGE_SINK_ROWS);
        for (int i = 0; d->cmyk && i < n; i++) decode_jpeg_cmyk(out[i], rows[i], width);
        d->sink->rows(d->sink, n);
    }
    /* The rest is read too, up to the last row: it must be there. */
    JDIMENSION left_over = jpeg->output_height - jpeg->output_scanline;
    uint8_t *last = d->cmyk ? d->cmyk : d->sink->row(d->sink, 0) + 3 * (size_t)left;
    if (left_over > 1) jpeg_skip_scanlines(jpeg, left_over - 1);
    if (left_over) jpeg_read_scanlines(jpeg, &last, 1);
}

/* All of libjpeg runs in here, and its longjmp ends here. */
static base_status decode_jpeg_run(decode_jpeg *d, const void *bytes, size_t size) {
    j_decompress_ptr jpeg = &d->jpeg;
    jpeg->err = jpeg_std_error(&d->errors);
    d->errors.error_exit = decode_jpeg_error;
    d->errors.emit_message = decode_jpeg_message;
    d->errors.output_message = decode_jpeg_print;
    if (setjmp(d->jump)) {
        jpeg_destroy_decompress(jpeg);
        return d->status ? d->status : BASE_ERROR;
    }
    jpeg_create_decompress(jpeg);
    d->source = (struct jpeg_source_mgr){bytes,
                                         size,
                                         decode_jpeg_nothing,
                                         decode_jpeg_fill,
                                         decode_jpeg_skip,
                                         jpeg_resync_to_restart,
                                         decode_jpeg_nothing};
    jpeg->src = &d->source;
    d->progress.progress_monitor = decode_jpeg_progress;
    jpeg->progress = &d->progress;
    decode_jpeg_header(d);
    jpeg_start_decompress(jpeg);
    if (!decode_jpeg_whole(d)) decode_jpeg_cut(d);
    decode_jpeg_rows(d); /* what comes behind the last row plays no role */
    jpeg_destroy_decompress(jpeg);
    return BASE_OK;
}

DEIT_INTERNAL base_status image_decode_jpeg(image_sink *sink, const void *bytes, size_t size, const char *name) {
    decode_jpeg d;
    memset(&d, 0, sizeof d);
    d.name = name, d.sink = sink;
    base_status status = decode_jpeg_run(&d, bytes, size);
    if (status && !d.status) return base_fail("%s: broken JPEG of %zu bytes: %s", name, size, d.what);
    return status;
}
