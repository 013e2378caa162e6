/* deit data: sets of pictures listed, fetched, counted, checked, packed so that training can read them in any order,
 * and the loader timed. */
#include "cli/internal.h"
#include "data/data.h"
#include "repro/repro.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static struct {
    const char *split, *labels, *folder, *mirror;
    int64_t image, batch;
    double seconds;
    bool json;
} dataset_given = {.image = 224, .batch = 64, .seconds = 5};

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

/* Of a path, or of a set by its name. */
static base_status dataset_where(data_options *where, const char *path, const char *split) {
    *where = (data_options){.path = path, .split = split, .labels = dataset_given.labels};
    return cli_data_find(where, dataset_given.folder, false);
}

/* file: where ReaL's labels lie; NULL: they are looked for. */
static base_status dataset_check_real(const char *file) {
    char digest[65], *path = NULL;
    base_status status = cli_data_check_real(dataset_given.folder, file, digest, &path);
    if (!status && dataset_given.json)
        status = cli_print_json(
            json_pack("{s:s, s:o, s:s}", "data", "real", "path", base_json_text(path), "sha256", digest));
    else if (!status)
        printf("data      %s\nsha256    %s, as its authors' file\n", path, digest);
    base_free(path);
    return status;
}

static base_status dataset_check(const char *path) {
    data_options options;
    data_set *set;
    int64_t least, most, bad = 0;
    int missing;
    if (!strcmp(path, "real") && !base_path_exists(path)) return dataset_check_real(NULL);
    if (!strcmp(base_path_name(path), "real.json")) return dataset_check_real(path);
    BASE_TRY(dataset_where(&options, path, dataset_given.split));
    BASE_TRY(data_open(&set, &options, cli_context()));
    base_status status = dataset_count(set, &least, &most, &missing);
    if (!status) status = dataset_read(set, &bad);
    cli_progress_end();
    if (!status && dataset_given.json)
        status = cli_print_json(json_pack("{s:o, s:I, s:I, s:i, s:i, s:I, s:I}", "data", base_json_text(path), "images",
                                          (json_int_t)data_count(set), "unreadable", (json_int_t)bad, "classes",
                                          data_classes(set), "classes_without_images", missing, "images_in_least",
                                          (json_int_t)least, "images_in_most", (json_int_t)most));
    else if (!status) {
        printf("data      %s\nimages    %lld, %lld of them unreadable\n", data_path(set), (long long)data_count(set),
               (long long)bad);
        printf("classes   %d, of %lld to %lld images", data_classes(set), (long long)least, (long long)most);
        printf(missing ? ", %d without any\n" : "\n", missing);
    }
    if (!status && bad) status = base_fail("%s: %lld of its files cannot be read", data_path(set), (long long)bad);
    if (!status) status = cli_data_check_size(path, options.split, set);
    data_close(set);
    return status;
}

/* ---- count ---------------------------------------------------------------------------------------------------------
 */

static base_status dataset_size(const char *path, const char *split, int64_t *images, int *classes) {
    data_options options;
    data_set *set;
    *images = -1;
    BASE_TRY(dataset_where(&options, path, split));
    BASE_TRY(data_open(&set, &options, cli_context()));
    *images = data_count(set);
    if (data_classes(set) > *classes) *classes = data_classes(set);
    data_close(set);
    return BASE_OK;
}

/* What the files say, without a picture being read: of the split that was named, or of both; where there are none, of
 * all. */
static base_status dataset_sizes(const char *path) {
    static const char *const splits[] = {"train", "val"}, *const words[] = {"train", "test", "images"};
    int64_t images[3] = {-1, -1, -1};
    int classes = 0;
    for (int i = 0; i < 2 && !dataset_given.split; i++) {
        base_status status = dataset_size(path, splits[i], &images[i], &classes);
        if (status && status != BASE_USAGE) return status; // usage: it has no such split
    }
    if (images[0] < 0 && images[1] < 0) BASE_TRY(dataset_size(path, dataset_given.split, &images[2], &classes));
    cli_progress_end();
    json_t *json = json_pack("{s:o}", "data", base_json_text(path));
    if (!dataset_given.json) printf("data      %s\n", path);
    for (int i = 0; i < 3; i++) {
        if (images[i] >= 0) json_object_set_new(json, words[i], json_integer((json_int_t)images[i]));
        if (images[i] >= 0 && !dataset_given.json) printf("%-10s%lld\n", words[i], (long long)images[i]);
    }
    json_object_set_new(json, "classes", json_integer(classes));
    if (dataset_given.json) return cli_print_json(json);
    json_decref(json);
    printf("classes   %d\n", classes);
    return BASE_OK;
}

