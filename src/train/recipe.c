/* Recipes: named sets of options, and files of flags. */
#include "train/internal.h"

#include <string.h>

/* RECIPE's settings; those of the official script's defaults that matter are repeated, so that they are seen. Total
 * batches are of processes times images there, here of passes times images, dealt alike: Mixup and batch norm see the
 * same parts. */
static const struct {
    const char *name, *what, *flags;
} recipe_table[] = {
    {"deit", "DeiT's pre-training: 1024 images a step",
     "--batch-size 64 --accumulate 16 --epochs 300 --opt adamw --lr 5e-4 --weight-decay 0.05 --warmup-epochs 5 "
     "--drop-path 0.1 --smoothing 0.1 --mixup 0.8 --cutmix 1.0 --aa rand-m9-mstd0.5-inc1 --reprob 0.25 --repeated-aug"},
    {"deit-finetune", "another resolution, with --finetune: 512 images a step at 384",
     "--input-size 384 --batch-size 32 --accumulate 16 --epochs 30 --lr 5e-6 --min-lr 5e-6 --weight-decay 1e-8"},
    {"transfer-sgd", "CIFAR and Cars, with --finetune, as the authors answered: 768 images a step",
     "--batch-size 64 --accumulate 12 --epochs 1000 --opt sgd --lr 0.01 --unscale-lr --weight-decay 1e-4 --reprob 0 "
     "--drop-path 0"},
    {"transfer-inat", "iNaturalist, with --finetune: 768 images a step",
     "--batch-size 64 --accumulate 12 --epochs 360 --opt adamw --lr 7.5e-5 --unscale-lr --weight-decay 0.05 "
     "--warmup-epochs 5 --reprob 0.1 --drop-path 0.1 --mixup 0.8 --cutmix 1.0 --repeated-aug"},
    {"vit", "ViT-B's of Table 9: 4096 images a step",
     "--batch-size 64 --accumulate 64 --epochs 300 --opt adamw --lr 0.003 --unscale-lr --weight-decay 0.3 "
     "--warmup-epochs 3.4 --smoothing 0 --drop 0.1 --drop-path 0 --no-repeated-aug --clip-grad 1 --aa none "
     "--color-jitter 0 --mixup 0 --cutmix 0 --reprob 0"},
};
enum { RECIPE_COUNT = sizeof recipe_table / sizeof *recipe_table };

DEIT_INTERNAL const char *train_recipe_at(int index, const char **what) {
    if (index < 0 || index >= RECIPE_COUNT) return NULL;
    *what = recipe_table[index].what;
    return recipe_table[index].name;
}

/* The next word of *at, NULL at its end: up to white space, or what stands in quotes on a line. Cuts the text. '#'
 * begins a comment. */
static base_status recipe_word(char **at, char **word) {
    char *c = *at;
    for (;;) {
        c += strspn(c, " \t\r\n\\");
        if (*c != '#') break;
        c += strcspn(c, "\n");
    }
    *at = c, *word = NULL;
    if (!*c) return BASE_OK;
    bool quoted = *c == '\'' || *c == '"';
    const char until[] = {quoted ? *c : ' ', quoted ? '\n' : '\t', '\r', '\n', 0};
    char *begin = c + quoted, *end = begin + strcspn(begin, until);
    if (quoted && *end != *c)
        return base_fail_as(BASE_USAGE, "expected a closing quote on the line of %.*s", (int)(end - c), c);
    *at = *end ? end + 1 : end;
    *end = 0, *word = begin;
    return BASE_OK;
}

static base_status recipe_unknown(const char *name) {
    const char *names[TRAIN_MOST_OPTIONS];
    int n = 0;
    for (const train_option *option; n < TRAIN_MOST_OPTIONS && (option = train_option_at(n)); n++)
        names[n] = option->name;
    const char *near = base_nearest(name, names, n);
    return base_fail_as(BASE_USAGE, "no option --%s%s%s%s", name, near ? "; did you mean --" : "", near ? near : "",
                        near ? "?" : "");
}

/* Sets what flags in a text say: "--lr 0.1 --no-model-ema"; the text is cut up. */
static base_status recipe_apply(train_options *options, char *text) {
    for (char *word;;) {
        BASE_TRY(recipe_word(&text, &word));
        if (!word) return BASE_OK;
        if (strncmp(word, "--", 2)) return base_fail_as(BASE_USAGE, "expected a flag, found '%s'", word);
        char *name = word + 2, *value = strchr(name, '=');
        if (value) *value++ = 0;
        bool no = !strncmp(name, "no-", 3);
        const train_option *option = train_option_find(no ? name + 3 : name);
        if (!option || (no && option->kind != TRAIN_SWITCH)) return recipe_unknown(name);
        if (option->kind == TRAIN_SWITCH && value)
            return base_fail_as(BASE_USAGE, "--%s: expected no value, found '%s'", name, value);
        if (option->kind == TRAIN_SWITCH)
            value = no ? "no" : "yes";
        else if (!value)
            BASE_TRY(recipe_word(&text, &value));
        if (!value) return base_fail_as(BASE_USAGE, "--%s: expected a value after it", name);
        char pair[80], *second;
        text += strspn(text, " \t\r\n\\");
        if (option->kind == TRAIN_PAIR && !strchr(value, ',') && *text && strchr("0123456789.", *text)) {
            BASE_TRY(recipe_word(&text, &second));
            snprintf(pair, sizeof pair, "%s,%s", value, second);
            value = pair;
        }
        BASE_TRY(train_options_set(options, option, value));
    }
}

DEIT_INTERNAL base_status train_recipe(train_options *options, const char *recipe) {
    char *text = NULL;
    size_t size;
    for (int i = 0; i < RECIPE_COUNT && !text; i++)
        if (!strcmp(recipe_table[i].name, recipe) && !(text = base_strdup(recipe_table[i].flags))) return BASE_ERROR;
    if (!text) {
        char names[128] = "";
        for (int i = 0; i < RECIPE_COUNT; i++)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", recipe_table[i].name);
        if (!base_path_exists(recipe))
            return base_fail_as(BASE_USAGE, "--recipe: expected %s or a file, found '%s'", names, recipe);
        BASE_TRY(base_read_file(recipe, 1 << 20, &text, &size));
    }
    base_status status = recipe_apply(options, text);
    base_free(text);
    return base_fail_in(status, "recipe %s", recipe);
}
