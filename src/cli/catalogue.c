/* deit data list, deit data fetch: the data sets that deit knows, which of them are here, and how they come here. */
#include "cli/internal.h"
#include "repro/repro.h"

#include <stdlib.h>
#include <string.h>

/* The first line of a set; NULL: there is no such set. */
static const repro_data_file *catalogue_find(const char *name) {
    const repro_data_file *row;
    for (int i = 0; (row = repro_data_file_at(i)); i++)
        if (!strcmp(row->name, name)) return row;
    return NULL;
}

static bool catalogue_is_first(const repro_data_file *row) {
    return catalogue_find(row->name) == row;
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

/* Where a set is: that of Debian's package is found by its name. */
static const char *catalogue_path(const repro_places *places, const char *name) {
    const char *path = repro_place(places, name);
    return path && !strcmp(path, name) && !base_path_exists(path) ? DATA_DEBIAN_FASHION : path;
}

static json_t *catalogue_json(const repro_data_file *row, const char *path) {
    json_t *o = json_pack("{s:s, s:o?}", "name", row->name, "path", base_json_text(path));
    const char *const names[] = {"train", "test", "classes"}, *const values[] = {row->train, row->test, row->classes};
    for (int i = 0; o && i < 3; i++)
        json_object_set_new(o, names[i], *values[i] ? json_integer(atoll(values[i])) : json_null());
    return o;
}

DEIT_INTERNAL base_status cli_data_list(const char *folder, bool json) {
    base_arena arena = {0};
    repro_places places;
    base_status status = repro_locate(&places, base_path_exists(folder) ? folder : NULL, &arena);
    json_t *rows = json_array();
    if (!status && !json) printf("%-14s %8s %7s %8s  %s\n", "NAME", "TRAIN", "TEST", "CLASSES", "WHERE");
    const repro_data_file *row;
    for (int i = 0; !status && (row = repro_data_file_at(i)); i++) {
        const char *path = catalogue_path(&places, row->name), *lacks = repro_place_lacks(&places, row->name);
        const char *note = lacks ? lacks : *row->note ? row->note : "not here";
        if (!catalogue_is_first(row)) continue;
        if (json)
            json_array_append_new(rows, catalogue_json(row, path));
        else
            printf("%-14s %8s %7s %8s  %s%s\n", row->name, *row->train ? row->train : "-", *row->test ? row->test : "-",
                   *row->classes ? row->classes : "-", path ? path : note, lacks ? " is missing" : "");
    }
    if (!status && !json)
        printf("\nLooked for in %s ('deit data fetch NAME' gets it there; --data-dir or DEIT_DATA names another "
               "folder).\n",
               folder);
    base_arena_free(&arena);
    if (!status && json) return cli_print_json(json_pack("{s:o, s:o}", "folder", base_json_text(folder), "sets", rows));
    json_decref(rows);
    return status;
}

/* ---- A set by its name ------------------------------------------------------------------------------------------- */

/* Whether a split, or a part of one ("train:0-4[:100]"), is called so. */
static bool catalogue_split_is(const char *split, const char *name) {
    size_t size = split ? strcspn(split, ":[") : 0;
    return size == strlen(name) && !strncmp(split, name, size);
}

/* ImageNet's pictures to train on and its validation set are two places; what is found may be one of them. */
static base_status catalogue_imagenet(data_options *where, const char *folder, const repro_places *places,
                                      bool trains) {
    const char *path = trains ? places->train : places->imagenet;
    if (!path && trains && places->imagenet)
        return base_fail_as(BASE_USAGE,
                            "imagenet: no pictures to train on in %s, only %s; expected imagenet/train, train or "
                            "ILSVRC2012_img_train.tar there or in imagenet/",
                            folder, places->imagenet);
    if (!path && places->train)
        return base_fail_as(BASE_USAGE,
                            "imagenet: no validation set in %s, only pictures to train on in %s; expected "
                            "imagenet/val, val or ILSVRC2012_img_val.tar there",
                            folder, places->train);
    if (path) where->path = path;
    if (path && !trains && !where->labels) where->labels = places->labels;
    return BASE_OK;
}

static base_status catalogue_place(data_options *where, const char *folder, const repro_places *places, bool trains) {
    static const char *const tests[] = {"val", "validation", "test"};
    const char *name = where->path;
    bool imagenet = !strcmp(name, "imagenet");
    if (!strcmp(name, "real"))
        return base_fail_as(BASE_USAGE, "real: labels of ImageNet's validation set, no pictures; 'deit data check "
                                        "real' checks them, 'deit eval --real FILE' takes them");
    trains |= catalogue_split_is(where->split, "train");
    if (imagenet)
        BASE_TRY(catalogue_imagenet(where, folder, places, trains));
    else if (repro_place(places, name))
        where->path = repro_place(places, name);
    for (int i = 0; i < 3 && !trains && (imagenet || !strcmp(name, "imagenetv2")); i++)
        where->whole |= catalogue_split_is(where->split, tests[i]);
    if (where->path != name || !strcmp(name, "fashion-mnist")) return BASE_OK; // Debian's is looked at behind this
    const char *lacks = repro_place_lacks(places, name);
    if (lacks)
        return base_fail("%s: %s is missing; 'deit data fetch %s' gets what is not there yet", name, lacks, name);
    return base_fail("%s: not in %s; 'deit data fetch %s' gets it, or says where it is from", name, folder, name);
}

DEIT_INTERNAL base_status cli_data_find(data_options *where, const char *folder, bool trains) {
    static base_arena arena; // what it finds lives as long as the program
    if (!where->path || base_path_exists(where->path) || !catalogue_find(where->path)) return BASE_OK;
    char *all = folder ? base_strdup(folder) : cli_data_folder();
    if (!all) return BASE_ERROR;
    repro_places places;
    base_status status = repro_locate(&places, base_path_exists(all) ? all : NULL, &arena);
    if (!status) status = catalogue_place(where, all, &places, trains);
    base_free(all);
    return status;
}

DEIT_INTERNAL base_status cli_data_check_size(const char *name, const char *split, const data_set *set) {
    const repro_data_file *row = catalogue_find(name);
    bool train = split && !strcmp(split, "train"),
         test = !split || !strcmp(split, "val") || !strcmp(split, "test") || !strcmp(split, "validation");
    const char *images = !row ? "" : train ? row->train : test ? row->test : "";
    if (*images && atoll(images) != data_count(set))
        return base_fail("%s: %s: %s images expected, %lld found", name, data_path(set), images,
                         (long long)data_count(set));
    if (*images && *row->classes && atoi(row->classes) != data_classes(set))
        return base_fail("%s: %s: %s classes expected, %d found", name, data_path(set), row->classes,
                         data_classes(set));
    return BASE_OK;
}

DEIT_INTERNAL base_status cli_data_check_real(const char *folder, const char *file, char digest[65], char **path) {
    const repro_data_file *row = catalogue_find("real");
    base_arena arena = {0};
    repro_places places = {.real = file};
    char *all = folder ? base_strdup(folder) : cli_data_folder();
    base_status status = all ? BASE_OK : BASE_ERROR;
    if (!status && !file) status = repro_locate(&places, base_path_exists(all) ? all : NULL, &arena);
    if (!status && !places.real) status = base_fail("real: not in %s; 'deit data fetch real' gets it", all);
    if (!status)
        status = (*path = base_strdup(places.real)) ? base_sha256_file(*path, cli_context(), digest) : BASE_ERROR;
    if (!status && strcmp(digest, row->sha256) != 0)
        status = base_fail("%s: expected sha256 %s, found %s; delete it, and 'deit data fetch real' gets it again",
                           *path, row->sha256, digest);
    base_arena_free(&arena);
    base_free(all);
    return status;
}

/* ---- fetch ------------------------------------------------------------------------------------------------------- */

static base_status catalogue_take_to(const char *archive, const char *file, const char *path) {
    store_stream *stream;
    const char *name;
    const uint8_t *bytes;
    size_t size;
    base_status status;
    BASE_TRY(store_stream_open(&stream, archive));
    while (!(status = store_stream_next(stream, &name)) && name) {
        if (!strcmp(base_path_name(name), file)) break;
    }
    if (!status && !name) status = base_fail("%s: no %s in it", archive, file);
    if (!status) status = store_stream_data(stream, &bytes, &size);
    if (!status) status = base_write_file(path, bytes, size);
    if (!status) printf("%s\n", path);
    store_stream_close(stream);
    return status;
}

/* Takes a file out of an archive, to stand beside it. */
static base_status catalogue_take(const char *archive, const char *folder, const char *file) {
    char *path = base_path_join(folder, file);
    if (!path) return BASE_ERROR;
    base_status status = base_path_exists(path) ? BASE_OK : catalogue_take_to(archive, file, path);
    base_free(path);
    return status;
}

/* A compressed tar without a known checksum is read to its end. */
static base_status catalogue_plausible(const char *path) {
    store_archive_kind kind;
    store_stream *stream;
    const char *name;
    BASE_TRY(store_archive_sniff(path, &kind));
    if (kind != STORE_ARCHIVE_STREAM) return base_fail("%s: expected a compressed tar, found something else", path);
    BASE_TRY(store_stream_open(&stream, path));
    base_status status;
    while (!(status = store_stream_next(stream, &name)) && name && !base_cancelled(cli_context())) continue;
    store_stream_close(stream);
    return !status && base_cancelled(cli_context()) ? BASE_CANCELLED : status;
}

/* Whether a file need not be fetched, for what it would bring is there in another form. */
static bool catalogue_needless(const repro_data_file *row, const char *folder) {
    base_arena arena = {0};
    bool taken = *row->take && base_path_has(folder, row->take);
    const char *instead = taken ? row->take : repro_place_instead(row->name, folder, row->file, &arena);
    bool needless = instead && !base_path_has(folder, row->file);
    if (needless) printf("%s/%s is there: %s is not needed\n", folder, instead, row->file);
    base_arena_free(&arena);
    return needless;
}

static base_status catalogue_fetch(const repro_data_file *row, const char *data, const char *mirror) {
    const cli_download what = {
        .file = row->file, .url = row->url, .sha256 = row->sha256, .md5 = row->md5, .plausible = catalogue_plausible};
    char *folder = *row->folder ? base_path_join(data, row->folder) : base_strdup(data), *archive = NULL;
    if (folder && catalogue_needless(row, folder)) return base_free(folder), BASE_OK;
    base_status status = folder ? cli_fetch(&what, folder, mirror) : BASE_ERROR;
    if (!status && *row->take)
        status =
            (archive = base_path_join(folder, row->file)) ? catalogue_take(archive, folder, row->take) : BASE_ERROR;
    if (status && !mirror && *row->note) status = base_fail_in(status, "%s (%s)", row->name, row->note);
    base_free(archive);
    base_free(folder);
    return status;
}

static base_status catalogue_known(const char *name) {
    const repro_data_file *row = catalogue_find(name);
    const char *names[32];
    int n = 0;
    if (row && *row->file) return BASE_OK;
    if (row) return base_fail("%s cannot be fetched: it is %s", name, row->note);
    for (int i = 0; n < 32 && (row = repro_data_file_at(i)); i++)
        if (catalogue_is_first(row)) names[n++] = row->name;
    const char *near = base_nearest(name, names, n);
    if (near) return base_fail_as(BASE_USAGE, "no data set named '%s'; did you mean '%s'?", name, near);
    return base_fail_as(BASE_USAGE, "no data set named '%s'; 'deit data list' shows the names", name);
}

DEIT_INTERNAL base_status cli_data_fetch(int n, char **names, const char *folder, const char *mirror) {
    const repro_data_file *row;
    for (int i = 0; i < n; i++) BASE_TRY(catalogue_known(names[i]));
    for (int i = 0; i < n; i++)
        for (int k = 0; (row = repro_data_file_at(k)); k++)
            if (!strcmp(row->name, names[i])) BASE_TRY(catalogue_fetch(row, folder, mirror));
    return BASE_OK;
}
