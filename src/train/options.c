/* The table of training's options: names and defaults of the official script, from text, to text and to JSON. */
#include "train/internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const options_optimizers[] = {"adamw", "sgd", NULL}; // in train_rule's order
static const char *const options_schedules[] = {"cosine", "step", NULL};
static const char *const options_interpolations[] = {"bicubic", "bilinear", "random", NULL};
static const char *const options_modes[] = {"pixel", "const", "rand", NULL};
static const char *const options_mixing[] = {"batch", "pair", "elem", NULL};
static const char *const options_distillations[] = {"none", "soft", "hard", NULL}; // in train_distillation's order
static const char *const options_precisions[] = {"f32", "bf16", NULL};
static const char *const options_heads[] = {"mean", "class", "dist", NULL}; // in model_head's order
static const char *const options_fits[] = {"none", "pad", "resize", NULL};  // in image_fit's order

#define OPTION(text, type, member, value, ...)                                                                         \
    { .name = (text), .kind = (type), .offset = offsetof(train_options, member), .preset = (value), __VA_ARGS__ }
static const train_option options_table[] = {
    OPTION("model", TRAIN_MODEL, model, "deit_base_patch16_224", .section = "Network",
           .help = "a network by timm's name, or vit for one described by the flags below"),
    OPTION("input-size", TRAIN_INT, input_size, "0", .most = 8192, .help = "side of the image; 0: the network's own"),
    OPTION("patch", TRAIN_INT, patch, "16", .least = 1, .most = 1024, .help = "vit: side of a patch"),
    OPTION("dim", TRAIN_INT, dim, "192", .least = 1, .most = 65536, .help = "vit: width of a token"),
    OPTION("depth", TRAIN_INT, depth, "12", .least = 1, .most = 1000, .help = "vit: number of blocks"),
    OPTION("heads", TRAIN_INT, heads, "3", .least = 1, .most = 1024, .help = "vit: attention heads"),
    OPTION("distilled", TRAIN_SWITCH, distilled, "no", .help = "vit: with a distillation token and its head"),
    OPTION("drop", TRAIN_REAL, drop, "0", .most = 0.99, .help = "dropout"),
    OPTION("drop-path", TRAIN_REAL, drop_path, "0.1", .most = 0.99,
           .help = "stochastic depth, from 0 at the first block to this at the last"),
    OPTION("finetune", TRAIN_FILE, finetune, "",
           .help = "weights to begin from; positions are interpolated, heads of another shape made anew"),
    OPTION("train-mode", TRAIN_SWITCH, train_mode, "auto",
           .help = "dropout, drop path and batch statistics on; without either flag: on, but off with --finetune"),
    OPTION("freeze", TRAIN_TEXT, freeze, "",
           .help = "parameters to leave as they are: patterns separated by commas (blocks.0.*,pos_embed)"),

    OPTION("data-path", TRAIN_FILE, data_path, "", .section = "Data", .may_change = true,
           .help = "folder, archive, CIFAR or idx files with a training and a test split"),
    OPTION("data", TRAIN_FILE, data_path, "", .alias = true, .may_change = true, .help = "the same as --data-path"),
    OPTION("train-split", TRAIN_TEXT, train_split, "train", .help = "the split to train on"),
    OPTION("test-split", TRAIN_TEXT, test_split, "",
           .help = "the split to evaluate on; empty: val, validation or test, whichever there is"),
    OPTION("fit", TRAIN_CHOICE, fit, "none", .choices = options_fits,
           .help = "to networks of 32 pixels and less, where pictures are not resized otherwise"),
    OPTION("eval-crop-ratio", TRAIN_REAL, eval_crop_ratio, "0.875", .least = 0.1, .most = 1,
           .help = "part of the resized side that evaluation's centre crop takes, above 32 pixels"),
    OPTION("num-workers", TRAIN_INT, num_workers, "0", .most = 256, .may_change = true,
           .help = "threads that decode and augment; 0: one a core"),
    OPTION("max-bad", TRAIN_INT, max_bad, "0", .most = 1e9, .may_change = true, .help = "files that may be unreadable"),

    OPTION("batch-size", TRAIN_INT, batch_size, "64", .section = "Optimisation", .least = 1, .most = 1e6,
           .help = "images a pass"),
    OPTION("accumulate", TRAIN_INT, accumulate, "1", .least = 1, .most = 1e6,
           .help = "passes a step; Ctrl-C drops those of a step that is not finished"),
    OPTION("epochs", TRAIN_INT, epochs, "300", .least = 1, .most = 1e6, .may_change = true,
           .help = "passes over the training set"),
    OPTION("opt", TRAIN_CHOICE, opt, "adamw", .choices = options_optimizers, .help = "sgd: with Nesterov's momentum"),
    OPTION("opt-eps", TRAIN_REAL, opt_eps, "1e-8", .most = 1, .help = "AdamW's epsilon"),
    OPTION("opt-betas", TRAIN_PAIR, opt_betas, "0.9,0.999", .most = 0.999999999, .help = "AdamW's betas"),
    OPTION("clip-grad", TRAIN_REAL, clip_grad, "0", .most = 1e9, .help = "norm that all gradients are cut to; 0: none"),
    OPTION("momentum", TRAIN_REAL, momentum, "0.9", .most = 1, .help = "of SGD"),
    OPTION("weight-decay", TRAIN_REAL, weight_decay, "0.05", .most = 10,
           .help = "not on one-dimensional tensors, pos_embed and cls_token"),
    OPTION("sched", TRAIN_CHOICE, sched, "cosine", .choices = options_schedules, .help = "of the learning rate"),
    OPTION("lr", TRAIN_REAL, lr, "5e-4", .most = 1e6, .help = "learning rate for 512 images a step"),
    OPTION("unscale-lr", TRAIN_SWITCH, unscale_lr, "no", .help = "take --lr as it is, whatever the images a step"),
    OPTION("warmup-lr", TRAIN_REAL, warmup_lr, "1e-6", .most = 1e6, .help = "where the warm-up begins"),
    OPTION("min-lr", TRAIN_REAL, min_lr, "1e-5", .most = 1e6, .help = "where the cosine ends"),
    OPTION("decay-epochs", TRAIN_REAL, decay_epochs, "30", .least = 1e-3, .most = 1e6,
           .help = "--sched step: its steps"),
    OPTION("decay-rate", TRAIN_REAL, decay_rate, "0.1", .most = 1, .help = "--sched step: factor a step"),
    OPTION("dr", TRAIN_REAL, decay_rate, "0.1", .alias = true, .most = 1, .help = "the same as --decay-rate"),
    OPTION("warmup-epochs", TRAIN_REAL, warmup_epochs, "5", .most = 1e6, .help = "epochs of rising rate"),
    OPTION("cooldown-epochs", TRAIN_INT, cooldown_epochs, "0", .most = 1e6, .may_change = true,
           .help = "epochs after --epochs, from the second on at --min-lr: the rate lags by one, as the official "
                   "script's (which asks for 10 and never runs them)"),
    OPTION("model-ema", TRAIN_SWITCH, model_ema, "yes", .help = "keep a moving average of the weights"),
    OPTION("model-ema-decay", TRAIN_REAL, model_ema_decay, "0.99996", .most = 1, .help = "of that average, a step"),
    OPTION("seed", TRAIN_INT, seed, "0", .most = 9e15, .help = "of everything random"),

    OPTION("augment", TRAIN_SWITCH, augment, "yes", .section = "Augmentation",
           .help = "--no-augment: images as in evaluation; smoothing and mixing have flags of their own"),
    OPTION("color-jitter", TRAIN_REAL, color_jitter, "0.4", .most = 1,
           .help = "brightness, contrast, saturation; only where --aa is none"),
    OPTION("aa", TRAIN_TEXT, aa, "rand-m9-mstd0.5-inc1", .help = "policy: rand-..., original, v0, none"),
    OPTION("ThreeAugment", TRAIN_SWITCH, three_augment, "no", .help = "grey, solarize or blur in place of --aa"),
    OPTION("src", TRAIN_SWITCH, simple_crop, "no", .help = "simple random crop in place of the random resized crop"),
    OPTION("smoothing", TRAIN_REAL, smoothing, "0.1", .most = 1, .help = "label smoothing"),
    OPTION("train-interpolation", TRAIN_CHOICE, train_interpolation, "bicubic", .choices = options_interpolations,
           .help = "of the random resized crop"),
    OPTION("repeated-aug", TRAIN_SWITCH, repeated_aug, "yes", .help = "three views of every image, a third an epoch"),
    OPTION("reprob", TRAIN_REAL, reprob, "0.25", .most = 1, .help = "probability of random erasing"),
    OPTION("remode", TRAIN_CHOICE, remode, "pixel", .choices = options_modes, .help = "what erases"),
    OPTION("recount", TRAIN_INT, recount, "1", .least = 1, .most = 100, .help = "rectangles erased at most"),
    OPTION("mixup", TRAIN_REAL, mixup, "0.8", .most = 1e3, .help = "alpha; 0: none"),
    OPTION("cutmix", TRAIN_REAL, cutmix, "1.0", .most = 1e3, .help = "alpha; 0: none"),
    OPTION("cutmix-minmax", TRAIN_PAIR, cutmix_minmax, "", .most = 1, .help = "side of the box in place of alpha"),
    OPTION("mixup-prob", TRAIN_REAL, mixup_prob, "1.0", .most = 1, .help = "probability of mixing at all"),
    OPTION("mixup-switch-prob", TRAIN_REAL, mixup_switch_prob, "0.5", .most = 1, .help = "of CutMix where both are on"),
    OPTION("mixup-mode", TRAIN_CHOICE, mixup_mode, "batch", .choices = options_mixing, .help = "one lambda for whom"),

    OPTION("distillation-type", TRAIN_CHOICE, distillation_type, "none", .section = "Distillation",
           .choices = options_distillations,
           .help = "through the distillation token, or the class head where there is none"),
    OPTION("distillation-alpha", TRAIN_REAL, distillation_alpha, "0.5", .most = 1, .help = "the teacher's share"),
    OPTION("distillation-tau", TRAIN_REAL, distillation_tau, "1.0", .least = 1e-6, .most = 1e6,
           .help = "temperature of soft"),
    OPTION("teacher-model", TRAIN_MODEL, teacher_model, "regnety_160", .help = "the teacher's network"),
    OPTION("teacher-path", TRAIN_FILE, teacher_path, "", .may_change = true, .help = "its weights"),
    OPTION("teacher-resolution", TRAIN_INT, teacher_resolution, "0", .most = 16384,
           .help = "side of the images it sees; 0: the student's"),

    OPTION("output-dir", TRAIN_FOLDER, output_dir, "", .section = "The run", .may_change = true,
           .help = "the run's folder: options, log, curves, checkpoints"),
    OPTION("eval", TRAIN_SWITCH, eval, "no", .may_change = true, .help = "evaluate only"),
    OPTION("val-interval", TRAIN_INT, val_interval, "1", .least = 1, .most = 1e6, .may_change = true,
           .help = "epochs between evaluations, as timm's; the last epoch ends with one"),
    OPTION("start-epoch", TRAIN_INT, start_epoch, "0", .most = 1e6, .help = "epoch to begin with"),
    OPTION("save-steps", TRAIN_INT, save_steps, "0", .most = 1e12, .may_change = true,
           .help = "steps between checkpoints within an epoch; 0: half an hour"),
    OPTION("precision", TRAIN_CHOICE, precision, "f32", .choices = options_precisions, .help = "of the arithmetic"),
    OPTION("recompute", TRAIN_SWITCH, recompute, "no", .may_change = true,
           .help = "less memory: the backward computes values again"),
    OPTION("threads", TRAIN_INT, threads, "0", .most = 4096, .may_change = true, .help = "in all; 0: every core"),
    OPTION("head", TRAIN_CHOICE, head, "mean", .choices = options_heads, .may_change = true,
           .help = "that evaluation asks of a distilled network: its heads' mean, or one"),
};
#undef OPTION
enum { OPTIONS_COUNT = sizeof options_table / sizeof *options_table };

