/* AutoAugment, RandAugment and 3-Augment as timm defines them: which operators, how likely, how strong. Cubuk et al.,
 * 2018 and 2019; Touvron et al., 2022. */
#include "data/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- From a magnitude to an operator's argument ------------------------------------------------------------------ */

typedef enum {
    POLICY_NONE,
    POLICY_ROTATE,
    POLICY_SHEAR,
    POLICY_TRANSLATE,
    POLICY_POSTERIZE,
    POLICY_POSTERIZE_INC,
    POLICY_POSTERIZE_ORIGINAL,
    POLICY_SOLARIZE,
    POLICY_SOLARIZE_INC,
    POLICY_SOLARIZE_ADD,
    POLICY_ENHANCE,
    POLICY_ENHANCE_INC,
    POLICY_DESATURATE,
    POLICY_BLUR,
    POLICY_BLUR_RANDOM,
} policy_level;

static double policy_either(base_random *random, double v) {
    return base_random_uniform(random) > 0.5 ? -v : v;
}

/* magnitude: 0 .. 10, or more where --aa says mmax. */
static double policy_argument(policy_level level, double magnitude, int size, base_random *random) {
    double m = magnitude / 10;
    switch (level) {
    case POLICY_ROTATE: return policy_either(random, m * 30);
    case POLICY_SHEAR: return policy_either(random, m * 0.3);
    case POLICY_TRANSLATE: return policy_either(random, m * 0.45) * size;
    case POLICY_POSTERIZE: return (int)(m * 4);
    case POLICY_POSTERIZE_INC: return 4 - (int)(m * 4);
    case POLICY_POSTERIZE_ORIGINAL: return (int)(m * 4) + 4;
    case POLICY_SOLARIZE: return fmin(256, (int)(m * 256));
    case POLICY_SOLARIZE_INC: return 256 - fmin(256, (int)(m * 256));
    case POLICY_SOLARIZE_ADD: return fmin(128, (int)(m * 110));
    case POLICY_ENHANCE: return m * 1.8 + 0.1;
    case POLICY_ENHANCE_INC: return fmax(0.1, 1 + policy_either(random, m * 0.9));
    case POLICY_DESATURATE: return 1 - fmin(1, 0.5 + 0.5 * m);
    case POLICY_BLUR: return fmin(2, 0.1 + 1.9 * m);
    case POLICY_BLUR_RANDOM: return 0.1 + (2 * fmin(1, m) - 0.1) * base_random_uniform(random);
    case POLICY_NONE: break;
    }
    return 0;
}

/* ---- Operators and sets of them ---------------------------------------------------------------------------------- */

