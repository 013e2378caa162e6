/* data: policies, crops, erasing and mixing against their definitions; the sampler; the training loader. Statistical
 * checks draw from fixed seeds and allow 4.5 standard deviations: one in 150,000 right programs would fail one.
 * Uses test_data.c's helpers. */
#include <math.h>

enum { AUGMENT_TEST_DRAWS = 20000 };

/* Whether `hits` of n agree with the probability p. */
static void augment_test_share(const char *what, double hits, double n, double p) {
    double deviation = sqrt(n * p * (1 - p));
    if (fabs(hits - n * p) > 4.5 * deviation + 1e-9) TEST_FAIL("%s: %g of %g, expected %g", what, hits, n, n * p);
}
/* Whether the mean of n draws with a standard deviation agrees. */
static void augment_test_mean(const char *what, double sum, double n, double mean, double deviation) {
    if (fabs(sum / n - mean) > 4.5 * deviation / sqrt(n)) TEST_FAIL("%s: mean %g, expected %g", what, sum / n, mean);
}

/* ---- Policies ---------------------------------------------------------------------------------------------------- */

static const char *const augment_test_ops[] = {
    [DATA_AUTO_CONTRAST] = "AutoContrast",
    [DATA_EQUALIZE] = "Equalize",
    [DATA_INVERT] = "Invert",
    [DATA_ROTATE] = "Rotate",
    [DATA_POSTERIZE] = "Posterize",
    [DATA_SOLARIZE] = "Solarize",
    [DATA_SOLARIZE_ADD] = "SolarizeAdd",
    [DATA_COLOR] = "Color",
    [DATA_CONTRAST] = "Contrast",
    [DATA_BRIGHTNESS] = "Brightness",
    [DATA_SHARPNESS] = "Sharpness",
    [DATA_SHEAR_X] = "ShearX",
    [DATA_SHEAR_Y] = "ShearY",
    [DATA_TRANSLATE_X] = "TranslateXRel",
    [DATA_TRANSLATE_Y] = "TranslateYRel",
    [DATA_POSTERIZE_INC] = "PosterizeIncreasing",
    [DATA_SOLARIZE_INC] = "SolarizeIncreasing",
    [DATA_COLOR_INC] = "ColorIncreasing",
    [DATA_CONTRAST_INC] = "ContrastIncreasing",
    [DATA_BRIGHTNESS_INC] = "BrightnessIncreasing",
    [DATA_SHARPNESS_INC] = "SharpnessIncreasing",
    [DATA_POSTERIZE_ORIGINAL] = "PosterizeOriginal",
    [DATA_DESATURATE] = "Desaturate",
    [DATA_BLUR] = "GaussianBlur",
    [DATA_BLUR_RANDOM] = "GaussianBlurRand",
};
enum { AUGMENT_TEST_OPS = sizeof augment_test_ops / sizeof *augment_test_ops };

static int augment_test_op(const char *name) {
    for (int i = 1; i < AUGMENT_TEST_OPS; i++)
        if (!strcmp(name, augment_test_ops[i])) return i;
    TEST_FAIL("no operator %s", name);
    return 0;
}

/* A row of policy.tsv against a choice of the policy. */
static void augment_test_choice(const data_policy *policy, int i, char *row, const char *text) {
    char *fields[7] = {NULL}, *rest = NULL;
    int n = 0;
    double sum = 0;
    for (char *f = strtok_r(row, "\t\n", &rest); f && n < 7; f = strtok_r(NULL, "\t\n", &rest)) fields[n++] = f;
    for (int k = 0; k < policy->choices; k++) sum += policy->weight[k];
    bool rand = !strncmp(text, "rand", 4);
    CHECK_EQ_INT(policy->weighted, rand && n == 4);
    for (int j = 0; j < (n >= 6 ? 2 : 1); j++) {
        const data_policy_step *step = &policy->choice[i][j];
        CHECK_EQ_INT(step->op, augment_test_op(fields[3 * j]));
        CHECK(step->probability == atof(fields[3 * j + 1]) && step->magnitude == atof(fields[3 * j + 2]));
    }
    if (n == 4) CHECK(fabs(policy->weight[i] / sum - atof(fields[3])) < 1e-12);
    if (n < 6) CHECK(policy->choice[i][1].probability == 0);
}

TEST(augment_policies_are_timms) {
    char line[512], last[512] = "";
    data_policy policy = {0};
    int choice = 0, rows = 0;
    FILE *table = fopen("tests/golden/extra/augment/policy.tsv", "r");
    CHECK(table && fgets(line, sizeof line, table));
    for (; table && fgets(line, sizeof line, table); choice++, rows++) {
        char *row = strchr(line, '\t');
        *row++ = 0;
        if (strcmp(line, last)) {
            if (rows) CHECK_EQ_INT(choice, policy.choices);
            CHECK_OK(data_policy_parse(&policy, line));
            snprintf(last, sizeof last, "%s", line), choice = 0;
        }
        augment_test_choice(&policy, choice, row, line);
    }
    CHECK_EQ_INT(choice, policy.choices);
    CHECK(rows >= 180);
    if (table) fclose(table);
}

TEST(augment_magnitudes_are_timms) {
    char line[256], name[64];
    double magnitude, argument;
    int rows = 0;
    FILE *table = fopen("tests/golden/extra/augment/levels.tsv", "r");
    CHECK(table && fgets(line, sizeof line, table));
    for (; table && fgets(line, sizeof line, table); rows++) {
        CHECK_EQ_INT(sscanf(line, "%63s %lf %lf", name, &magnitude, &argument), 3);
        int op = augment_test_op(name);
        bool found = false;
        for (uint64_t i = 0; i < 64 && !found; i++) { /* one of the two signs */
            base_random random = base_random_stream(1, 0, i, 0);
            found = policy_argument(policy_ops[op].level, magnitude, 224, &random) == argument;
        }
        if (!found) TEST_FAIL("%s at %g is never %g", name, magnitude, argument);
    }
    CHECK(rows >= 210);
    if (table) fclose(table);
}