DEIT_INTERNAL const train_option *train_option_at(int index) {
    return index < 0 || index >= OPTIONS_COUNT ? NULL : &options_table[index];
}

/* The official script has words with '_' among those with '-'. */
static bool options_same_name(const char *a, const char *b) {
    while (*a && (*a == *b || (strchr("-_", *a) && strchr("-_", *b) && *b))) a++, b++;
    return !*a && !*b;
}

DEIT_INTERNAL const train_option *train_option_find(const char *name) {
    for (int i = 0; i < OPTIONS_COUNT; i++)
        if (options_same_name(options_table[i].name, name)) return &options_table[i];
    return NULL;
}

static void *options_at(const train_options *options, const train_option *option) {
    return (char *)options + option->offset;
}

/* ---- From text --------------------------------------------------------------------------------------------------- */

static base_status options_number(const train_option *option, const char *text, bool whole, double *number) {
    char *end;
    errno = 0;
    double value = whole ? (double)strtoll(text, &end, 10) : strtod(text, &end);
    if (end != text && !*end && !errno && value >= option->least && value <= option->most) {
        *number = value;
        return BASE_OK;
    }
    return base_fail_as(BASE_USAGE, "--%s: expected a %snumber from %.10g to %.10g, found '%s'", option->name,
                        whole ? "whole " : "", option->least, option->most, text);
}