/* timm's operators; the first fifteen, then their increasing kinds, in the order of its lists. */
static const struct {
    image_op op;
    policy_level level;
} policy_ops[] = {
    [DATA_AUTO_CONTRAST] = {IMAGE_AUTO_CONTRAST, POLICY_NONE},
    [DATA_EQUALIZE] = {IMAGE_EQUALIZE, POLICY_NONE},
    [DATA_INVERT] = {IMAGE_INVERT, POLICY_NONE},
    [DATA_ROTATE] = {IMAGE_ROTATE, POLICY_ROTATE},
    [DATA_POSTERIZE] = {IMAGE_POSTERIZE, POLICY_POSTERIZE},
    [DATA_SOLARIZE] = {IMAGE_SOLARIZE, POLICY_SOLARIZE},
    [DATA_SOLARIZE_ADD] = {IMAGE_SOLARIZE_ADD, POLICY_SOLARIZE_ADD},
    [DATA_COLOR] = {IMAGE_COLOR, POLICY_ENHANCE},
    [DATA_CONTRAST] = {IMAGE_CONTRAST, POLICY_ENHANCE},
    [DATA_BRIGHTNESS] = {IMAGE_BRIGHTNESS, POLICY_ENHANCE},
    [DATA_SHARPNESS] = {IMAGE_SHARPNESS, POLICY_ENHANCE},
    [DATA_SHEAR_X] = {IMAGE_SHEAR_X, POLICY_SHEAR},
    [DATA_SHEAR_Y] = {IMAGE_SHEAR_Y, POLICY_SHEAR},
    [DATA_TRANSLATE_X] = {IMAGE_TRANSLATE_X, POLICY_TRANSLATE},
    [DATA_TRANSLATE_Y] = {IMAGE_TRANSLATE_Y, POLICY_TRANSLATE},
    [DATA_POSTERIZE_INC] = {IMAGE_POSTERIZE, POLICY_POSTERIZE_INC},
    [DATA_SOLARIZE_INC] = {IMAGE_SOLARIZE, POLICY_SOLARIZE_INC},
    [DATA_COLOR_INC] = {IMAGE_COLOR, POLICY_ENHANCE_INC},
    [DATA_CONTRAST_INC] = {IMAGE_CONTRAST, POLICY_ENHANCE_INC},
    [DATA_BRIGHTNESS_INC] = {IMAGE_BRIGHTNESS, POLICY_ENHANCE_INC},
    [DATA_SHARPNESS_INC] = {IMAGE_SHARPNESS, POLICY_ENHANCE_INC},
    [DATA_POSTERIZE_ORIGINAL] = {IMAGE_POSTERIZE, POLICY_POSTERIZE_ORIGINAL},
    [DATA_DESATURATE] = {IMAGE_COLOR, POLICY_DESATURATE},
    [DATA_BLUR] = {IMAGE_BLUR, POLICY_BLUR},
    [DATA_BLUR_RANDOM] = {IMAGE_BLUR, POLICY_BLUR_RANDOM},
};

enum { POLICY_RAND = 15 };
static const uint8_t policy_rand[2][POLICY_RAND] = {
    {DATA_AUTO_CONTRAST, DATA_EQUALIZE, DATA_INVERT, DATA_ROTATE, DATA_POSTERIZE, DATA_SOLARIZE, DATA_SOLARIZE_ADD,
     DATA_COLOR, DATA_CONTRAST, DATA_BRIGHTNESS, DATA_SHARPNESS, DATA_SHEAR_X, DATA_SHEAR_Y, DATA_TRANSLATE_X,
     DATA_TRANSLATE_Y},
    {DATA_AUTO_CONTRAST, DATA_EQUALIZE, DATA_INVERT, DATA_ROTATE, DATA_POSTERIZE_INC, DATA_SOLARIZE_INC,
     DATA_SOLARIZE_ADD, DATA_COLOR_INC, DATA_CONTRAST_INC, DATA_BRIGHTNESS_INC, DATA_SHARPNESS_INC, DATA_SHEAR_X,
     DATA_SHEAR_Y, DATA_TRANSLATE_X, DATA_TRANSLATE_Y}};
/* Of timm 0.3.2's w0, in the order of these lists. */
static const double policy_w0[POLICY_RAND] = {0.025, 0.005, 0,     0.3, 0,   0.005, 0.005, 0.025,
                                              0.005, 0.005, 0.025, 0.2, 0.2, 0.1,   0.1};

typedef struct {
    uint8_t op;
    double weight;
} policy_weight;
static const policy_weight policy_weights[] = {
    {DATA_ROTATE, 3},          {DATA_SHEAR_X, 2},          {DATA_SHEAR_Y, 2},          {DATA_TRANSLATE_X, 1},
    {DATA_TRANSLATE_Y, 1},     {DATA_COLOR_INC, 0.25},     {DATA_SHARPNESS_INC, 0.25}, {DATA_AUTO_CONTRAST, 0.25},
    {DATA_SOLARIZE_INC, 0.05}, {DATA_SOLARIZE_ADD, 0.05},  {DATA_CONTRAST_INC, 0.05},  {DATA_BRIGHTNESS_INC, 0.05},
    {DATA_EQUALIZE, 0.05},     {DATA_POSTERIZE_INC, 0.05}, {DATA_INVERT, 0.05}};