TEST(augment_policy_spellings) {
    data_policy policy;
    CHECK_OK(data_policy_parse(&policy, "rand-m9-mstd0.5-inc1"));
    CHECK(policy.layers == 2 && policy.deviation == 0.5 && policy.most == 10 && policy.choices == 15);
    CHECK_OK(data_policy_parse(&policy, "rand-n3-mstd101-mmax30-p0.25-m15"));
    CHECK(policy.layers == 3 && isinf(policy.deviation) && policy.most == 30);
    CHECK(policy.choice[0][0].probability == 0.25 && policy.choice[0][0].magnitude == 15);
    CHECK_OK(data_policy_parse(&policy, "rand-w0"));
    CHECK(policy.weighted && policy.weight[3] == 0.3 && policy.weight[2] == 0 && policy.choice[3][0].op == DATA_ROTATE);
    CHECK_OK(data_policy_parse(&policy, "original-mstd0.5"));
    CHECK(policy.layers == 0 && policy.deviation == 0.5 && policy.choices == 25);
    static const char *const none[] = {NULL, "", "none"};
    for (int i = 0; i < 3; i++) {
        CHECK_OK(data_policy_parse(&policy, none[i]));
        CHECK_EQ_INT(policy.choices, 0);
    }
    static const char *const bad[][2] = {{"randm9", "no policy 'randm9'"},
                                         {"rand-m9.5", "a whole number"},
                                         {"rand-q3", "'q3' is not known"},
                                         {"rand-m9-p1.5", "'p1.5': a probability, 0 to 1, is expected"},
                                         {"rand-mstd", "'mstd' has no number"},
                                         {"rand-m9x", "does not end in a number"},
                                         {"rand-tother", "no set of operators 'other'"},
                                         {"rand-n14-w0", "n14, of the 13 operators"},
                                         {"rand-n99", "16 at most"},
                                         {"rand-m9-n0", "'n0': 1 at least"},
                                         {"rand-m0x9", "does not end in a number"},
                                         {"rand-m1e1", "does not end in a number"},
                                         {"v0-m3", "after v0: mstd"},
                                         {"augmix-m5", "no policy 'augmix'"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQ_INT(data_policy_parse(&policy, bad[i][0]), BASE_USAGE);
        CHECK_STR_HAS(base_message(), bad[i][1]);
    }
}

/* Draws of a policy, counted. */
typedef struct {
    double n, ops[IMAGE_OPS], changes, both, bicubic, geometric, sum[IMAGE_OPS], square[IMAGE_OPS], negative[IMAGE_OPS],
        repeats, least[IMAGE_OPS], most[IMAGE_OPS];
} augment_test_counts;

static augment_test_counts augment_test_draw(const char *text, data_interpolation interpolation) {
    data_policy policy;
    augment_test_counts c = {.n = AUGMENT_TEST_DRAWS};
    data_policy_look look = {100, interpolation, {124, 116, 104}};
    CHECK_OK(data_policy_parse(&policy, text));
    for (int i = 0; i < IMAGE_OPS; i++) c.least[i] = 1e9, c.most[i] = -1e9;
    for (uint64_t i = 0; i < AUGMENT_TEST_DRAWS; i++) {
        base_random random = base_random_stream(11, 0, i, DATA_RANDOM_PICTURE);
        image_change change[DATA_POLICY_LAYERS];
        int n = data_policy_draw(&policy, &look, &random, change);
        c.changes += n, c.both += n == 2, c.repeats += n == 2 && change[0].op == change[1].op;
        for (int k = 0; k < n; k++) {
            int op = change[k].op;
            double v = change[k].argument;
            c.ops[op]++, c.sum[op] += v, c.square[op] += v * v, c.negative[op] += v < 0;
            c.least[op] = fmin(c.least[op], v), c.most[op] = fmax(c.most[op], v);
            if (op < IMAGE_ROTATE || op > IMAGE_TRANSLATE_Y) continue;
            c.geometric++, c.bicubic += change[k].filter == IMAGE_BICUBIC;
            CHECK(change[k].fill[0] == 124 && change[k].fill[1] == 116 && change[k].fill[2] == 104);
        }
    }
    return c;
}

/* rand-m9-mstd0.5-inc1: two of fifteen, each applied with probability 0.5; magnitude N(9, 0.5) cut at 10. */
TEST(augment_rand_distribution) {
    augment_test_counts c = augment_test_draw("rand-m9-mstd0.5-inc1", DATA_BICUBIC);
    augment_test_share("changes", c.changes, 2 * c.n, 0.5);
    augment_test_share("two changes", c.both, c.n, 0.25);
    augment_test_share("the same operator twice", c.repeats, c.both, 1. / 15);
    for (int op = 0; op <= IMAGE_TRANSLATE_Y; op++)
        augment_test_share(test_op_names[op], c.ops[op], c.changes, 1. / 15);
    CHECK(c.bicubic == c.geometric);
    for (int op = IMAGE_ROTATE; op <= IMAGE_TRANSLATE_Y; op++)
        augment_test_share("negated", c.negative[op], c.ops[op], 0.5);
    /* E[min(N(9, 0.5), 10)^2] = 81.16, by quadrature. */
    augment_test_mean("degrees squared", c.square[IMAGE_ROTATE], c.ops[IMAGE_ROTATE], 9 * 81.16365, 9 * 8.791);
    augment_test_mean("shear squared", c.square[IMAGE_SHEAR_X], c.ops[IMAGE_SHEAR_X], 9e-4 * 81.16365, 9e-4 * 8.791);
    CHECK(c.most[IMAGE_ROTATE] == 30 && c.least[IMAGE_ROTATE] == -30 && c.most[IMAGE_TRANSLATE_X] == 45);
    CHECK(c.least[IMAGE_COLOR] >= 0.1 && c.most[IMAGE_COLOR] == 1.9);
    /* At the cut, 2.28 % of draws, posterising keeps no bits; below, one. */
    CHECK(c.least[IMAGE_POSTERIZE] == 0 && c.most[IMAGE_POSTERIZE] <= 2);
    CHECK(c.least[IMAGE_SOLARIZE] == 0 && c.most[IMAGE_SOLARIZE_ADD] == 110);
}

TEST(augment_policy_variants) {
    augment_test_counts c = augment_test_draw("rand-m10-mstd101-p1", DATA_RANDOM);
    CHECK(c.changes == 2 * c.n);
    augment_test_share("bicubic", c.bicubic, c.geometric, 0.5);
    augment_test_mean("uniform magnitude", c.sum[IMAGE_BRIGHTNESS], c.ops[IMAGE_BRIGHTNESS], 1, 1.8 / sqrt(12));
    CHECK(c.least[IMAGE_BRIGHTNESS] < 0.2 && c.most[IMAGE_BRIGHTNESS] > 1.8);
    c = augment_test_draw("rand-n2-p1-w0", DATA_BILINEAR);
    CHECK(c.bicubic == 0 && c.repeats == 0 && c.ops[IMAGE_INVERT] == 0 && c.ops[IMAGE_POSTERIZE] == 0);
    /* p(i) + sum over j of p(j) p(i) / (1 - p(j)), of weights 3, 2, 2, 1, 1, three 1/4 and five 1/20 in 10 */
    double p = 0.3, others = 2 * 0.2 * p / 0.8 + 2 * 0.1 * p / 0.9 + 3 * 0.025 * p / 0.975 + 5 * 0.005 * p / 0.995;
    augment_test_share("weighted rotation", c.ops[IMAGE_ROTATE], c.n, p + others);
    c = augment_test_draw("3a", DATA_BICUBIC);
    CHECK(c.changes == c.n && c.least[IMAGE_SOLARIZE] == 128 && c.most[IMAGE_SOLARIZE] == 128 &&
          c.most[IMAGE_COLOR] == 0);
    for (int i = 0; i < 3; i++)
        augment_test_share("3-Augment", c.ops[(image_op[]){IMAGE_SOLARIZE, IMAGE_COLOR, IMAGE_BLUR}[i]], c.n, 1. / 3);
    augment_test_mean("blur", c.sum[IMAGE_BLUR], c.ops[IMAGE_BLUR], 1.05, 1.9 / sqrt(12));
    CHECK(c.least[IMAGE_BLUR] >= 0.1 && c.most[IMAGE_BLUR] < 2);
    c = augment_test_draw("original", DATA_BICUBIC);
    /* Rotate: probabilities 0.6 0.8 0.2 0.8 0.4 0.8 in six of 25; Equalize: 15 steps of 11 sub-policies. */
    augment_test_share("original's rotation", c.ops[IMAGE_ROTATE], c.n, 3.6 / 25);
    augment_test_share("original's contrast", c.ops[IMAGE_CONTRAST], c.n, 2. / 25);
    CHECK(c.least[IMAGE_POSTERIZE] == 6 && c.most[IMAGE_POSTERIZE] == 7);
}

/* ---- Crops and erasing ------------------------------------------------------------------------------------------- */

TEST(augment_crop_distribution) {
    data_augment o = data_augment_official();
    double area = 0, aspect = 0, left = 0, top = 0, n = AUGMENT_TEST_DRAWS;
    o.scale[1] = 0.3; /* so small that the first try always fits */
    for (uint64_t i = 0; i < AUGMENT_TEST_DRAWS; i++) {
        base_random random = base_random_stream(3, 0, i, DATA_RANDOM_PICTURE);
        image_box b;
        data_draw_crop(&o, &random, 2000, 2000, &b);
        CHECK(b.left >= 0 && b.top >= 0 && b.left + b.width <= 2000 && b.top + b.height <= 2000);
        double a = (double)b.width * b.height / 4e6, r = (double)b.width / b.height;
        CHECK(a > 0.0795 && a < 0.3005 && r > 0.747 && r < 1.338);
        area += a, aspect += log(r), left += b.left / (2000. - b.width), top += b.top / (2000. - b.height);
    }
    augment_test_mean("area", area, n, 0.19, 0.22 / sqrt(12));
    augment_test_mean("log aspect", aspect, n, 0, 2 * log(4. / 3) / sqrt(12));
    augment_test_mean("left", left, n, 0.5, 1 / sqrt(12));
    augment_test_mean("top", top, n, 0.5, 1 / sqrt(12));
}

/* What RECIPE's crop, area 0.08 to 1 and aspect 3/4 to 4/3, comes to in a picture `wide` times as wide as high: the
 * share of tries that fit, and mean and variance of their area. By quadrature: an aspect r fits up to area r / wide. */
static void augment_test_crop_expected(double wide, double *fits, double *mean, double *variance) {
    enum { steps = 10000 };
    double sum[3] = {0};
    for (int i = 0; i < steps; i++) {
        double most = exp(log(4. / 3) * (2 * (i + 0.5) / steps - 1)) / wide, least = 0.08;
        for (int k = 0; k < 3; k++) sum[k] += (pow(most, k + 1) - pow(least, k + 1)) / (k + 1) / (1 - least) / steps;
    }
    *fits = sum[0], *mean = sum[1] / sum[0], *variance = sum[2] / sum[0] - *mean * *mean;
}

/* Ten tries, then the centre. 3:2 almost always fits; 3:1 falls back in 3.6 % of draws, with 9 tries it would in 5. */
TEST(augment_crop_tries_ten_times) {
    static const int sizes[][2] = {{3000, 2000}, {2000, 3000}, {3000, 1000}, {1000, 3000}};
    data_augment o = data_augment_official();
    for (int k = 0; k < 4; k++) {
        int w = sizes[k][0], h = sizes[k][1], centre = (int)rint((w < h ? w : h) * 4. / 3);
        double fits, mean, variance, central = 0, area = 0, n = AUGMENT_TEST_DRAWS;
        augment_test_crop_expected(w > h ? (double)w / h : (double)h / w, &fits, &mean, &variance);
        for (uint64_t i = 0; i < AUGMENT_TEST_DRAWS; i++) {
            base_random random = base_random_stream(5, 0, i, DATA_RANDOM_PICTURE);
            image_box b;
            data_draw_crop(&o, &random, w, h, &b);
            bool fell = w > h ? b.width == centre && b.left == (w - centre) / 2 && b.height == h
                              : b.height == centre && b.top == (h - centre) / 2 && b.width == w;
            central += fell, area += fell ? 0 : (double)b.width * b.height / ((double)w * h);
        }
        augment_test_share("fell back to the centre", central, n, pow(1 - fits, 10));
        augment_test_mean("area of what fits", area, n - central, mean, sqrt(variance));
    }
}

TEST(augment_crop_falls_back_to_the_centre) {
    static const int sizes[][6] = {{1000, 10, 493, 0, 13, 10}, {10, 1000, 0, 493, 10, 13}, {1, 1, 0, 0, 1, 1}};
    data_augment o = data_augment_official();
    o.scale[0] = 0.9; /* never fits */
    for (int i = 0; i < 3; i++) {
        base_random random = base_random_stream(3, 0, 0, DATA_RANDOM_PICTURE);
        image_box b;
        data_draw_crop(&o, &random, sizes[i][0], sizes[i][1], &b);
        CHECK(b.left == sizes[i][2] && b.top == sizes[i][3] && b.width == sizes[i][4] && b.height == sizes[i][5]);
    }
}

/* The erased rectangle of an image that was 9 everywhere: pixels that are not 9 in channel c. */
static int augment_test_erased(const float *image, int size, int c, int box[4]) {
    int count = 0;
    box[0] = box[1] = size, box[2] = box[3] = -1;
    for (int i = 0; i < size * size; i++) {
        if (image[c * size * size + i] == 9) continue;
        int x = i % size, y = i / size;
        box[0] = x < box[0] ? x : box[0], box[1] = y < box[1] ? y : box[1];
        box[2] = x > box[2] ? x : box[2], box[3] = y > box[3] ? y : box[3];
        count++;
    }
    return count;
}

TEST(augment_erasing_distribution) {
    enum { size = 64, draws = 6000 };
    static float image[3 * size * size];
    data_augment o = data_augment_official();
    double hits = 0, area = 0, sum = 0, square = 0, pixels = 0;
    for (uint64_t i = 0; i < draws; i++) {
        base_random random = base_random_stream(9, 0, i, DATA_RANDOM_ERASE);
        int box[4];
        for (int k = 0; k < 3 * size * size; k++) image[k] = 9;
        data_erase(&o, &random, size, image);
        int count = augment_test_erased(image, size, 0, box);
        if (!count) continue;
        int width = box[2] - box[0] + 1, height = box[3] - box[1] + 1;
        CHECK(count == width * height && width < size && height < size);
        CHECK(augment_test_erased(image, size, 2, box) == count);
        double share = (double)count / (size * size), aspect = (double)height / width;
        CHECK(share > 0.015 && share < 0.345 && aspect > 0.25 && aspect < 4);
        hits++, area += share;
        for (int y = box[1]; y <= box[3]; y++)
            for (int x = box[0]; x <= box[2]; x++) {
                double v = (double)image[y * size + x];
                sum += v, square += v * v, pixels++;
            }
    }
    augment_test_share("erased", hits, draws, 0.25);
    augment_test_mean("area", area, hits, (0.02 + 1. / 3) / 2, 0.0904); /* the largest are a little rarer */
    augment_test_mean("noise", sum, pixels, 0, 1);
    augment_test_mean("noise squared", square, pixels, 1, sqrt(2));
}

TEST(augment_erasing_modes) {
    enum { size = 32 };
    static float image[3 * size * size];
    data_augment o = data_augment_official();
    o.reprob = 1;
    int most = 0;
    for (uint64_t i = 0; i < 200; i++) {
        int box[4];
        o.remode = i % 2 ? DATA_ERASE_CONST : DATA_ERASE_RAND, o.recount = 3;
        base_random random = base_random_stream(2, 0, i, DATA_RANDOM_ERASE);
        for (int k = 0; k < 3 * size * size; k++) image[k] = 9;
        data_erase(&o, &random, size, image);
        int count = augment_test_erased(image, size, 1, box), colours = 0;
        CHECK(count > 0 && count <= size * size / 3 + size);
        float seen[4] = {9, 9, 9, 9};
        for (int k = 0; k < size * size; k++) {
            int known = 0;
            while (known < 4 && seen[known] != image[k]) known++;
            if (known == 4 && ++colours < 4) seen[colours] = image[k];
        }
        CHECK(colours <= 3);
        if (i % 2)
            for (int k = 0; k < 3 * size * size; k++) CHECK(image[k] == 9 || image[k] == 0);
        else
            most = colours > most ? colours : most;
    }
    CHECK_EQ_INT(most, 3); /* up to three blocks, each of its colour */
}

/* ---- Mixing ------------------------------------------------------------------------------------------------------ */

TEST(augment_beta_distribution) {
    enum { draws = 5 * AUGMENT_TEST_DRAWS };
    static const double alphas[] = {0.05, 0.2, 0.8, 1, 2.5};
    for (int k = 0; k < 5; k++) {
        double a = alphas[k], sum = 0, square = 0, below = 0;
        for (uint64_t i = 0; i < draws; i++) {
            base_random random = base_random_stream(4, 0, i, (uint32_t)k);
            double v = data_draw_beta(&random, a);
            CHECK(v >= 0 && v <= 1);
            sum += v, square += (v - 0.5) * (v - 0.5), below += v < 0.1;
        }
        /* variance 1 / (4 (2a + 1)); fourth central moment 3 / (16 (2a + 1) (2a + 3)) */
        double variance = 1 / (4 * (2 * a + 1)), fourth = 3 / (16 * (2 * a + 1) * (2 * a + 3));
        augment_test_mean("beta", sum, draws, 0.5, sqrt(variance));
        augment_test_mean("beta's variance", square, draws, variance, sqrt(fourth - variance * variance));
        if (a == 1) augment_test_share("beta under 0.1", below, draws, 0.1);
    }
}

static bool augment_test_same(const data_mix *a, const data_mix *b) {
    return a->keep == b->keep && a->give == b->give && a->cut == b->cut && a->left == b->left && a->top == b->top &&
           a->right == b->right && a->bottom == b->bottom;
}

TEST(augment_mixing_distribution) {
    enum { n = 8, size = 224, draws = 4000 };
    static const data_mix_mode modes[] = {DATA_MIX_BATCH, DATA_MIX_PAIR, DATA_MIX_ELEM};
    data_augment o = data_augment_official();
    o.mixup_prob = 0.8, o.mixup_switch_prob = 0.3;
    for (int m = 0; m < 3; m++) {
        double none = 0, cut = 0, blended = 0, square = 0, different = 0;
        o.mixup_mode = modes[m];
        for (uint64_t i = 0; i < draws; i++) {
            data_mix mix[n];
            base_random random = base_random_stream(6, 0, i, DATA_RANDOM_MIX);
            data_mix_draw(&o, &random, n, size, mix);
            for (int k = 0; k < n; k++) {
                const data_mix *x = &mix[k];
                CHECK(m > 0 || augment_test_same(x, &mix[0]));
                CHECK(m > 1 || augment_test_same(x, &mix[n - 1 - k]));
                different += !augment_test_same(x, &mix[n - 1 - k]);
                if (!x->cut) continue;
                int area = (x->bottom - x->top) * (x->right - x->left);
                CHECK(x->left >= 0 && x->top >= 0 && x->right <= size && x->bottom <= size && area >= 0);
                CHECK(fabs(x->keep - (1 - area / (224. * 224))) < 1e-6 && fabs(x->keep + x->give - 1) < 1e-6);
            }
            const data_mix *x = &mix[i % n];
            none += !x->cut && x->keep == 1;
            cut += x->cut;
            if (!x->cut && x->keep != 1) blended++, square += ((double)x->keep - 0.5) * ((double)x->keep - 0.5);
        }
        augment_test_share("not mixed", none, draws, 0.2);
        augment_test_share("cut", cut, draws, 0.8 * 0.3);
        double variance = 1 / (4 * 2.6), fourth = 3 / (16 * 2.6 * 4.6);
        augment_test_mean("mixup's variance", square, blended, variance, sqrt(fourth - variance * variance));
        CHECK(m < 2 ? different == 0 : different > 0);
    }
}

TEST(augment_cutmix_boxes) {
    data_augment o = data_augment_official();
    double area = 0, centre = 0;
    enum { size = 100, draws = 8000 };
    o.mixup = 0;
    for (uint64_t i = 0; i < draws; i++) {
        base_random random = base_random_stream(8, 0, i, DATA_RANDOM_MIX);
        data_mix mix;
        data_mix_draw(&o, &random, 1, size, &mix);
        CHECK(mix.cut);
        bool inside = mix.left > 0 && mix.right < size && mix.top > 0 && mix.bottom < size;
        if (inside) CHECK((mix.right - mix.left) % 2 == 0 && mix.right - mix.left == mix.bottom - mix.top);
        centre += (mix.left + mix.right) / 2. / size, area += (double)mix.give;
    }
    augment_test_mean("centre", centre, draws, 0.5, 0.3);
    /* side s: the share inside of its length is s (1 - s / 4) on the mean, the area its square; s^2 uniform:
     * E = 1/2 - 1/2 * 2/5 ... = 1/2 - 1/5 + 1/48; and half sides are cut to whole pixels */
    CHECK(fabs(area / draws - (0.5 - 0.2 + 1. / 48)) < 0.02);
    o.cutmix_minmax[0] = 0.2, o.cutmix_minmax[1] = 0.5;
    int least = size, most = 0;
    for (uint64_t i = 0; i < draws; i++) {
        base_random random = base_random_stream(8, 1, i, DATA_RANDOM_MIX);
        data_mix mix;
        data_mix_draw(&o, &random, 1, size, &mix);
        int width = mix.right - mix.left;
        CHECK(mix.left >= 0 && mix.right < size && mix.top >= 0 && mix.bottom < size); /* as timm draws them */
        least = width < least ? width : least, most = width > most ? width : most;
    }
    CHECK_EQ_INT(least, 20);
    CHECK_EQ_INT(most, 49);
}

TEST(augment_mixes_images_and_targets) {
    enum { size = 300, pixels = 3 * size * size };
    static float a[pixels], b[pixels];
    data_mix blend = {.keep = 0.7f, .give = 0.3f},
             cut = {.keep = 0.9f, .give = 0.1f, .cut = true, .left = 250, .top = 10, .right = 290, .bottom = 20};
    for (int i = 0; i < pixels; i++) a[i] = (float)i, b[i] = (float)-i / 3;
    data_mix_images(a, b, size, &blend, &cut);
    for (int i = 0; i < pixels; i++) {
        volatile float was_a = (float)i, was_b = (float)-i / 3, keep = was_a * 0.7f, give = was_b * 0.3f;
        int x = i % size, y = i / size % size;
        if (a[i] != keep + give)
            TEST_FAIL("pixel %d is %g", i, (double)a[i]), i = pixels;
        else if (b[i] != (x >= 250 && x < 290 && y >= 10 && y < 20 ? was_a : was_b))
            TEST_FAIL("%d %d", x, y), i = pixels;
    }
    float target[4];
    data_mix_target(target, 4, 0.1, 2, 0, &blend);
    CHECK(fabs(target[2] - (0.925 * 0.7 + 0.025 * 0.3)) < 1e-6 && fabs(target[0] - (0.925 * 0.3 + 0.025 * 0.7)) < 1e-6);
    CHECK(fabs(target[1] - 0.025) < 1e-7 && fabs(target[0] + target[1] + target[2] + target[3] - 1) < 1e-6);
    data_mix_target(target, 4, 0, 1, 1, &(data_mix){.keep = 1});
    CHECK(target[0] == 0 && target[1] == 1 && target[2] == 0);
}

TEST(augment_flags_are_checked) {
    data_augment good = data_augment_official(), bad;
    CHECK_OK(data_augment_check(&good, 64));
#define AUGMENT_TEST_BAD(set, batch, message)                                                                          \
    do {                                                                                                               \
        bad = good;                                                                                                    \
        bad.set;                                                                                                       \
        CHECK_EQ_INT(data_augment_check(&bad, batch), BASE_USAGE);                                                     \
        CHECK_STR_HAS(base_message(), message);                                                                        \
    } while (0)
    AUGMENT_TEST_BAD(aa = "rand-x", 64, "--aa");
    AUGMENT_TEST_BAD(reprob = 1.5, 64, "--reprob: 1.5, expected 0 to 1");
    AUGMENT_TEST_BAD(recount = 0, 64, "--recount");
    AUGMENT_TEST_BAD(mixup = NAN, 64, "--mixup");
    AUGMENT_TEST_BAD(scale[0] = 0, 64, "--scale");
    AUGMENT_TEST_BAD(src = true, 64, "--src");
    AUGMENT_TEST_BAD(smoothing = -1, 64, "--smoothing");
    AUGMENT_TEST_BAD(mixup = 0, 63, "give an even number");
#undef AUGMENT_TEST_BAD
    good.mixup = good.cutmix = 0;
    CHECK_OK(data_augment_check(&good, 63));
}

/* ---- The sampler ------------------------------------------------------------------------------------------------- */

TEST(augment_order_is_a_permutation) {
    enum { n = 1000 };
    static int64_t order[n], other[n];
    static int seen[n];
    data_training t = {.seed = 5};
    double fixed = 0;
    CHECK_EQ_INT(data_epoch_samples(n, &t), n);
    CHECK_EQ_INT(data_epoch_batches(n, 50, &t), 20);
    CHECK_EQ_INT(data_epoch_batches(n, 64, &t), 15);
    for (int64_t epoch = 0; epoch < 50; epoch++) {
        CHECK_OK(data_epoch_order(order, n, 50, &t, epoch));
        for (int i = 0; i < n; i++) seen[order[i]]++, fixed += order[i] == i;
    }
    for (int i = 0; i < n; i++) CHECK_EQ_INT(seen[i], 50);
    augment_test_share("fixed points", fixed, 50. * n, 1. / n);
    CHECK_OK(data_epoch_order(other, n, 50, &t, 49));
    CHECK(!memcmp(order, other, sizeof order));
    t.seed = 6;
    CHECK_OK(data_epoch_order(other, n, 50, &t, 49));
    CHECK(memcmp(order, other, sizeof order));
}

/* As the official sampler of that many processes: place i of process k is i * processes + k, filled up from the front.
 */
TEST(augment_order_is_dealt_to_passes) {
    enum { n = 103, passes = 4, batch = 13 };
    int64_t order[passes * 26], alone[n];
    int seen[n] = {0}, twice = 0;
    data_training t = {.seed = 1};
    CHECK_OK(data_epoch_order(alone, n, 1, &t, 3));
    t.passes = passes;
    CHECK_EQ_INT(data_epoch_samples(n, &t), 26); /* 104: one picture twice */
    CHECK_EQ_INT(data_epoch_batches(n, batch, &t), 2 * passes);
    CHECK_EQ_INT(data_epoch_batches(n, 14, &t), passes);
    CHECK_OK(data_epoch_order(order, n, batch, &t, 3));
    for (int k = 0; k < passes; k++)
        for (int i = 0; i < 26; i++) {
            int64_t item = order[(i / batch * passes + k) * batch + i % batch];
            CHECK_EQ_INT(item, alone[(i * passes + k) % n]);
            seen[item]++;
        }
    for (int i = 0; i < n; i++) {
        CHECK(seen[i] == 1 || seen[i] == 2);
        twice += seen[i] == 2;
    }
    CHECK_EQ_INT(twice, 1);
}

/* The official sampler: each index of a permutation three times in a row, dealt, cut to len // 256 * 256 / processes.
 * So the copies of a picture meet in one batch only where there are fewer than three passes. */
TEST(augment_repeated_order) {
    enum { n = 1000, passes = 5, batch = 17 };
    static int64_t alone[n], dealt[n];
    data_training t = {.seed = 2, .augment = {.repeated_aug = true}};
    CHECK_EQ_INT(data_epoch_samples(n, &t), 768);
    CHECK_OK(data_epoch_order(alone, n, 256, &t, 7));
    int seen[n] = {0};
    for (int i = 0; i < 768; i++) {
        CHECK(alone[i] == alone[i / 3 * 3]);
        seen[alone[i]]++;
    }
    for (int i = 0; i < n; i++) CHECK(seen[i] == 0 || seen[i] == 3);
    t.passes = passes;
    CHECK_EQ_INT(data_epoch_samples(n, &t), 153);
    CHECK_EQ_INT(data_epoch_batches(n, batch, &t), 45);
    CHECK_OK(data_epoch_order(dealt, n, batch, &t, 7));
    for (int b = 0; b < 45; b++)
        for (int i = 0; i < batch; i++) {
            CHECK(dealt[b * batch + i] == alone[(b / passes * batch + i) * passes + b % passes]);
            for (int j = 0; j < i; j++) CHECK(dealt[b * batch + j] != dealt[b * batch + i]);
        }
    t.passes = 16;
    CHECK_EQ_INT(data_epoch_samples(1281167, &t), 1281024 / 16);
    CHECK_EQ_INT(data_epoch_batches(1281167, 64, &t), 1251 * 16);
    CHECK_EQ_INT(data_epoch_samples(100, &(data_training){.augment = {.repeated_aug = true}}), 100); /* not empty */
}

/* ---- The loader in training -------------------------------------------------------------------------------------- */

enum { AUGMENT_TEST_SIZE = 40 };
static const char *const augment_test_pictures[] = {"tiny.jpg",      "grey.jpg",     "rgb.png",
                                                    "plain_420.jpg", "wide_422.jpg", "palette.png"};
static const char *const augment_test_names[] = {"ant/0.jpg", "ant/1.jpg", "ant/2.png",
                                                 "bee/3.jpg", "bee/4.jpg", "bee/5.png"};

static void augment_test_set(void) {
    for (int i = 0; i < 6; i++) {
        char name[64];
        snprintf(name, sizeof name, "set/%s", augment_test_names[i]);
        data_test_put(name, augment_test_pictures[i]);
    }
}

static data_loader_options augment_test_options(int threads, const data_training *training) {
    return (data_loader_options){.batch = 4,
                                 .threads = threads,
                                 .transform = {AUGMENT_TEST_SIZE,
                                               0.875,
                                               IMAGE_BICUBIC,
                                               {0.485f, 0.456f, 0.406f},
                                               {0.229f, 0.224f, 0.225f},
                                               IMAGE_FIT_NONE},
                                 .training = training};
}

/* Opens a set, takes `skip` batches and a digest of each of the next `n`. */
static base_status augment_test_load(const char *name, int threads, const data_training *training, int skip, int n,
                                     uint64_t *digest) {
    data_set *set;
    data_loader *loader = NULL;
    data_loader_options options = augment_test_options(threads, training);
    BASE_TRY(data_test_open(&set, name, NULL, NULL));
    base_status status = data_hold(set, NULL);
    if (!status) status = data_loader_open(&loader, set, &options, &data_test_context);
    for (int i = 0; !status && i < skip + n; i++) {
        data_batch b;
        if ((status = data_loader_next(loader, &b)) || i < skip) continue;
        CHECK_EQ_INT(b.n, 4);
        int64_t step = training->step + training->epoch + i; /* of one batch an epoch */
        CHECK(b.epoch == step && b.step == 0);
        digest[i - skip] = base_fnv1a64(b.images, 4 * 3 * AUGMENT_TEST_SIZE * AUGMENT_TEST_SIZE * sizeof(float)) +
                           31 * base_fnv1a64(b.targets, 4 * 2 * sizeof(float)) +
                           37 * base_fnv1a64(b.items, 4 * sizeof(int64_t));
    }
    data_loader_close(loader);
    data_close(set);
    return status;
}

TEST(augment_loader_same_bits_whatever_the_threads) {
    enum { n = 12 };
    uint64_t first[n], other[n];
    base_test_folder_begin();
    augment_test_set();
    data_test_pack("set.tar.zst", "set", augment_test_names, 6);
    size_t held = base_memory_held();
    data_training t = {.augment = data_augment_official(), .classes = 2, .seed = 3};
    for (int mode = 0; mode < 6; mode++) {
        t.augment = data_augment_official();
        if (mode < 3) t.augment.mixup_mode = (data_mix_mode)mode;
        if (mode == 3) t.augment.three_augment = true;
        if (mode == 4) t.augment.three_augment = t.augment.src = true, t.augment.interpolation = DATA_RANDOM;
        if (mode == 5) t.augment.aa = "original-mstd0.5", t.augment.interpolation = DATA_RANDOM;
        CHECK_OK(augment_test_load("set", 1, &t, 0, n, first));
        for (int i = 1; i < n; i++) CHECK(first[i] != first[i - 1]);
        for (int threads = 2; threads < 6; threads += 2) {
            CHECK_OK(augment_test_load("set", threads, &t, 0, n, other));
            CHECK(!memcmp(first, other, sizeof first));
        }
        CHECK_OK(augment_test_load("set.tar.zst", 3, &t, 0, n, other)); /* held in memory: the same set */
        CHECK(!memcmp(first, other, sizeof first));
    }
    CHECK_EQ_INT(base_memory_held(), held);
    base_test_folder_end();
}

TEST(augment_loader_resumes) {
    enum { n = 8 };
    uint64_t whole[2 * n], part[n];
    base_test_folder_begin();
    augment_test_set();
    data_training t = {.augment = data_augment_official(), .classes = 2, .seed = 4};
    CHECK_OK(augment_test_load("set", 2, &t, 0, 2 * n, whole));
    CHECK_OK(augment_test_load("set", 2, &t, n, n, part));
    CHECK(!memcmp(part, whole + n, sizeof part));
    t.epoch = n;
    CHECK_OK(augment_test_load("set", 3, &t, 0, n, part));
    CHECK(!memcmp(part, whole + n, sizeof part));
    t.seed = 5;
    CHECK_OK(augment_test_load("set", 3, &t, 0, n, part));
    CHECK(part[0] != whole[n]);
    base_test_folder_end();
}

/* Without augmentation: evaluation's pictures in the sampler's order, smoothed targets. */
TEST(augment_loader_without_augmentation) {
    data_set *set;
    data_loader *loader, *plain;
    data_batch b, e;
    base_test_folder_begin();
    augment_test_set();
    data_training t = {
        .augment = {.no_aug = true, .recount = 1, .scale = {0.08, 1}, .ratio = {0.75, 1.33}, .smoothing = 0.2},
        .classes = 2};
    data_loader_options options = augment_test_options(2, &t), evaluation = augment_test_options(1, NULL);
    int64_t order[6];
    CHECK_OK(data_test_open(&set, "set", NULL, NULL));
    CHECK_OK(data_epoch_order(order, 6, 2, &t, 0));
    evaluation.order = order, evaluation.count = 6;
    CHECK_OK(data_loader_open(&loader, set, &options, NULL));
    CHECK_OK(data_loader_open(&plain, set, &evaluation, NULL));
    CHECK_OK(data_loader_next(loader, &b));
    CHECK_OK(data_loader_next(plain, &e));
    CHECK(b.n == 4 && e.n == 4 && !e.targets);
    CHECK(!memcmp(b.images, e.images, 4 * 3 * AUGMENT_TEST_SIZE * AUGMENT_TEST_SIZE * sizeof(float)));
    for (int i = 0; i < 4; i++) {
        CHECK(b.items[i] == order[i] && b.labels[i] == data_label(set, order[i]));
        CHECK(b.targets[2 * i + b.labels[i]] == 0.9f && b.targets[2 * i + 1 - b.labels[i]] == 0.1f);
    }
    data_loader_close(loader), data_loader_close(plain);
    data_close(set);
    base_test_folder_end();
}

/* The next good picture stands in for a bad one; a bad file counts once however often it comes. */
TEST(augment_loader_replaces_bad_files) {
    enum { n = 10 };
    uint64_t first[n], other[n];
    base_test_folder_begin();
    augment_test_set();
    data_test_make("set/ant/1.jpg", "not a picture", 13);
    data_test_make("set/bee/3.jpg", "", 0);
    data_training t = {.augment = data_augment_official(), .classes = 2};
    CHECK_FAIL_HAS(augment_test_load("set", 2, &t, 0, n, first), "1 bad file, 0 allowed (--max-bad)");
    data_set *set;
    data_loader *loader;
    CHECK_OK(data_test_open(&set, "set", NULL, NULL));
    for (int threads = 1; threads < 4; threads += 2) {
        data_loader_options options = augment_test_options(threads, &t);
        options.max_bad = 2;
        data_test_warned = 0;
        CHECK_OK(data_loader_open(&loader, set, &options, &data_test_context));
        for (int i = 0; i < n; i++) {
            data_batch b;
            CHECK_OK(data_loader_next(loader, &b));
            for (int k = 0; k < 4; k++) CHECK(b.items[k] != 1 && b.items[k] != 3);
            (threads == 1 ? first : other)[i] =
                base_fnv1a64(b.images, 4 * 3 * AUGMENT_TEST_SIZE * AUGMENT_TEST_SIZE * sizeof(float));
        }
        CHECK_EQ_INT(data_test_warned, 2);
        CHECK_EQ_INT(data_loader_bad(loader), 2);
        data_loader_close(loader);
    }
    CHECK(!memcmp(first, other, sizeof first));
    data_close(set);
    base_test_folder_end();
}

/* Repeated augmentation: the same picture three times in a row, each time another. */
TEST(augment_loader_repeats) {
    enum { floats = 3 * AUGMENT_TEST_SIZE * AUGMENT_TEST_SIZE };
    static float before[floats];
    data_set *set;
    data_loader *loader;
    data_batch b;
    base_test_folder_begin();
    augment_test_set();
    data_training t = {.augment = data_augment_official(), .classes = 2};
    t.augment.mixup = t.augment.cutmix = 0;
    data_loader_options options = augment_test_options(2, &t);
    options.batch = 1;
    CHECK_OK(data_test_open(&set, "set", NULL, NULL));
    CHECK_OK(data_loader_open(&loader, set, &options, NULL));
    int64_t item = -1;
    for (int step = 0; step < 12; step++) {
        CHECK_OK(data_loader_next(loader, &b));
        CHECK(b.n == 1 && b.epoch == step / 6 && b.step == step % 6);
        if (step % 3) CHECK(b.items[0] == item && memcmp(b.images, before, sizeof before));
        item = b.items[0];
        memcpy(before, b.images, sizeof before);
    }
    data_loader_close(loader);
    data_close(set);
    base_test_folder_end();
}

TEST(augment_loader_bad_input) {
    uint64_t digest[1];
    base_test_folder_begin();
    augment_test_set();
    data_training t = {.augment = data_augment_official(), .classes = 3};
    CHECK_FAIL_HAS(augment_test_load("set", 1, &t, 0, 1, digest), "has 2 classes, the network 3");
    t.classes = 2, t.passes = 2;
    CHECK_FAIL_HAS(augment_test_load("set", 1, &t, 0, 1, digest),
                   "its 6 images an epoch make no step of 2 batches of 4");
    t.passes = 1, t.augment.aa = "random";
    CHECK_FAIL_HAS(augment_test_load("set", 1, &t, 0, 1, digest), "--aa: no policy 'random'");
    base_test_folder_end();
}

/* ---- Each step does something -------------------------------------------------------------------------------------
 */

enum { AUGMENT_SIDE = 8 };
static void augment_test_ramp(uint8_t *p, bool white) {
    for (int i = 0; i < AUGMENT_SIDE * AUGMENT_SIDE * 3; i++) p[i] = white ? 255 : (uint8_t)i;
}
static data_augmenter augment_test_only(void (*set)(data_augment *), double crop) {
    data_augment o = data_augment_official();
    o.aa = NULL, o.color_jitter = 0, o.hflip = 0, o.reprob = 0, o.scale[0] = 1, o.ratio[0] = o.ratio[1] = 1;
    if (set) set(&o);
    data_augmenter g;
    image_transform t = {AUGMENT_SIDE, crop, IMAGE_BICUBIC, {0}, {1, 1, 1}, IMAGE_FIT_NONE};
    CHECK_OK(data_augmenter_make(&g, &o, &t));
    return g;
}
static float augment_test_out[3 * AUGMENT_SIDE * AUGMENT_SIDE];
static void augment_test_run(const data_augmenter *g, const uint8_t *p, int64_t epoch, int64_t sample) {
    image_worker *w;
    image_u8 spare = {0};
    CHECK_OK(image_worker_new(&w));
    image_source s = {.bytes = p, .width = AUGMENT_SIDE, .height = AUGMENT_SIDE, .name = "p"};
    CHECK_OK(data_augmenter_run(g, w, &spare, &s, 1, epoch, sample, augment_test_out));
    image_free(&spare), image_worker_free(w);
}
static void augment_test_flips(data_augment *o) {
    o->hflip = 0.5;
}
static void augment_test_jitters(data_augment *o) {
    o->color_jitter = 0.4;
}
static void augment_test_crops(data_augment *o) {
    o->three_augment = o->src = true;
}

TEST(augment_flips_half_and_anew_each_epoch) {
    uint8_t p[3 * AUGMENT_SIDE * AUGMENT_SIDE];
    augment_test_ramp(p, false);
    data_augmenter g = augment_test_only(augment_test_flips, 0.875);
    int flipped = 0, same = 0;
    for (int i = 0; i < 400; i++) {
        augment_test_run(&g, p, 0, i);
        bool f = augment_test_out[0] != p[0] / 255.0f;
        flipped += f;
        augment_test_run(&g, p, 1, i);
        same += f == (augment_test_out[0] != p[0] / 255.0f);
    }
    augment_test_share("flipped", flipped, 400, 0.5);
    augment_test_share("alike in the next epoch", same, 400, 0.5);
}

/* A picture of two colours, a half each; the grey of the first or second half of what came out. */
static void augment_test_halves(uint8_t *p, const uint8_t colours[2][3]) {
    for (int i = 0; i < AUGMENT_SIDE * AUGMENT_SIDE; i++) memcpy(p + 3 * i, colours[i >= 32], 3);
}
static double augment_test_channel(int half, int c) {
    return 255 * (double)augment_test_out[c * AUGMENT_SIDE * AUGMENT_SIDE + half * 32];
}
static double augment_test_grey(int half) {
    return 0.299 * augment_test_channel(half, 0) + 0.587 * augment_test_channel(half, 1) +
           0.114 * augment_test_channel(half, 2);
}

/* Brightness scales the mean grey, the two colours' distance and their chroma; contrast the last two; saturation the
 * last: so that the three factors can be told from what comes out. Each is uniform in 0.6 .. 1.4, by itself: mean and
 * variance within 4.5 standard deviations and a hundredth, for levels are cut to whole ones after each step. */
TEST(augment_jitter_draws_three_factors) {
    enum { draws = 2000 };
    static const uint8_t colours[2][3] = {{130, 90, 80}, {40, 50, 60}}; // no factors clip them
    uint8_t p[3 * AUGMENT_SIDE * AUGMENT_SIDE];
    augment_test_halves(p, colours);
    data_augmenter g = augment_test_only(NULL, 0.875);
    augment_test_run(&g, p, 0, 0);
    double mean = augment_test_grey(0) + augment_test_grey(1), distance = augment_test_grey(0) - augment_test_grey(1),
           chroma = augment_test_channel(0, 0) - augment_test_channel(0, 2);
    double least[3] = {9, 9, 9}, most[3] = {0}, sum[3] = {0}, product[3][3] = {{0}};
    g = augment_test_only(augment_test_jitters, 0.875);
    for (int i = 0; i < draws; i++) {
        augment_test_run(&g, p, 0, i);
        double f[3] = {augment_test_grey(0) + augment_test_grey(1), augment_test_grey(0) - augment_test_grey(1),
                       augment_test_channel(0, 0) - augment_test_channel(0, 2)};
        f[2] /= f[1] / distance * chroma, f[1] /= f[0] / mean * distance, f[0] /= mean;
        for (int j = 0; j < 3; j++) {
            least[j] = fmin(least[j], f[j]), most[j] = fmax(most[j], f[j]), sum[j] += f[j];
            for (int k = 0; k < 3; k++) product[j][k] += (f[j] - 1) * (f[k] - 1);
        }
    }
    static const char *const what[3] = {"brightness", "contrast", "saturation"};
    const double variance = 0.8 * 0.8 / 12; // that of its square: 4/5 variance^2
    for (int j = 0; j < 3; j++) {
        if (fabs(least[j] - 0.6) > 0.1 || fabs(most[j] - 1.4) > 0.1)
            TEST_FAIL("%s: %g to %g, expected 0.6 to 1.4", what[j], least[j], most[j]);
        if (fabs(sum[j] / draws - 1) > 4.5 * sqrt(variance / draws) + 0.01)
            TEST_FAIL("%s: mean %g, expected 1", what[j], sum[j] / draws);
        for (int k = 0; k <= j; k++) {
            double expected = j == k ? variance : 0, deviation = (j == k ? sqrt(0.8) : 1) * variance / sqrt(draws);
            if (fabs(product[j][k] / draws - expected) > 4.5 * deviation + 0.01 * variance)
                TEST_FAIL("%s, %s: covariance %g, expected %g", what[j], what[k], product[j][k] / draws, expected);
        }
    }
}

static void augment_test_jitters_hard(data_augment *o) {
    o->color_jitter = 1e6;
}

/* With factors so large each operator leaves black and full channels only, which the next ones leave alone. But
 * saturation passes grey by: of a grey and a coloured half, brightness first makes all white; contrast first, the grey
 * black; saturation first, the coloured half, and what comes second the grey: white, or black. */
TEST(augment_jitter_has_a_random_order) {
    enum { draws = 3000 };
    static const uint8_t colours[2][3] = {{60, 60, 60}, {120, 90, 70}};
    uint8_t p[3 * AUGMENT_SIDE * AUGMENT_SIDE];
    augment_test_halves(p, colours);
    data_augmenter g = augment_test_only(augment_test_jitters_hard, 0.875);
    int brightness = 0, contrast = 0, then_brightness = 0, then_contrast = 0;
    for (int i = 0; i < draws; i++) {
        augment_test_run(&g, p, 0, i);
        bool white = augment_test_channel(0, 0) == 255, all = augment_test_channel(1, 2) == 255;
        bool saturated = augment_test_channel(1, 1) == 0;
        brightness += white && all, contrast += !white && !saturated;
        then_brightness += white && saturated, then_contrast += !white && saturated;
    }
    augment_test_share("brightness first", brightness, draws, 1. / 3);
    augment_test_share("contrast first", contrast, draws, 1. / 3);
    augment_test_share("saturation, then brightness", then_brightness, draws, 1. / 6);
    augment_test_share("saturation, then contrast", then_contrast, draws, 1. / 6);
}

TEST(augment_fill_colour_is_the_mean) {
    data_augment o = data_augment_official();
    data_augmenter g;
    image_transform t = {AUGMENT_SIDE, 0.875, IMAGE_BICUBIC, {0.485f, 0.456f, 0.406f}, {1, 1, 1}, IMAGE_FIT_NONE};
    CHECK_OK(data_augmenter_make(&g, &o, &t));
    CHECK(g.look.fill[0] == 124 && g.look.fill[1] == 116 && g.look.fill[2] == 104);
}

TEST(augment_small_pictures_shift_by_every_offset) {
    uint8_t p[3 * AUGMENT_SIDE * AUGMENT_SIDE];
    augment_test_ramp(p, false);
    data_augmenter g = augment_test_only(NULL, 0);
    uint64_t seen[81];
    int n = 0;
    for (int i = 0; i < 1000; i++) {
        augment_test_run(&g, p, 0, i);
        uint64_t h = base_fnv1a64(augment_test_out, sizeof augment_test_out);
        int k = 0;
        while (k < n && seen[k] != h) k++;
        if (k == n && n < 81) seen[n++] = h;
    }
    CHECK_EQ_INT(n, 81);
}

TEST(augment_simple_crop_mirrors_at_the_edge) {
    uint8_t p[3 * AUGMENT_SIDE * AUGMENT_SIDE];
    augment_test_ramp(p, true);
    data_augmenter g = augment_test_only(augment_test_crops, 0.875);
    g.policy.choices = 0;
    for (int i = 0; i < 50; i++) {
        augment_test_run(&g, p, 0, i);
        for (int k = 0; k < 3 * AUGMENT_SIDE * AUGMENT_SIDE; k++) CHECK(augment_test_out[k] == 1);
    }
}

TEST(augment_random_interpolation_is_both) {
    data_augmenter g = augment_test_only(NULL, 0.875);
    g.options.interpolation = DATA_RANDOM;
    int bicubic = 0;
    for (uint64_t i = 0; i < 100; i++) {
        base_random r = base_random_stream(1, 0, i, 0);
        augment_choice c = {&g, &r};
        image_box b;
        augment_choose(&c, 50, 50, &b);
        bicubic += b.filter == IMAGE_BICUBIC;
    }
    CHECK(bicubic > 25 && bicubic < 75);
}

TEST(augment_erasing_aspects_and_places) {
    enum { size = 64, draws = 4000 };
    static float image[3 * size * size];
    data_augment o = data_augment_official();
    o.reprob = 1;
    double square = 0, left = 0, top = 0;
    for (uint64_t i = 0; i < draws; i++) {
        base_random random = base_random_stream(9, 0, i, DATA_RANDOM_ERASE);
        int box[4];
        for (int k = 0; k < 3 * size * size; k++) image[k] = 9;
        data_erase(&o, &random, size, image);
        augment_test_erased(image, size, 0, box);
        int width = box[2] - box[0] + 1, height = box[3] - box[1] + 1;
        double a = log((double)height / width);
        square += a * a, left += box[0] / (double)(size - width), top += box[1] / (double)(size - height);
    }
    CHECK(fabs(square / draws - 0.4832) < 0.05);
    augment_test_mean("left", left, draws, 0.5, 0.3), augment_test_mean("top", top, draws, 0.5, 0.3);
}

TEST(augment_cutmix_minmax_boxes) {
    data_augment o = data_augment_official();
    o.mixup = 0, o.cutmix_minmax[0] = 0.2, o.cutmix_minmax[1] = 0.5;
    int square = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        base_random random = base_random_stream(8, 1, i, DATA_RANDOM_MIX);
        data_mix m;
        data_mix_draw(&o, &random, 1, 100, &m);
        int w = m.right - m.left, h = m.bottom - m.top;
        CHECK(fabs((double)m.keep - (1 - w * h / 1e4)) < 1e-6);
        square += w == h;
    }
    augment_test_share("square", square, 1000, 1. / 30);
}

