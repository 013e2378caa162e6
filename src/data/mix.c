/* Mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019) as timm 0.3.2 mixes a batch: a picture's partner is the one
 * at its place from the batch's end. */
#include "data/internal.h"

#include <math.h>
#include <string.h>

DEIT_INTERNAL bool data_mixes(const data_augment *options) {
    return options->mixup > 0 || options->cutmix > 0 || options->cutmix_minmax[1] > 0;
}

/* ---- Drawing ----------------------------------------------------------------------------------------------------- */

/* log of a number of Gamma(alpha, 1); Marsaglia and Tsang, 2000, and for alpha under 1 their boost, whose logarithm
 * does not underflow. */
static double mix_log_gamma(base_random *random, double alpha) {
    double boost = alpha < 1 ? log(1 - base_random_uniform(random)) / alpha : 0;
    double d = (alpha < 1 ? alpha + 1 : alpha) - 1. / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = base_random_normal(random), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(1 - base_random_uniform(random)) < 0.5 * x * x + d - d * v + d * log(v)) return log(d * v) + boost;
    }
}

DEIT_INTERNAL double data_draw_beta(base_random *random, double alpha) {
    double a = mix_log_gamma(random, alpha), b = mix_log_gamma(random, alpha);
    return 1 / (1 + exp(b - a));
}

static int mix_clip(int v, int size) {
    return v < 0 ? 0 : v > size ? size : v;
}

/* A square of a share 1 - lambda of the area, cut at the edges. */
static void mix_box(data_mix *mix, base_random *random, int size, double lambda) {
    int half = (int)(size * sqrt(1 - lambda)) / 2;
    int y = (int)base_random_below(random, (uint64_t)size), x = (int)base_random_below(random, (uint64_t)size);
    mix->top = mix_clip(y - half, size), mix->bottom = mix_clip(y + half, size);
    mix->left = mix_clip(x - half, size), mix->right = mix_clip(x + half, size);
}

/* low .. high - 1, or low. */
static int mix_between(base_random *random, int low, int high) {
    return low + (high > low ? (int)base_random_below(random, (uint64_t)(high - low)) : 0);
}

/* A rectangle inside, each side drawn between two shares of the picture's; as in timm it never touches the far edges.
 */
static void mix_box_minmax(data_mix *mix, base_random *random, int size, const double minmax[2]) {
    int low = (int)(size * minmax[0]), high = (int)(size * minmax[1]);
    int height = mix_between(random, low, high), width = mix_between(random, low, high);
    mix->top = mix_between(random, 0, size - height), mix->bottom = mix->top + height;
    mix->left = mix_between(random, 0, size - width), mix->right = mix->left + width;
}

/* whole: as timm does for a batch, 1 - lambda is rounded once; for an element lambda is, before. */
static data_mix mix_one(const data_augment *o, base_random *random, int size, bool whole) {
    data_mix mix = {.keep = 1};
    bool minmax = o->cutmix_minmax[1] > 0, can_cut = minmax || o->cutmix > 0;
    if (base_random_uniform(random) >= o->mixup_prob) return mix;
    mix.cut = can_cut && (!(o->mixup > 0) || base_random_uniform(random) < o->mixup_switch_prob);
    double lambda = data_draw_beta(random, mix.cut ? (minmax ? 1 : o->cutmix) : o->mixup);
    if (mix.cut) {
        if (minmax)
            mix_box_minmax(&mix, random, size, o->cutmix_minmax);
        else
            mix_box(&mix, random, size, lambda);
        lambda = 1 - (double)(mix.bottom - mix.top) * (mix.right - mix.left) / ((double)size * size);
    }
    mix.keep = (float)lambda;
    mix.give = whole ? (float)(1 - lambda) : 1 - mix.keep;
    return mix;
}

DEIT_INTERNAL void data_mix_draw(const data_augment *options, base_random *random, int64_t n, int size, data_mix *mix) {
    data_mix_mode mode = options->mixup_mode;
    for (int64_t i = 0; i < n; i++) {
        if (mode == DATA_MIX_BATCH && i > 0)
            mix[i] = mix[0];
        else if (mode == DATA_MIX_PAIR && i >= n / 2)
            mix[i] = mix[n - 1 - i];
        else
            mix[i] = mix_one(options, random, size, mode == DATA_MIX_BATCH);
    }
}

/* ---- Mixing ------------------------------------------------------------------------------------------------------ */

/* to: n pixels of row y from column x on, which hold `own`. */
BASE_EXACT static void mix_pixels(float *to, const float *own, const float *other, int y, int x, int n,
                                  const data_mix *mix) {
    BASE_EXACT_BODY
    float keep = mix->keep, give = mix->give;
    if (mix->cut) {
        int from = mix->left > x ? mix->left - x : 0, end = mix->right < x + n ? mix->right - x : n;
        if (y >= mix->top && y < mix->bottom && from < end)
            memcpy(to + from, other + from, (size_t)(end - from) * sizeof *to);
    } else if (keep != 1) {
        for (int i = 0; i < n; i++) to[i] = own[i] * keep + other[i] * give;
    }
}

DEIT_INTERNAL void data_mix_images(float *a, float *b, int size, const data_mix *of_a, const data_mix *of_b) {
    enum { piece = 256 };
    float was_a[piece], was_b[piece];
    for (int row = 0; row < 3 * size; row++)
        for (int x = 0; x < size; x += piece) {
            int n = size - x < piece ? size - x : piece;
            float *to_a = a + (size_t)row * (size_t)size + x, *to_b = b + (size_t)row * (size_t)size + x;
            memcpy(was_a, to_a, (size_t)n * sizeof *a), memcpy(was_b, to_b, (size_t)n * sizeof *b);
            mix_pixels(to_a, was_a, was_b, row % size, x, n, of_a);
            mix_pixels(to_b, was_b, was_a, row % size, x, n, of_b);
        }
}

BASE_EXACT DEIT_INTERNAL void data_mix_target(float *target, int classes, double smoothing, int label, int partner,
                                              const data_mix *mix) {
    BASE_EXACT_BODY
    double off = smoothing / classes;
    float high = (float)(1 - smoothing + off), low = (float)off, keep = mix->keep, give = mix->give;
    for (int k = 0; k < classes; k++) {
        float own = k == label ? high : low, other = k == partner ? high : low;
        target[k] = own * keep + other * give;
    }
}