static const policy_weight policy_3aw[] = {{DATA_SOLARIZE_INC, 6},  {DATA_DESATURATE, 6},    {DATA_BLUR, 6},
                                           {DATA_ROTATE, 3},        {DATA_SHEAR_X, 2},       {DATA_SHEAR_Y, 2},
                                           {DATA_POSTERIZE_INC, 1}, {DATA_AUTO_CONTRAST, 1}, {DATA_COLOR_INC, 1},
                                           {DATA_SHARPNESS_INC, 1}, {DATA_CONTRAST_INC, 1},  {DATA_BRIGHTNESS_INC, 1},
                                           {DATA_EQUALIZE, 1},      {DATA_INVERT, 1}};
static const uint8_t policy_3a[] = {DATA_SOLARIZE_INC, DATA_DESATURATE, DATA_BLUR};

/* AutoAugment's sub-policies: two operators, each with its probability and magnitude. */
#define POLICY_PAIR(a, pa, ma, b, pb, mb)                                                                              \
    {                                                                                                                  \
        {DATA_##a, pa, ma}, {                                                                                          \
            DATA_##b, pb, mb                                                                                           \
        }                                                                                                              \
    }
static const data_policy_step policy_v0[DATA_POLICY_CHOICES][2] = {
    POLICY_PAIR(EQUALIZE, 0.8, 1, SHEAR_Y, 0.8, 4),
    POLICY_PAIR(COLOR, 0.4, 9, EQUALIZE, 0.6, 3),
    POLICY_PAIR(COLOR, 0.4, 1, ROTATE, 0.6, 8),
    POLICY_PAIR(SOLARIZE, 0.8, 3, EQUALIZE, 0.4, 7),
    POLICY_PAIR(SOLARIZE, 0.4, 2, SOLARIZE, 0.6, 2),
    POLICY_PAIR(COLOR, 0.2, 0, EQUALIZE, 0.8, 8),
    POLICY_PAIR(EQUALIZE, 0.4, 8, SOLARIZE_ADD, 0.8, 3),
    POLICY_PAIR(SHEAR_X, 0.2, 9, ROTATE, 0.6, 8),
    POLICY_PAIR(COLOR, 0.6, 1, EQUALIZE, 1.0, 2),
    POLICY_PAIR(INVERT, 0.4, 9, ROTATE, 0.6, 0),
    POLICY_PAIR(EQUALIZE, 1.0, 9, SHEAR_Y, 0.6, 3),
    POLICY_PAIR(COLOR, 0.4, 7, EQUALIZE, 0.6, 0),
    POLICY_PAIR(POSTERIZE, 0.4, 6, AUTO_CONTRAST, 0.4, 7),
    POLICY_PAIR(SOLARIZE, 0.6, 8, COLOR, 0.6, 9),
    POLICY_PAIR(SOLARIZE, 0.2, 4, ROTATE, 0.8, 9),
    POLICY_PAIR(ROTATE, 1.0, 7, TRANSLATE_Y, 0.8, 9),
    POLICY_PAIR(SHEAR_X, 0.0, 0, SOLARIZE, 0.8, 4),
    POLICY_PAIR(SHEAR_Y, 0.8, 0, COLOR, 0.6, 4),
    POLICY_PAIR(COLOR, 1.0, 0, ROTATE, 0.6, 2),
    POLICY_PAIR(EQUALIZE, 0.8, 4, EQUALIZE, 0.0, 8),
    POLICY_PAIR(EQUALIZE, 1.0, 4, AUTO_CONTRAST, 0.6, 2),
    POLICY_PAIR(SHEAR_Y, 0.4, 7, SOLARIZE_ADD, 0.6, 7),
    POLICY_PAIR(POSTERIZE, 0.8, 2, SOLARIZE, 0.6, 10),
    POLICY_PAIR(SOLARIZE, 0.6, 8, EQUALIZE, 0.6, 1),
    POLICY_PAIR(COLOR, 0.8, 6, ROTATE, 0.4, 5),
};
static const data_policy_step policy_original[DATA_POLICY_CHOICES][2] = {
    POLICY_PAIR(POSTERIZE_ORIGINAL, 0.4, 8, ROTATE, 0.6, 9),
    POLICY_PAIR(SOLARIZE, 0.6, 5, AUTO_CONTRAST, 0.6, 5),
    POLICY_PAIR(EQUALIZE, 0.8, 8, EQUALIZE, 0.6, 3),
    POLICY_PAIR(POSTERIZE_ORIGINAL, 0.6, 7, POSTERIZE_ORIGINAL, 0.6, 6),
    POLICY_PAIR(EQUALIZE, 0.4, 7, SOLARIZE, 0.2, 4),
    POLICY_PAIR(EQUALIZE, 0.4, 4, ROTATE, 0.8, 8),
    POLICY_PAIR(SOLARIZE, 0.6, 3, EQUALIZE, 0.6, 7),
    POLICY_PAIR(POSTERIZE_ORIGINAL, 0.8, 5, EQUALIZE, 1.0, 2),
    POLICY_PAIR(ROTATE, 0.2, 3, SOLARIZE, 0.6, 8),
    POLICY_PAIR(EQUALIZE, 0.6, 8, POSTERIZE_ORIGINAL, 0.4, 6),
    POLICY_PAIR(ROTATE, 0.8, 8, COLOR, 0.4, 0),
    POLICY_PAIR(ROTATE, 0.4, 9, EQUALIZE, 0.6, 2),
    POLICY_PAIR(EQUALIZE, 0.0, 7, EQUALIZE, 0.8, 8),
    POLICY_PAIR(INVERT, 0.6, 4, EQUALIZE, 1.0, 8),
    POLICY_PAIR(COLOR, 0.6, 4, CONTRAST, 1.0, 8),
    POLICY_PAIR(ROTATE, 0.8, 8, COLOR, 1.0, 2),
    POLICY_PAIR(COLOR, 0.8, 8, SOLARIZE, 0.8, 7),
    POLICY_PAIR(SHARPNESS, 0.4, 7, INVERT, 0.6, 8),
    POLICY_PAIR(SHEAR_X, 0.6, 5, EQUALIZE, 1.0, 9),
    POLICY_PAIR(COLOR, 0.4, 0, EQUALIZE, 0.6, 3),
    POLICY_PAIR(EQUALIZE, 0.4, 7, SOLARIZE, 0.2, 4),
    POLICY_PAIR(SOLARIZE, 0.6, 5, AUTO_CONTRAST, 0.6, 5),
    POLICY_PAIR(INVERT, 0.6, 4, EQUALIZE, 1.0, 8),
    POLICY_PAIR(COLOR, 0.6, 4, CONTRAST, 1.0, 8),
    POLICY_PAIR(EQUALIZE, 0.8, 8, EQUALIZE, 0.6, 3),
};
#undef POLICY_PAIR