/* "0.9,0.999", or with a space between; "" where a pair may be absent. */
static base_status options_pair(const train_option *option, const char *text, double pair[2]) {
    char copy[64], *second;
    if (!*text && !*option->preset) {
        pair[0] = pair[1] = -1;
        return BASE_OK;
    }
    snprintf(copy, sizeof copy, "%s", text);
    if (strlen(text) >= sizeof copy || !(second = strpbrk(copy, ", ")))
        return base_fail_as(BASE_USAGE, "--%s: expected two numbers such as %s, found '%s'", option->name,
                            *option->preset ? option->preset : "0.2,0.8", text);
    *second++ = 0;
    BASE_TRY(options_number(option, copy, false, &pair[0]));
    return options_number(option, second, false, &pair[1]);
}

static base_status options_choice(const train_option *option, const char *text, int *value) {
    base_text words = {0};
    for (int i = 0; option->choices[i]; i++) {
        if (!strcmp(option->choices[i], text)) {
            *value = i;
            base_text_free(&words);
            return BASE_OK;
        }
        base_text_printf(&words, i ? "|%s" : "%s", option->choices[i]);
    }
    base_status status =
        base_fail_as(BASE_USAGE, "--%s: expected %s, found '%s'", option->name, words.data ? words.data : "", text);
    base_text_free(&words);
    return status;
}

