/* deit data: sets of pictures checked, and packed so that training can read them in any order. */
#include "cli/internal.h"
#include "data/data.h"

#include <string.h>

static struct { const char *split, *labels; } dataset_given;

enum { DATASET_SIDE = 32, DATASET_BATCH = 64 };

/* Images of the classes that have fewest and most. */
static base_status dataset_count(const data_set *set, int64_t *least, int64_t *most, int *missing) {
    int classes = data_classes(set);
    int64_t *count = base_calloc((size_t)classes, sizeof *count);
    if (!count) return BASE_ERROR;
    for (int64_t i = 0; i < data_count(set); i++) count[data_label(set, i)]++;
    *least = INT64_MAX, *most = 0, *missing = 0;
    for (int c = 0; c < classes; c++) {
        *missing += !count[c];
        if (count[c] && count[c] < *least) *least = count[c];
        if (count[c] > *most) *most = count[c];
    }
    base_free(count);
    return BASE_OK;
}

/* Decodes every picture. */
static base_status dataset_read(const data_set *set, int64_t *bad) {
    data_loader *loader;
    data_batch batch;
    base_status status;
    data_loader_options options = {
        .batch = DATASET_BATCH, .transform = {.size = DATASET_SIDE, .crop = 1, .std = {1, 1, 1}}, .max_bad = INT64_MAX};
    BASE_TRY(data_loader_open(&loader, set, &options, cli_context()));
    int64_t done = 0;
    while (!(status = data_loader_next(loader, &batch)) && batch.n) {
        done += batch.n;
        base_progress(cli_context(), "check", (double)(done + data_loader_bad(loader)), (double)data_count(set),
                      "images", NULL);
    }
    *bad = data_loader_bad(loader);
    data_loader_close(loader);
    return status;
}

static base_status dataset_check(const char *path) {
    data_options options = {.path = path, .split = dataset_given.split, .labels = dataset_given.labels};
    data_set *set;
    int64_t least, most, bad = 0;
    int missing;
    BASE_TRY(data_open(&set, &options, cli_context()));
    base_status status = dataset_count(set, &least, &most, &missing);
    if (!status) status = dataset_read(set, &bad);
    cli_progress_end();
    if (!status) {
        printf("data      %s\nimages    %lld, %lld of them unreadable\n", data_path(set), (long long)data_count(set),
               (long long)bad);
        printf("classes   %d, of %lld to %lld images", data_classes(set), (long long)least, (long long)most);
        printf(missing ? ", %d without any\n" : "\n", missing);
        if (bad) status = base_fail("%s: %lld of its files cannot be read", data_path(set), (long long)bad);
    }
    data_close(set);
    return status;
}

static base_status dataset_run(int n, char **arguments) {
    bool pack = !strcmp(arguments[0], "pack");
    if (n != (pack ? 3 : 2))
        return base_fail_as(BASE_USAGE, "data: expected %s", pack ? "pack FROM.tar.gz TO.tar" : "check PATH");
    if (!pack) return dataset_check(arguments[1]);
    base_status status = store_repack(arguments[1], arguments[2], cli_context());
    cli_progress_end();
    return status;
}

DEIT_INTERNAL const cli_command *cli_data(void) {
    static const char *const words[] = {"check", "pack", NULL};
    static const cli_flag flags[] = {
        {"split", CLI_TEXT, &dataset_given.split, .help = "check: the part to take; without it val, where there is one",
         .word = "NAME"},
        {"labels", CLI_FILE, &dataset_given.labels, .help = "check: labels of files without class folders, as in eval"},
        {0},
    };
    static const cli_command command = {
        .name = "data",
        .summary = "data sets: checked, packed for training",
        .arguments = "check PATH | pack FROM TO",
        .about = "  deit data check imagenet --split train          reads every picture, counts images and classes\n"
                 "  deit data pack 102flowers.tgz 102flowers.tar    unpacks what is compressed: training reads in any "
                 "order",
        .words = words,
        .least = 1,
        .most = 3,
        .flags = flags,
        .run = dataset_run};
    return &command;
}