/* ---- What --aa says ---------------------------------------------------------------------------------------------- */

typedef struct {
    double magnitude, probability;
    bool increasing, w0;
    char set[16];
} policy_rand_options;

static void policy_add(data_policy *policy, uint8_t op, double probability, double magnitude, double weight) {
    policy->choice[policy->choices][0] = (data_policy_step){op, probability, magnitude};
    policy->weight[policy->choices++] = weight;
}

static base_status policy_add_set(data_policy *policy, const policy_rand_options *o) {
    const policy_weight *weights = NULL;
    int n = POLICY_RAND;
    if (!strcmp(o->set, "weights"))
        weights = policy_weights, n = sizeof policy_weights / sizeof *policy_weights;
    else if (!strcmp(o->set, "3aw"))
        weights = policy_3aw, n = sizeof policy_3aw / sizeof *policy_3aw;
    else if (!strcmp(o->set, "3a"))
        n = sizeof policy_3a;
    else if (o->set[0])
        return base_fail_as(BASE_USAGE, "--aa: no set of operators '%s'; expected t with weights, 3a or 3aw", o->set);
    const uint8_t *ops = o->set[0] ? policy_3a : policy_rand[o->increasing];
    policy->weighted = weights || o->w0;
    policy->three = !strncmp(o->set, "3a", 2);
    for (int i = 0; i < n; i++)
        policy_add(policy, weights ? weights[i].op : ops[i], o->probability, o->magnitude,
                   weights               ? weights[i].weight
                   : o->w0 && !o->set[0] ? policy_w0[i]
                                         : 1);
    return BASE_OK;
}