TEST(augment_increasing_operators_go_down_too) {
    augment_test_counts c = augment_test_draw("rand-m9-mstd0.5-inc1", DATA_BICUBIC);
    CHECK(c.least[IMAGE_COLOR] == 0.1 && c.least[IMAGE_BRIGHTNESS] == 0.1);
}

TEST(augment_mixes_anew_each_epoch) {
    data_set *set;
    data_loader *loader;
    base_test_folder_begin();
    augment_test_set();
    data_training t = {.augment = data_augment_official(), .classes = 2};
    t.augment.smoothing = 0, t.augment.no_aug = true;
    data_loader_options options = augment_test_options(1, &t);
    CHECK_OK(data_test_open(&set, "set", NULL, NULL));
    CHECK_OK(data_loader_open(&loader, set, &options, NULL));
    float seen[16];
    int n = 0;
    for (int e = 0; e < 8; e++) {
        data_batch b;
        CHECK_OK(data_loader_next(loader, &b));
        for (int k = 0; k < 4; k++) {
            float v = b.targets[2 * k + b.labels[k]];
            if (v <= 0 || v >= 1) continue;
            int j = 0;
            while (j < n && seen[j] != v) j++;
            if (j == n && n < 16) seen[n++] = v;
        }
    }
    CHECK(n >= 3);
    data_loader_close(loader);
    data_close(set);
    base_test_folder_end();
}