/* ---- speed ------------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t images;
    double seconds, cpu; /* cpu: of the loader's threads */
} dataset_time;

/* Batches of training for at least as long as asked, after a first one that fills the ring. */
static base_status dataset_measure(const data_set *set, dataset_time *time) {
    data_training training = {.augment = data_augment_official(), .classes = data_classes(set)};
    data_loader_options options = {.batch = dataset_given.batch,
                                   .transform = {.size = (int)dataset_given.image,
                                                 .crop = dataset_given.image > 32 ? 0.875 : 0,
                                                 .filter = IMAGE_BICUBIC,
                                                 .mean = {0.485f, 0.456f, 0.406f},
                                                 .std = {0.229f, 0.224f, 0.225f},
                                                 .fit = IMAGE_FIT_RESIZE},
                                   .training = &training};
    data_loader *loader;
    data_batch batch;
    BASE_TRY(data_loader_open(&loader, set, &options, cli_context()));
    base_status status = data_loader_next(loader, &batch);
    double start = base_now(), spent = data_loader_seconds(loader);
    while (!status && (time->seconds = base_now() - start) < dataset_given.seconds) {
        status = data_loader_next(loader, &batch);
        time->images += batch.n;
        base_progress(cli_context(), "speed", time->seconds, dataset_given.seconds, "seconds", NULL);
    }
    time->cpu = data_loader_seconds(loader) - spent;
    data_loader_close(loader);
    return status;
}

static base_status dataset_speed(const char *path) {
    data_options options;
    data_set *set;
    dataset_time time = {0};
    BASE_TRY(dataset_where(&options, path, dataset_given.split));
    BASE_TRY(data_open(&set, &options, cli_context()));
    base_status status = data_hold(set, cli_context());
    if (!status) status = dataset_measure(set, &time);
    cli_progress_end();
    data_close(set);
    if (status) return status;
    double rate = (double)time.images / time.seconds, cpu = 1e3 * time.cpu / (double)time.images;
    if (dataset_given.json)
        return cli_print_json(json_pack("{s:o, s:I, s:I, s:I, s:f, s:f}", "data", base_json_text(path), "image",
                                        (json_int_t)dataset_given.image, "batch", (json_int_t)dataset_given.batch,
                                        "images", (json_int_t)time.images, "images_per_s", rate, "cpu_ms_per_image",
                                        cpu));
    printf("images/s  %.1f\nCPU       %.2f ms an image\n", rate, cpu);
    printf("          training's pictures at %lld, batch %lld, DeiT's augmentation; %lld images\n",
           (long long)dataset_given.image, (long long)dataset_given.batch, (long long)time.images);
    return BASE_OK;
}

