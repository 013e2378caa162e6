/* deit train: trains, distils, fine-tunes. */
#include "cli/internal.h"
#include "train/train.h"

#include <stdlib.h>
#include <string.h>

static struct {
    const char *recipe, *resume;
    bool json, print;
    const char *text[TRAIN_MOST_OPTIONS]; // what a flag gave; before parsing the default, for the help
    int number[TRAIN_MOST_OPTIONS];       // of choices and switches
} train_given;

/* ---- Flags, from the table of options ---------------------------------------------------------------------------- */

static const void *train_given_value(int i, const train_option *option) {
    bool number = option->kind == TRAIN_SWITCH || option->kind == TRAIN_CHOICE;
    return number ? (const void *)&train_given.number[i] : (const void *)&train_given.text[i];
}

static cli_flag train_flag_of(int i, const train_option *option) {
    static const cli_kind kinds[] = {CLI_SWITCH, CLI_CHOICE, CLI_TEXT,   CLI_TEXT, CLI_PAIR,
                                     CLI_TEXT,   CLI_FILE,   CLI_FOLDER, CLI_MODEL}; // in train_kind's order
    static const char *const words[] = {NULL, NULL, "N", "X", "X,Y", NULL, NULL, NULL, NULL};
    cli_flag flag = {.name = option->name,
                     .kind = kinds[option->kind],
                     .value = (void *)train_given_value(i, option),
                     .help = option->help,
                     .word = words[option->kind],
                     .choices = option->choices,
                     .section = option->section};
    train_given.text[i] = *option->preset ? option->preset : NULL;
    return flag;
}

static const cli_flag *train_flags(void) {
    static cli_flag flags[TRAIN_MOST_OPTIONS + 5];
    if (flags[0].name) return flags;
    int n = 0;
    flags[n++] = (cli_flag){"recipe", CLI_FILE, &train_given.recipe,
                            .help = "deit, deit-finetune, transfer-sgd, transfer-inat, vit, or a file of flags",
                            .word = "NAME|FILE"};
    flags[n++] = (cli_flag){"resume", CLI_FOLDER, &train_given.resume,
                            .help = "go on with the run in this folder, by its options; of the flags only those of "
                                    "where and how it runs may be given anew"};
    flags[n++] = (cli_flag){"print-options", CLI_YES, &train_given.print,
                            .help = "print what the recipe and the flags come to, and do nothing"};
    flags[n++] = (cli_flag){"json", CLI_YES, &train_given.json, .help = "print the result as JSON"};
    const train_option *option;
    for (int i = 0; (option = train_option_at(i)); i++) flags[n++] = train_flag_of(i, option);
    return flags;
}

/* Flags of the authors' scripts that are none here: names with '-', ended by NULL, and why. */
static const char *train_foreign(const char *name) {
    static const struct {
        const char *why, *names[16];
    } foreign[] = {
        {"it means nothing on CPUs in one process; leave it out",
         {"comment", "device", "dist-eval", "dist-url", "distributed", "local-rank", "model-ema-force-cpu", "ngpus",
          "no-pin-mem", "nodes", "partition", "pin-mem", "timeout", "use-volta32", "world-size"}},
        {"--output-dir names the folder of a run", {"job-dir"}},
        {"it is of the authors' later papers, which this program does not cover", {"attn-only", "bce-loss", "cosub"}},
        {"--data-path tells what a data set is by itself; leave it out", {"data-set"}},
        {"iNaturalist's classes are its species, as in the paper; leave it out", {"inat-category"}},
        {"no run of the paper has noise on its learning rate, nor has any here; leave it out",
         {"lr-noise", "lr-noise-pct", "lr-noise-std"}},
        {"it is of timm's plateau schedule, which is none of those of --sched; leave it out", {"patience-epochs"}},
        {"the authors' script takes it and never reads it; leave it out", {"resplit"}}};
    char plain[64];
    snprintf(plain, sizeof plain, "%s", name);
    for (char *c = plain; *c; c++)
        if (*c == '_') *c = '-';
    for (size_t k = 0; k < sizeof foreign / sizeof *foreign; k++)
        for (int i = 0; foreign[k].names[i]; i++)
            if (!strcmp(plain, foreign[k].names[i])) return foreign[k].why;
    return NULL;
}

