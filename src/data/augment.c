/* What training does to one picture, in timm's order: crop, flip, policy, colour jitter, normalise, erase. Every choice
 * is a function of (seed, epoch, sample). */
#include "data/internal.h"

#include <math.h>
#include <string.h>

enum { AUGMENT_TRIES = 10, AUGMENT_PADDING = 4 };

DEIT_INTERNAL data_augment data_augment_official(void) {
    return (data_augment){.aa = "rand-m9-mstd0.5-inc1",
                          .color_jitter = 0.4,
                          .interpolation = DATA_BICUBIC,
                          .scale = {0.08, 1},
                          .ratio = {3. / 4, 4. / 3},
                          .hflip = 0.5,
                          .reprob = 0.25,
                          .remode = DATA_ERASE_PIXEL,
                          .recount = 1,
                          .mixup = 0.8,
                          .cutmix = 1,
                          .mixup_prob = 1,
                          .mixup_switch_prob = 0.5,
                          .mixup_mode = DATA_MIX_BATCH,
                          .smoothing = 0.1,
                          .repeated_aug = true};
}

/* ---- Checks ------------------------------------------------------------------------------------------------------ */

static base_status augment_range(const char *flag, double value, double least, double most) {
    if (value >= least && value <= most) return BASE_OK;
    return base_fail_as(BASE_USAGE, "%s: %g, expected %g to %g", flag, value, least, most);
}

DEIT_INTERNAL base_status data_augment_check(const data_augment *augment, int64_t batch) {
    const data_augment *a = augment;
    data_policy policy;
    BASE_TRY(data_policy_parse(&policy, a->aa));
    BASE_TRY(augment_range("--color-jitter", a->color_jitter, 0, 100));
    BASE_TRY(augment_range("--scale", a->scale[0], 1e-4, a->scale[1]));
    BASE_TRY(augment_range("--scale", a->scale[1], a->scale[0], 1));
    BASE_TRY(augment_range("--ratio", a->ratio[0], 1e-2, a->ratio[1]));
    BASE_TRY(augment_range("--ratio", a->ratio[1], a->ratio[0], 1e2));
    BASE_TRY(augment_range("--hflip", a->hflip, 0, 1));
    BASE_TRY(augment_range("--reprob", a->reprob, 0, 1));
    BASE_TRY(augment_range("--recount", a->recount, 1, 100));
    BASE_TRY(augment_range("--mixup", a->mixup, 0, 1000));
    BASE_TRY(augment_range("--cutmix", a->cutmix, 0, 1000));
    BASE_TRY(augment_range("--cutmix-minmax", a->cutmix_minmax[0], 0, a->cutmix_minmax[1]));
    BASE_TRY(augment_range("--cutmix-minmax", a->cutmix_minmax[1], 0, 1));
    BASE_TRY(augment_range("--mixup-prob", a->mixup_prob, 0, 1));
    BASE_TRY(augment_range("--mixup-switch-prob", a->mixup_switch_prob, 0, 1));
    BASE_TRY(augment_range("--smoothing", a->smoothing, 0, 1));
    if (a->src && !a->three_augment)
        return base_fail_as(BASE_USAGE, "--src: the simple random crop belongs to --ThreeAugment, which is not given");
    if (data_mixes(a) && batch % 2)
        return base_fail_as(BASE_USAGE,
                            "--batch-size: %lld, but Mixup and CutMix pair the pictures of a batch: give an even "
                            "number, or --mixup 0 --cutmix 0",
                            (long long)batch);
    return BASE_OK;
}

DEIT_INTERNAL base_status data_augmenter_make(data_augmenter *augmenter, const data_augment *options,
                                              const image_transform *transform) {
    *augmenter = (data_augmenter){.options = *options, .transform = *transform};
    augmenter->look.size = transform->size, augmenter->look.interpolation = options->interpolation;
    for (int c = 0; c < 3; c++) augmenter->look.fill[c] = (uint8_t)fmin(255, rint(255 * (double)transform->mean[c]));
    augmenter->options.aa = NULL; /* borrowed until here */
    return data_policy_parse(&augmenter->policy, options->three_augment ? "3a" : options->aa);
}