/* A tar without compression, under a name that says so, and not over a file that is there. */
static base_status dataset_pack(const char *from, const char *to) {
    static const char *const compressed[] = {".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".tzst", ".zip"};
    struct stat info;
    for (size_t i = 0; i < sizeof compressed / sizeof *compressed; i++) {
        size_t size = strlen(compressed[i]), all = strlen(to);
        if (all >= size && !strcasecmp(to + all - size, compressed[i]))
            return base_fail_as(BASE_USAGE,
                                "data pack: %s: what it writes is a tar without compression; give it a name that ends "
                                "in .tar",
                                to);
    }
    if (!stat(to, &info) && S_ISREG(info.st_mode))
        return base_fail("data pack: %s: is there already; remove it, or choose another name", to);
    base_status status = store_repack(from, to, cli_context());
    cli_progress_end();
    return status;
}

/* list, fetch: what works in the folder of data sets. */
static base_status dataset_catalogue(int n, char **arguments) {
    char *folder = dataset_given.folder ? base_strdup(dataset_given.folder) : cli_data_folder();
    if (!folder) return BASE_ERROR;
    base_status status = !strcmp(arguments[0], "list")
                             ? cli_data_list(folder, dataset_given.json)
                             : cli_data_fetch(n - 1, arguments + 1, folder, dataset_given.mirror);
    base_free(folder);
    return status;
}

static base_status dataset_run(int n, char **arguments) {
    static const struct {
        const char *action, *what;
        int least, most;
        base_status (*run)(const char *path);
    } actions[] = {
        {"check", "check PATH or NAME", 1, 1, dataset_check}, {"count", "count PATH or NAME", 1, 1, dataset_sizes},
        {"speed", "speed PATH or NAME", 1, 1, dataset_speed}, {"pack", "pack FROM.tar.gz TO.tar", 2, 2, NULL},
        {"list", "list, and nothing more", 0, 0, NULL},       {"fetch", "fetch NAME...", 1, 64, NULL}};
    int i = 0;
    while (strcmp(actions[i].action, arguments[0]) != 0) i++;
    if (n - 1 < actions[i].least || n - 1 > actions[i].most)
        return base_fail_as(BASE_USAGE, "data: expected %s", actions[i].what);
    if (actions[i].run) return actions[i].run(arguments[1]);
    return !strcmp(arguments[0], "pack") ? dataset_pack(arguments[1], arguments[2]) : dataset_catalogue(n, arguments);
}

DEIT_INTERNAL const cli_command *cli_data(void) {
    static const char *const words[] = {"list", "fetch", "count", "check", "pack", "speed", NULL};
    static const cli_flag flags[] = {
        {"split", CLI_TEXT, &dataset_given.split,
         .help = "the part to take; without it val, where there is one; count: both", .word = "NAME"},
        {"labels", CLI_FILE, &dataset_given.labels, .help = "of files without class folders, as in eval"},
        {"image", CLI_INT, &dataset_given.image, .help = "speed: side of the image", .min = 1, .max = 8192},
        {"batch", CLI_INT, &dataset_given.batch, .help = "speed: images a batch", .min = 2, .max = 65536},
        {"seconds", CLI_REAL, &dataset_given.seconds, .help = "speed: how long, at least", .min = 0.01, .max = 1e6},
        {"data-dir", CLI_FOLDER, &dataset_given.folder,
         .help = "the folder of data sets, for their names; without it DEIT_DATA or ~/.cache/deit/data"},
        {"mirror", CLI_TEXT, &dataset_given.mirror,
         .help = "fetch: a URL to get the files under, instead of their authors'", .word = "URL"},
        {"json", CLI_YES, &dataset_given.json, .help = "list, count, check, speed: print JSON"},
        {0},
    };
    static const cli_command command = {
        .name = "data",
        .summary = "data sets: listed, fetched, counted, checked, packed for training, the loader timed",
        .arguments = "list | fetch NAME... | count SET | check SET | pack FROM TO | speed SET",
        .about =
            "  deit data list                                  the sets that deit knows, and which of them are here\n"
            "  deit data fetch cifar10                         downloads with curl, goes on where it stopped, checks\n"
            "  deit data count imagenet                        pictures and classes, without reading a picture\n"
            "  deit data check imagenet --split train          reads every picture, counts images and classes\n"
            "  deit data pack 102flowers.tgz 102flowers.tar    unpacks what is compressed: training reads in any "
            "order\n"
            "  deit data speed imagenet --split train          how fast training's loader is, with DeiT's "
            "augmentation\n"
            "\n"
            "A SET is a path, or the name of one that 'deit data list' finds; of such a one check also compares the "
            "numbers\n"
            "of images and classes with what they should be.",
        .words = words,
        .least = 1,
        .most = 64,
        .flags = flags,
        .run = dataset_run};
    return &command;
}