/* "mstd0.5" -> its letters and its number. */
static base_status policy_section(const char *section, char key[16], double *value) {
    size_t letters = strcspn(section, "0123456789");
    char *end;
    if (letters > 15 || !section[letters])
        return base_fail_as(BASE_USAGE, "--aa: '%s' has no number; expected such as rand-m9-mstd0.5-inc1", section);
    memcpy(key, section, letters), key[letters] = 0;
    *value = strtod(section + letters, &end);
    return *end || section[letters + strspn(section + letters, "0123456789.")] || *value > 1e6
               ? base_fail_as(BASE_USAGE, "--aa: '%s' does not end in a number in range", section)
               : BASE_OK;
}

static base_status policy_whole(const char *section, double value, double most) {
    if (value == floor(value) && value <= most) return BASE_OK;
    return base_fail_as(BASE_USAGE, "--aa: '%s': a whole number, %g at most, is expected", section, most);
}

static base_status policy_rand_section(data_policy *policy, policy_rand_options *o, const char *section) {
    char key[16];
    double value;
    if (section[0] == 't') {
        snprintf(o->set, sizeof o->set, "%s", section + 1);
        return BASE_OK;
    }
    BASE_TRY(policy_section(section, key, &value));
    if (!strcmp(key, "mstd"))
        policy->deviation = value > 100 ? INFINITY : value;
    else if (!strcmp(key, "p")) {
        if (value > 1) return base_fail_as(BASE_USAGE, "--aa: '%s': a probability, 0 to 1, is expected", section);
        o->probability = value;
    } else if (!strcmp(key, "m") || !strcmp(key, "mmax")) {
        BASE_TRY(policy_whole(section, value, 1000));
        *(key[1] ? &policy->most : &o->magnitude) = value;
    } else if (!strcmp(key, "n")) {
        BASE_TRY(policy_whole(section, value, DATA_POLICY_LAYERS));
        if (value < 1) return base_fail_as(BASE_USAGE, "--aa: '%s': 1 at least; --aa none for no operator", section);
        policy->layers = (int)value;
    } else if (!strcmp(key, "inc") && value <= 1)
        o->increasing = value != 0;
    else if (!strcmp(key, "w") && value == 0)
        o->w0 = true;
    else
        return base_fail_as(BASE_USAGE,
                            "--aa: '%s' is not known; after rand: m (magnitude), n (operators an image), p "
                            "(probability), mstd, mmax, inc0 or inc1, w0, t (set)",
                            section);
    return BASE_OK;
}

static base_status policy_parse_rand(data_policy *policy, char *sections) {
    policy_rand_options o = {.magnitude = 10, .probability = 0.5};
    char *rest = NULL;
    policy->layers = 2;
    for (char *section = strtok_r(sections, "-", &rest); section; section = strtok_r(NULL, "-", &rest))
        BASE_TRY(policy_rand_section(policy, &o, section));
    BASE_TRY(policy_add_set(policy, &o));
    int drawable = 0;
    for (int i = 0; i < policy->choices; i++) drawable += policy->weight[i] > 0;
    if (policy->weighted && policy->layers > drawable)
        return base_fail_as(BASE_USAGE, "--aa: n%d, of the %d operators that have weights", policy->layers, drawable);
    return BASE_OK;
}