/* ---- Drawing ----------------------------------------------------------------------------------------------------- */

static double augment_uniform(base_random *random, double low, double high) {
    return low + (high - low) * base_random_uniform(random);
}
/* 0 .. most */
static int augment_whole(base_random *random, int most) {
    return (int)base_random_below(random, (uint64_t)most + 1);
}

DEIT_INTERNAL image_filter data_draw_filter(data_interpolation interpolation, base_random *random) {
    if (interpolation == DATA_RANDOM) return base_random_below(random, 2) ? IMAGE_BICUBIC : IMAGE_BILINEAR;
    return interpolation == DATA_BICUBIC ? IMAGE_BICUBIC : IMAGE_BILINEAR;
}

static int augment_side(double v) {
    return v < 1 ? 1 : (int)rint(v);
}

/* Where ten tries fail: the centre, as wide or as high as the aspects allow. */
static void augment_central(const data_augment *options, int width, int height, image_box *box) {
    double aspect = (double)width / height;
    box->width = width, box->height = height;
    if (aspect < options->ratio[0])
        box->height = augment_side(width / options->ratio[0]);
    else if (aspect > options->ratio[1])
        box->width = augment_side(height * options->ratio[1]);
    box->left = (width - box->width) / 2, box->top = (height - box->height) / 2;
}

DEIT_INTERNAL void data_draw_crop(const data_augment *options, base_random *random, int width, int height,
                                  image_box *box) {
    double area = (double)width * height, low = log(options->ratio[0]), high = log(options->ratio[1]);
    for (int try = 0; try < AUGMENT_TRIES; try++) {
        double target = augment_uniform(random, options->scale[0], options->scale[1]) * area;
        double aspect = exp(augment_uniform(random, low, high));
        box->width = augment_side(sqrt(target * aspect)), box->height = augment_side(sqrt(target / aspect));
        if (box->width > width || box->height > height) continue;
        box->top = augment_whole(random, height - box->height);
        box->left = augment_whole(random, width - box->width);
        return;
    }
    augment_central(options, width, height, box);
}

/* ---- Erasing ----------------------------------------------------------------------------------------------------- */

static void augment_fill(data_erase_mode mode, base_random *random, float *image, int size, int left, int top,
                         int width, int height) {
    for (int c = 0; c < 3; c++) {
        float colour = mode == DATA_ERASE_RAND ? (float)base_random_normal(random) : 0;
        for (int y = top; y < top + height; y++) {
            float *row = image + ((size_t)c * size + y) * size + left;
            if (mode == DATA_ERASE_PIXEL)
                base_random_normals(random, row, (size_t)width);
            else
                for (int x = 0; x < width; x++) row[x] = colour;
        }
    }
}

DEIT_INTERNAL void data_erase(const data_augment *options, base_random *random, int size, float *image) {
    enum { least = 2, most = 3 }; /* area: 2 % to a third, aspect: 0.3 to its inverse */
    if (base_random_uniform(random) >= options->reprob) return;
    int count = 1 + augment_whole(random, options->recount - 1);
    for (int i = 0; i < count; i++)
        for (int try = 0; try < AUGMENT_TRIES; try++) {
            double target = augment_uniform(random, least / 100., 1. / most) * size * size / count;
            double aspect = exp(augment_uniform(random, log(0.3), -log(0.3)));
            int height = (int)rint(sqrt(target * aspect)), width = (int)rint(sqrt(target / aspect));
            if (width >= size || height >= size) continue;
            int top = augment_whole(random, size - height), left = augment_whole(random, size - width);
            augment_fill(options->remode, random, image, size, left, top, width, height);
            break;
        }
}

/* ---- One picture ------------------------------------------------------------------------------------------------- */

typedef struct {
    const data_augmenter *augmenter;
    base_random *random;
} augment_choice;

static void augment_choose(void *user, int width, int height, image_box *box) {
    const augment_choice *choice = user;
    const data_augmenter *g = choice->augmenter;
    data_draw_crop(&g->options, choice->random, width, height, box);
    box->to_width = box->to_height = g->transform.size;
    box->filter = data_draw_filter(g->options.interpolation, choice->random);
}