static base_status options_switch(const train_option *option, const char *text, int *value) {
    static const char *const words[] = {"no", "yes", "auto"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, words[i])) {
            *value = i < 2 ? i : -1;
            return BASE_OK;
        }
    return base_fail_as(BASE_USAGE, "--%s: expected yes or no, found '%s'", option->name, text);
}

DEIT_INTERNAL base_status train_options_set(train_options *options, const train_option *option, const char *text) {
    void *value = options_at(options, option);
    double number = 0;
    switch (option->kind) {
    case TRAIN_SWITCH: return options_switch(option, text, value);
    case TRAIN_CHOICE: return options_choice(option, text, value);
    case TRAIN_PAIR: return options_pair(option, text, value);
    case TRAIN_REAL: return options_number(option, text, false, value);
    case TRAIN_INT:
        BASE_TRY(options_number(option, text, true, &number));
        *(int64_t *)value = (int64_t)number;
        return BASE_OK;
    default: break;
    }
    json_t *kept = json_string(text);
    if (!kept)
        return base_fail_as(BASE_USAGE,
                            "--%s: expected UTF-8, which a run's args.json is, found '%s'; give it another name, or a "
                            "link to it",
                            option->name, text);
    json_decref(kept);
    return (*(const char **)value = base_arena_printf(&options->texts, "%s", text)) ? BASE_OK : BASE_ERROR;
}

DEIT_INTERNAL base_status train_options_init(train_options *options) {
    *options = (train_options){0};
    for (int i = 0; i < OPTIONS_COUNT; i++)
        BASE_TRY(train_options_set(options, &options_table[i], options_table[i].preset));
    return BASE_OK;
}

DEIT_INTERNAL void train_options_free(train_options *options) {
    base_arena_free(&options->texts);
    *options = (train_options){0};
}

/* ---- To text and JSON -------------------------------------------------------------------------------------------- */

/* The shortest decimal that reads back as the same number; whole ones as people write them, not 3e+01. */
static void options_real_text(double number, char text[32]) {
    if (number == rint(number) && fabs(number) < 1e6) {
        snprintf(text, 32, "%.0f", number);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, 32, "%.*g", digits, number);
        if (strtod(text, NULL) == number) return;
    }
}

DEIT_INTERNAL const char *train_option_text(const train_options *options, const train_option *option, char text[80]) {
    const void *value = options_at(options, option);
    char second[32];
    switch (option->kind) {
    case TRAIN_SWITCH: return *(const int *)value < 0 ? "auto" : *(const int *)value ? "yes" : "no";
    case TRAIN_CHOICE: return option->choices[*(const int *)value];
    case TRAIN_INT: snprintf(text, 80, "%lld", (long long)*(const int64_t *)value); return text;
    case TRAIN_REAL: options_real_text(*(const double *)value, text); return text;
    case TRAIN_PAIR:
        if (((const double *)value)[0] < 0) return "";
        options_real_text(((const double *)value)[0], text);
        options_real_text(((const double *)value)[1], second);
        snprintf(text + strlen(text), 80 - strlen(text), ",%s", second);
        return text;
    default: return *(const char *const *)value;
    }
}

/* A flag as it would be typed. */
static void options_flag(base_text *out, const train_options *options, const train_option *option) {
    char room[80];
    const char *text = train_option_text(options, option, room);
    bool is_switch = option->kind == TRAIN_SWITCH;
    base_text_printf(out, "--%s%s", is_switch && *text == 'n' ? "no-" : "", option->name);
    if (is_switch) return;
    base_text_printf(out, " ");
    base_text_shell(out, text);
}