TEST(augment_labels_beside_bad_files) {
    data_set *set;
    data_loader *loader;
    base_test_folder_begin();
    augment_test_set();
    data_test_make("set/ant/2.png", "not a picture", 13); /* a bee stands in */
    data_training t = {.augment = data_augment_official(), .classes = 2};
    data_loader_options options = augment_test_options(1, &t);
    options.max_bad = 1;
    CHECK_OK(data_test_open(&set, "set", NULL, NULL));
    CHECK_OK(data_loader_open(&loader, set, &options, NULL));
    for (int i = 0; i < 10; i++) {
        data_batch b;
        CHECK_OK(data_loader_next(loader, &b));
        for (int k = 0; k < 4; k++) CHECK_EQ_INT(b.labels[k], data_label(set, b.items[k]));
    }
    data_loader_close(loader);
    data_loader_options plain = augment_test_options(1, NULL);
    plain.max_bad = 1, plain.batch = 6;
    data_batch b;
    CHECK_OK(data_loader_open(&loader, set, &plain, NULL));
    CHECK_OK(data_loader_next(loader, &b));
    CHECK_EQ_INT(b.n, 5);
    for (int k = 0; k < 5; k++) CHECK_EQ_INT(b.labels[k], data_label(set, b.items[k]));
    data_loader_close(loader);
    data_close(set);
    base_test_folder_end();
}