/* The options that the run to go on with was begun with. */
static base_status train_begun(train_options *options) {
    if (strstr(train_given.resume, "://") ||
        (base_path_exists(train_given.resume) && !base_path_is_folder(train_given.resume)))
        return base_fail_as(BASE_USAGE,
                            "--resume %s: expected the folder of a run; weights alone are evaluated by 'deit eval "
                            "--weights FILE', and trained further by --finetune FILE ('deit weights fetch' gets them)",
                            train_given.resume);
    char *path = base_path_join(train_given.resume, "args.json");
    base_status status = !path ? BASE_ERROR
                         : base_path_exists(path)
                             ? train_options_read(options, path)
                             : base_fail("%s: no run to go on with (no args.json)", train_given.resume);
    base_free(path);
    return status;
}

/* The official script takes whatever flags it is given beside --resume, and trains on with a mixture of two runs. */
static base_status train_goes_on(const train_options *options) {
    train_options begun;
    base_status status = train_options_init(&begun);
    if (!status) status = train_begun(&begun);
    if (!status) status = train_options_goes_on(&begun, options, train_given.resume);
    train_options_free(&begun);
    return status;
}

/* Defaults, or those of the run to go on with; then the recipe, then the flags. */
static base_status train_gather(train_options *options) {
    BASE_TRY(train_options_init(options));
    if (train_given.resume) BASE_TRY(train_begun(options));
    if (train_given.recipe) BASE_TRY(train_recipe(options, train_given.recipe));
    const train_option *option;
    for (int i = 0; (option = train_option_at(i)); i++) {
        if (!cli_given(train_given_value(i, option))) continue;
        const char *text = option->kind == TRAIN_SWITCH   ? (train_given.number[i] ? "yes" : "no")
                           : option->kind == TRAIN_CHOICE ? option->choices[train_given.number[i]]
                                                          : train_given.text[i];
        if (train_given.resume && !strcmp(option->name, "output-dir") && strcmp(text, train_given.resume))
            return base_fail_as(BASE_USAGE,
                                "--output-dir %s: --resume %s goes on in the run's own folder; leave it out", text,
                                train_given.resume);
        BASE_TRY(train_options_set(options, option, text));
    }
    if (!train_given.resume) return BASE_OK;
    BASE_TRY(train_goes_on(options));
    return train_options_set(options, train_option_find("output-dir"), train_given.resume);
}

/* ---- The result -------------------------------------------------------------------------------------------------- */

static base_status train_print_json(const train_options *options, const train_result *r) {
    json_t *json =
        json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:f, s:f, s:f, s:o}", "model", options->model,
                  "output_dir", options->output_dir, "epochs", (json_int_t)r->epochs, "steps", (json_int_t)r->steps,
                  "test_acc1", r->test_acc1, "test_acc5", r->test_acc5, "test_loss", r->test_loss, "best_acc1",
                  r->best_acc1, "best_epoch", (json_int_t)r->best_epoch, "images_per_s", r->images_per_s, "seconds",
                  r->seconds, "cpu_seconds", r->cpu_seconds, "args", train_options_json(options));
    if (json && r->ema_acc1 >= 0) json_object_set_new(json, "test_ema_acc1", json_real(r->ema_acc1));
    return cli_print_json(json);
}