DEIT_INTERNAL void train_options_print(const train_options *options, base_text *out) {
    char room[80];
    for (int i = 0; i < OPTIONS_COUNT; i++) {
        const train_option *option = &options_table[i];
        const char *text = train_option_text(options, option, room);
        train_options preset = {0}; // by value: "5e-4" is 0.0005
        if (option->alias || !strcmp(text, option->preset)) continue;
        char other[80];
        bool same = !train_options_set(&preset, option, option->preset) &&
                    !strcmp(train_option_text(&preset, option, other), text);
        train_options_free(&preset);
        if (same) continue;
        if (out->size) base_text_printf(out, " ");
        options_flag(out, options, option);
    }
}

/* The official names: batch_size. */
static void options_key(const train_option *option, char key[40]) {
    snprintf(key, 40, "%s", option->name);
    for (char *c = key; *c; c++)
        if (*c == '-') *c = '_';
}

static json_t *options_value(const train_options *options, const train_option *option) {
    const void *value = options_at(options, option);
    char room[80];
    switch (option->kind) {
    case TRAIN_SWITCH: return *(const int *)value < 0 ? json_null() : json_boolean(*(const int *)value);
    case TRAIN_INT: return json_integer(*(const int64_t *)value);
    case TRAIN_REAL: return json_real(*(const double *)value);
    case TRAIN_PAIR:
        if (*(const double *)value < 0) return json_null();
        return json_pack("[f, f]", ((const double *)value)[0], ((const double *)value)[1]);
    default: return json_string(train_option_text(options, option, room));
    }
}

DEIT_INTERNAL base_status train_options_goes_on(const train_options *begun, const train_options *options,
                                                const char *run) {
    for (int i = 0; i < OPTIONS_COUNT; i++) {
        const train_option *option = &options_table[i];
        char room[2][80];
        const char *old = train_option_text(begun, option, room[0]), *now = train_option_text(options, option, room[1]);
        if (option->may_change || !strcmp(old, now)) continue;
        return base_fail_as(
            BASE_USAGE,
            "--%s: the run in %s was begun with '%s', not '%s'; leave the flag out to go on with it, or "
            "begin another run with another --output-dir",
            option->name, run, old, now);
    }
    return BASE_OK;
}

DEIT_INTERNAL json_t *train_options_json(const train_options *options) {
    json_t *json = json_object();
    for (int i = 0; i < OPTIONS_COUNT && json; i++) {
        char key[40];
        if (options_table[i].alias) continue;
        options_key(&options_table[i], key);
        if (json_object_set_new(json, key, options_value(options, &options_table[i]))) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
}

static base_status options_set_json(train_options *options, const train_option *option, const json_t *value) {
    char text[80] = "";
    switch (json_typeof(value)) {
    case JSON_TRUE: return train_options_set(options, option, "yes");
    case JSON_FALSE: return train_options_set(options, option, "no");
    case JSON_NULL: return train_options_set(options, option, option->kind == TRAIN_SWITCH ? "auto" : "");
    case JSON_STRING: return train_options_set(options, option, json_string_value(value));
    case JSON_INTEGER: snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value)); break;
    case JSON_REAL: options_real_text(json_real_value(value), text); break;
    case JSON_ARRAY: {
        char second[32];
        options_real_text(json_number_value(json_array_get(value, 0)), text);
        options_real_text(json_number_value(json_array_get(value, 1)), second);
        snprintf(text + strlen(text), sizeof text - strlen(text), ",%s", second);
        break;
    }
    default: break;
    }
    return train_options_set(options, option, text);
}

DEIT_INTERNAL base_status train_options_read(train_options *options, const char *path) {
    char *data;
    size_t size;
    BASE_TRY(base_read_file(path, 1 << 20, &data, &size));
    json_error_t error;
    json_t *json = json_loadb(data, size, 0, &error);
    base_free(data);
    if (!json_is_object(json)) {
        base_status none =
            json ? base_fail("%s: expected a JSON object of options, found something else", path)
                 : base_fail("%s: expected a JSON object of options: line %d: %s", path, error.line, error.text);
        json_decref(json);
        return none;
    }
    const char *key;
    json_t *value;
    base_status status = BASE_OK;
    json_object_foreach(json, key, value) {
        const train_option *option = train_option_find(key);
        status = option ? options_set_json(options, option, value) : base_fail("no option '%s' in this version", key);
        if (status) break;
    }
    json_decref(json);
    return base_fail_in(status, "%s", path);
}
