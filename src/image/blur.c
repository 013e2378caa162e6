/* Blurring as Pillow does: a Gaussian by three box blurs whose radius may have a fraction, in integers of 24 bits after
 * the point; and the filter SMOOTH. */
#include "image/internal.h"

#include <math.h>
#include <string.h>

enum { BLUR_PASSES = 3 };

/* The box's radius that gives a standard deviation; Gwosdek et al., "Theoretical foundations of Gaussian convolution by
 * extended box filtering", 2011. In single precision where Pillow is. */
BASE_EXACT static float blur_box(float radius) {
    BASE_EXACT_BODY
    float sigma2 = radius * radius / BLUR_PASSES;
    float length = (float)sqrt(12.0 * (double)sigma2 + 1.0);
    float whole = (float)floor(((double)length - 1.0) / 2.0);
    float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * sigma2);
    part /= 6 * (sigma2 - (whole + 1) * (whole + 1));
    return whole + part;
}

/* One pass along lines of n pixels, `step` bytes apart, for `lanes` bytes side by side: in and out may not be the same.
 * sum: [lanes]. Pixels before the first and after the last are taken for these. */
static void blur_pass(uint8_t *out, const uint8_t *in, int n, size_t step, size_t lanes, float radius, uint32_t *sum) {
    int r = (int)radius;
    uint32_t whole = (uint32_t)((float)(1 << 24) / (radius * 2 + 1));
    uint32_t far = ((1u << 24) - (uint32_t)(r * 2 + 1) * whole) / 2;
#define BLUR_AT(i) (in + (size_t)((i) < 0 ? 0 : (i) >= n ? n - 1 : (i)) * step)
    for (size_t k = 0; k < lanes; k++) sum[k] = 0;
    for (int i = -r; i <= r; i++) { /* of the pixel 0 */
        const uint8_t *p = BLUR_AT(i);
        for (size_t k = 0; k < lanes; k++) sum[k] += p[k];
    }
    for (int i = 0; i < n; i++) {
        const uint8_t *before = BLUR_AT(i - r - 1), *after = BLUR_AT(i + r + 1), *first = BLUR_AT(i - r);
        uint8_t *to = out + (size_t)i * step;
        for (size_t k = 0; k < lanes; k++) {
            uint32_t value = sum[k] * whole + (uint32_t)(before[k] + after[k]) * far;
            to[k] = (uint8_t)((value + (1 << 23)) >> 24);
            sum[k] += (uint32_t)after[k] - first[k];
        }
    }
#undef BLUR_AT
}

DEIT_INTERNAL base_status image_blur(image_u8 *image, double radius) {
    float box = blur_box((float)radius);
    size_t stride = 3 * (size_t)image->width, bytes = stride * (size_t)image->height;
    uint32_t *sum = base_malloc(stride * sizeof *sum);
    uint8_t *other = base_malloc(bytes), *from = image->data, *to = other;
    if (sum && other && box > 0) {
        for (int pass = 0; pass < 2 * BLUR_PASSES; pass++) { /* an even number: ends where it began */
            bool across = pass < BLUR_PASSES;
            if (across)
                for (int y = 0; y < image->height; y++)
                    blur_pass(to + (size_t)y * stride, from + (size_t)y * stride, image->width, 3, 3, box, sum);
            else
                blur_pass(to, from, image->height, stride, stride, box, sum);
            uint8_t *swap = from;
            from = to, to = swap;
        }
    }
    base_status status = sum && other ? BASE_OK : BASE_ERROR;
    base_free(sum);
    base_free(other);
    return status;
}

/* Pillow's sums of thirteenths in single precision never come near a half, so integers give the same. The outermost
 * pixels stay. */
DEIT_INTERNAL void image_smooth(image_u8 *out, const image_u8 *in) {
    size_t stride = 3 * (size_t)in->width;
    memcpy(out->data, in->data, stride * (size_t)in->height);
    for (int y = 1; y + 1 < in->height; y++) {
        const uint8_t *p = in->data + (size_t)y * stride, *above = p - stride, *below = p + stride;
        uint8_t *to = out->data + (size_t)y * stride;
        for (size_t i = 3; i + 3 < stride; i++) {
            int sum = above[i - 3] + above[i] + above[i + 3] + p[i - 3] + 5 * p[i] + p[i + 3] + below[i - 3] +
                      below[i] + below[i + 3];
            to[i] = (uint8_t)((2 * sum + 13) / 26);
        }
    }
}