static base_status policy_parse_auto(data_policy *policy, const char *name, char *sections) {
    bool original = !strncmp(name, "original", 8), research = name[strlen(name) - 1] == 'r';
    char *rest = NULL;
    if (!strcmp(name, "3a")) {
        policy->three = true;
        policy_add(policy, DATA_SOLARIZE, 1, 5, 1);
        policy_add(policy, DATA_DESATURATE, 1, 10, 1);
        policy_add(policy, DATA_BLUR_RANDOM, 1, 10, 1);
    } else if (!strcmp(name, "v0") || !strcmp(name, "v0r") || !strcmp(name, "original") || !strcmp(name, "originalr")) {
        memcpy(policy->choice, original ? policy_original : policy_v0, sizeof policy->choice);
        policy->choices = DATA_POLICY_CHOICES;
    } else {
        return base_fail_as(BASE_USAGE, "--aa: no policy '%s'; expected rand, original, originalr, v0, v0r, 3a or none",
                            name);
    }
    for (int i = 0; i < policy->choices && research; i++)
        for (int j = 0; j < 2; j++) {
            uint8_t *op = &policy->choice[i][j].op;
            if (*op == DATA_POSTERIZE || *op == DATA_POSTERIZE_ORIGINAL) *op = DATA_POSTERIZE_INC;
        }
    for (char *section = strtok_r(sections, "-", &rest); section; section = strtok_r(NULL, "-", &rest)) {
        char key[16];
        BASE_TRY(policy_section(section, key, &policy->deviation));
        if (strcmp(key, "mstd"))
            return base_fail_as(BASE_USAGE, "--aa: '%s' is not known; after %s: mstd", section, name);
    }
    return BASE_OK;
}

DEIT_INTERNAL base_status data_policy_parse(data_policy *policy, const char *text) {
    char copy[128], none[] = "", *rest;
    *policy = (data_policy){.most = 10};
    if (!text || !*text || !strcmp(text, "none")) return BASE_OK;
    if (strlen(text) >= sizeof copy) return base_fail_as(BASE_USAGE, "--aa: longer than any policy's name");
    strcpy(copy, text);
    if ((rest = strchr(copy, '-'))) *rest++ = 0;
    if (!strcmp(copy, "rand")) return policy_parse_rand(policy, rest ? rest : none);
    return policy_parse_auto(policy, copy, rest ? rest : none);
}

/* ---- Drawing ----------------------------------------------------------------------------------------------------- */

/* A choice by weight among those not yet taken. */
static int policy_weighted(const data_policy *policy, const bool *taken, base_random *random) {
    double sum = 0;
    int last = 0;
    for (int i = 0; i < policy->choices; i++) sum += taken[i] ? 0 : policy->weight[i];
    double at = base_random_uniform(random) * sum;
    for (int i = 0; i < policy->choices; i++) {
        if (taken[i] || policy->weight[i] <= 0) continue;
        last = i;
        if ((at -= policy->weight[i]) < 0) break;
    }
    return last;
}

/* Adds the step's change, if its probability says so. */
static int policy_step(const data_policy *policy, const data_policy_step *step, const data_policy_look *look,
                       base_random *random, image_change *change) {
    if (step->probability < 1 && base_random_uniform(random) >= step->probability) return 0;
    double magnitude = step->magnitude;
    if (isinf(policy->deviation))
        magnitude *= base_random_uniform(random);
    else if (policy->deviation > 0)
        magnitude += policy->deviation * base_random_normal(random);
    magnitude = fmax(0, fmin(magnitude, policy->most));
    *change = (image_change){.op = policy_ops[step->op].op,
                             .argument = policy_argument(policy_ops[step->op].level, magnitude, look->size, random),
                             .filter = data_draw_filter(look->interpolation, random)};
    memcpy(change->fill, look->fill, 3);
    return 1;
}

DEIT_INTERNAL int data_policy_draw(const data_policy *policy, const data_policy_look *look, base_random *random,
                                   image_change changes[DATA_POLICY_LAYERS]) {
    bool taken[DATA_POLICY_CHOICES] = {false};
    int n = 0;
    if (!policy->choices) return 0;
    if (!policy->layers) { /* AutoAugment: one sub-policy */
        const data_policy_step *steps = policy->choice[base_random_below(random, (uint64_t)policy->choices)];
        for (int j = 0; j < 2; j++) n += policy_step(policy, &steps[j], look, random, &changes[n]);
        return n;
    }
    for (int layer = 0; layer < policy->layers; layer++) {
        int i = policy->weighted ? policy_weighted(policy, taken, random)
                                 : (int)base_random_below(random, (uint64_t)policy->choices);
        taken[i] = true;
        n += policy_step(policy, policy->choice[i], look, random, &changes[n]);
    }
    return n;
}