/* --src: all of it, its shorter side resized. */
static void augment_choose_all(void *user, int width, int height, image_box *box) {
    const augment_choice *choice = user;
    int size = choice->augmenter->transform.size;
    *box = (image_box){0, 0, width, height, size, size, IMAGE_BICUBIC};
    if (width < height) box->to_height = (int)((double)size * height / width);
    if (height < width) box->to_width = (int)((double)size * width / height);
}

/* Pads by four pixels and cuts at random. */
static base_status augment_shift(const image_u8 *in, image_u8 *out, int size, bool mirrored, base_random *random) {
    int y = augment_whole(random, in->height + 2 * AUGMENT_PADDING - size) - AUGMENT_PADDING;
    int x = augment_whole(random, in->width + 2 * AUGMENT_PADDING - size) - AUGMENT_PADDING;
    return image_window(out, in, x, y, size, size, mirrored);
}

static base_status augment_cut(const data_augmenter *g, image_worker *worker, image_u8 *spare,
                               const image_source *source, base_random *random, image_u8 **picture) {
    augment_choice choice = {g, random};
    const data_augment *a = &g->options;
    bool src = a->three_augment && a->src, small = g->transform.crop == 0 && !a->three_augment;
    if (!src && !small) return image_crop(worker, source, augment_choose, &choice, picture);
    if (src)
        BASE_TRY(image_crop(worker, source, augment_choose_all, &choice, picture));
    else
        BASE_TRY(image_eval_source(worker, &g->transform, source, picture));
    BASE_TRY(augment_shift(*picture, spare, g->transform.size, src, random));
    *picture = spare;
    return BASE_OK;
}

/* torchvision's ColorJitter without hue: brightness, contrast and saturation in random order. */
static base_status augment_jitter(double strength, image_worker *worker, image_u8 *picture, base_random *random) {
    image_op ops[3] = {IMAGE_BRIGHTNESS, IMAGE_CONTRAST, IMAGE_COLOR};
    for (int i = 0; i < 3; i++) {
        int j = i + augment_whole(random, 2 - i);
        image_change change = {.op = ops[j], .argument = augment_uniform(random, fmax(0, 1 - strength), 1 + strength)};
        ops[j] = ops[i];
        BASE_TRY(image_apply(worker, picture, &change));
    }
    return BASE_OK;
}

static base_status augment_change(const data_augmenter *g, image_worker *worker, image_u8 *picture,
                                  base_random *random) {
    image_change changes[DATA_POLICY_LAYERS];
    const data_augment *a = &g->options;
    if (base_random_uniform(random) < a->hflip)
        BASE_TRY(image_apply(worker, picture, &(image_change){.op = IMAGE_FLIP_X}));
    int n = data_policy_draw(&g->policy, &g->look, random, changes);
    for (int i = 0; i < n; i++) BASE_TRY(image_apply(worker, picture, &changes[i]));
    if (a->color_jitter > 0 && (!g->policy.choices || g->policy.three))
        BASE_TRY(augment_jitter(a->color_jitter, worker, picture, random));
    return BASE_OK;
}

DEIT_INTERNAL base_status data_augmenter_run(const data_augmenter *augmenter, image_worker *worker, image_u8 *spare,
                                             const image_source *source, uint64_t seed, int64_t epoch, int64_t sample,
                                             float *out) {
    const data_augmenter *g = augmenter;
    image_u8 *picture;
    base_random random = base_random_stream(seed, (uint64_t)epoch, (uint64_t)sample, DATA_RANDOM_PICTURE);
    if (g->options.no_aug) {
        BASE_TRY(image_eval_source(worker, &g->transform, source, &picture));
    } else {
        BASE_TRY(augment_cut(g, worker, spare, source, &random, &picture));
        BASE_TRY(augment_change(g, worker, picture, &random));
    }
    image_normalise(picture, g->transform.mean, g->transform.std, out);
    if (!g->options.no_aug && !g->options.three_augment && g->options.reprob > 0) {
        random = base_random_stream(seed, (uint64_t)epoch, (uint64_t)sample, DATA_RANDOM_ERASE);
        data_erase(&g->options, &random, g->transform.size, out);
    }
    return BASE_OK;
}