static void train_print_text(const train_options *options, const train_result *r) {
    printf("top-1     %.3f %%\ntop-5     %.3f %%\nloss      %.4f\n", r->test_acc1, r->test_acc5, r->test_loss);
    bool trained = options->eval <= 0;
    if (trained) printf("best      %.3f %% after epoch %lld\n", r->best_acc1, (long long)r->best_epoch + 1);
    if (r->ema_acc1 >= 0) printf("average   %.3f %%\n", r->ema_acc1);
    if (!trained) return;
    printf("epochs    %lld, %lld steps", (long long)r->epochs, (long long)r->steps);
    printf(r->images_per_s > 0 ? ", %.1f images/s\n" : "\n", r->images_per_s);
    if (*options->output_dir)
        printf("weights   %s/last.safetensors, best.safetensors%s\ncurves    %s/curves.html\n", options->output_dir,
               options->model_ema > 0 ? ", last_ema.safetensors" : "", options->output_dir);
}

/* All options; as JSON with the images a step, which two of them come to. */
static base_status train_print_options(const train_options *options) {
    model_config config;
    if (strcmp(options->model, "vit")) BASE_TRY(model_find(options->model, &config));
    json_int_t images = (json_int_t)(options->batch_size * options->accumulate);
    if (train_given.json)
        return cli_print_json(json_pack("{s:s*, s:I, s:o}", "recipe", train_given.recipe, "images_a_step", images,
                                        "args", train_options_json(options)));
    const train_option *option;
    char text[80];
    for (int i = 0; (option = train_option_at(i)); i++) {
        const char *value = train_option_text(options, option, text);
        if (!option->alias) printf("%-22s %s\n", option->name, *value ? value : "none");
    }
    return BASE_OK;
}

/* A data set by its name becomes its path, which args.json keeps. */
static base_status train_find_data(train_options *options) {
    data_options where = {.path = options->data_path};
    BASE_TRY(cli_data_find(&where, NULL, true));
    return where.path == options->data_path ? BASE_OK
                                            : train_options_set(options, train_option_find("data-path"), where.path);
}

static base_status train_with(const train_options *options) {
    train_result result;
    base_text flags = {0};
    train_options_print(options, &flags);
    base_log(cli_context(), BASE_LOG_INFO, "flags: %s", flags.data ? flags.data : "none: all defaults");
    base_text_free(&flags);
    base_status status = train_run(options, train_given.resume != NULL, &result, cli_context());
    cli_progress_end();
    if (status) return status;
    if (train_given.json) return train_print_json(options, &result);
    train_print_text(options, &result);
    return BASE_OK;
}

static base_status train_command(int n, char **arguments) {
    (void)n, (void)arguments;
    train_options options;
    base_status status = train_gather(&options);
    if (!status && !train_given.print) status = train_find_data(&options);
    if (!status) status = train_given.print ? train_print_options(&options) : train_with(&options);
    train_options_free(&options);
    return status;
}

DEIT_INTERNAL const cli_command *cli_train(void) {
    static cli_command command = {
        .name = "train",
        .summary = "train, distil or fine-tune a network",
        .arguments = "",
        .about =
            "  deit train --data-path fashion-mnist --model vit --input-size 28 --patch 4 --dim 96 --depth 6 --heads 3 "
            "\\\n"
            "      --epochs 10 --output-dir runs/vit\n"
            "  deit train --recipe deit --model deit_small_distilled_patch16_224 --data-path imagenet \\\n"
            "      --distillation-type hard --teacher-path regnety_160.pth --output-dir runs/small\n"
            "  deit train --recipe deit-finetune --model deit_base_patch16_384 --finetune base.safetensors ...\n"
            "  deit train --resume runs/small\n\n"
            "Flags and defaults are the official script's in its first release, where they mean something here. A\n"
            "recipe sets some of them; flags given beside it count more. Beside --resume these may be given anew: "
            "--data, --teacher-path,\n"
            "--num-workers, --threads, --max-bad, --epochs, --cooldown-epochs, --save-steps, --val-interval,\n"
            "--recompute, --eval and --head; another flag that is not what the run was begun with is an error.",
        .foreign = train_foreign,
        .run = train_command};
    command.flags = train_flags();
    return &command;
}
