/* locate: the data sets in a folder, by the names they are handed out under.
 *
 *   ImageNet    val/ or imagenet/val/ or imagenet/ with class folders, imagenet-val.tar or .zip of the same, or
 *               ILSVRC2012_img_val.tar with val_labels.txt (a synset or class index a line), or with the devkit's
 *               ILSVRC2012_validation_ground_truth.txt and meta.mat, there or in ILSVRC2012_devkit_t12/data/; so
 *               val/ with the pictures alone
 *   ReaL        real.json
 *   ImageNetV2  imagenetv2-matched-frequency-format-val/ or imagenetv2-matched-frequency.tar.gz
 *   to train on ImageNet: imagenet/ with train/ and val/, or ILSVRC2012_img_train.tar beside the other, there or in
 *               imagenet/
 *   CIFAR-10    cifar-10-binary.tar.gz or cifar-10-batches-bin/; or pictures, train/ and test/ with class folders, in
 *               cifar10/, cifar10.tar or cifar10.zip
 *   CIFAR-100   the same with 100
 *   as they are downloaded, a folder each: flowers-102/, stanford-cars/, inat2018/, inat2019/
 *   Fashion-MNIST  fashion-mnist/ with its four files; or where Debian's package puts it
 *
 * The folder may also be ImageNet's validation set itself: a folder of synsets or an archive. One of its training
 * pictures is not taken for it: what lies beside it is looked for. */
#include "data/data.h"
#include "repro/internal.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* Whether the file is a download's that has not come to its end: FILE.part, and no FILE. What this program is about to
 * write, or was when it was killed, is called FILE.PID-N.part. */
static bool locate_is_part(const char *folder, const char *name) {
    char whole[256];
    size_t size = strlen(name), digits;
    if (size <= 5 || size >= sizeof whole || strcmp(name + size - 5, ".part") != 0) return false;
    snprintf(whole, sizeof whole, "%.*s", (int)size - 5, name);
    const char *end = strrchr(whole, '.');
    digits = end ? strspn(end + 1, "0123456789") : 0;
    bool ours = digits && end[1 + digits] == '-' && !end[2 + digits + strspn(end + 2 + digits, "0123456789")];
    return !ours && !base_path_has(folder, whole);
}

/* Whether a download into the folder has not come to its end: nothing is there, or a part of a file. */
static bool locate_begun(const char *folder) {
    DIR *files = opendir(folder);
    bool any = false, part = false;
    for (const struct dirent *entry; files && (entry = readdir(files));) {
        any |= *entry->d_name != '.';
        part |= locate_is_part(folder, entry->d_name);
    }
    if (files) closedir(files);
    return files && (part || !any);
}

/* The first of the names (ended by NULL) that is there; NULL if none is. */
static const char *locate_first(const char *folder, const char *const *names, base_arena *arena) {
    for (; *names; names++) {
        const char *path = base_arena_printf(arena, "%s/%s", folder, *names);
        if (path && base_path_exists(path) && !locate_begun(path)) return path;
    }
    return NULL;
}

/* fashion-mnist/ with all four files, packed or not: one that lacks a file must not stand before Debian's. */
static const char *locate_fashion(const char *folder, base_arena *arena) {
    for (int i = 0; i < 4; i++) {
        char *plain = base_arena_printf(arena, "%s/fashion-mnist/%s-%s-ubyte.gz", folder, i & 1 ? "train" : "t10k",
                                        i & 2 ? "images-idx3" : "labels-idx1");
        if (!plain) return NULL;
        if (base_path_exists(plain)) continue;
        plain[strlen(plain) - 3] = 0;
        if (!base_path_exists(plain)) return NULL;
    }
    return base_arena_printf(arena, "%s/fashion-mnist", folder);
}

/* Whether a folder of synsets holds ImageNet's training pictures, which are called n01440764_10026.JPEG. */
static bool locate_is_training(const char *folder, base_arena *arena) {
    static const char *const first[] = {"n01440764", "n01443537", NULL};
    const char *path = locate_first(folder, first, arena), *synset = path ? strrchr(path, '/') + 1 : NULL;
    DIR *pictures = path ? opendir(path) : NULL;
    bool training = false;
    for (const struct dirent *entry; pictures && !training && (entry = readdir(pictures));)
        training = !strncmp(entry->d_name, synset, strlen(synset)) && entry->d_name[strlen(synset)] == '_';
    if (pictures) closedir(pictures);
    return training;
}

/* imagenet/ as a validation set: not one that holds only pictures to train on. */
static const char *locate_imagenet(const char *folder, base_arena *arena) {
    static const char *const trains[] = {"train", "training", "Train", "ILSVRC2012_img_train.tar", NULL};
    static const char *const tests[] = {"val", "validation", "valid", "test", "Val", "ILSVRC2012_img_val.tar", NULL};
    const char *path = base_arena_printf(arena, "%s/imagenet", folder);
    if (!path) return NULL;
    bool train = locate_first(path, trains, arena) != NULL;
    bool test = locate_first(path, tests, arena) != NULL;
    train |= locate_is_training(path, arena);
    return base_path_exists(path) && !locate_begun(path) && (test || !train) ? path : NULL;
}

static bool locate_is_classes(const char *folder, base_arena *arena) {
    static const char *const first[] = {"n01440764", "n01443537", NULL};
    return locate_first(folder, first, arena) != NULL;
}

DEIT_INTERNAL const repro_set *repro_set_at(int transfer) {
    static const repro_set sets[REPRO_TRANSFERS] = {
        [REPRO_CIFAR10] = {"cifar10",
                           "cifar10",
                           "CIFAR-10 is not here",
                           {"cifar-10-binary.tar.gz", "cifar-10-batches-bin", "cifar10", "cifar10.tar", "cifar10.zip"}},
        [REPRO_CIFAR100] = {"cifar100",
                            "cifar100",
                            "CIFAR-100 is not here",
                            {"cifar-100-binary.tar.gz", "cifar-100-binary", "cifar100", "cifar100.tar",
                             "cifar100.zip"}},
        [REPRO_FLOWERS] = {"flowers102",
                           "flowers",
                           "Flowers-102 is not here",
                           {"flowers-102"},
                           {{"102flowers.tgz", "102flowers.tar", "jpg"}, {"imagelabels.mat"}, {"setid.mat"}}},
        [REPRO_CARS] = {"cars",
                        "cars",
                        "Stanford Cars is not here",
                        {"stanford-cars"},
                        {{"cars_test.tgz", "cars_test.tar", "cars_test"},
                         {"cars_test_annos_withlabels.mat", "devkit/cars_test_annos_withlabels.mat"}}},
        [REPRO_INAT18] = {"inat2018",
                          "inat18",
                          "iNaturalist 2018 is not here",
                          {"inat2018"},
                          {{"train_val2018.tar.gz", "train_val2018.tar", "train_val2018"}, {"val2018.json"}}},
        [REPRO_INAT19] = {"inat2019",
                          "inat19",
                          "iNaturalist 2019 is not here",
                          {"inat2019"},
                          {{"train_val2019.tar.gz", "train_val2019.tar", "train_val2019"}, {"val2019.json"}}}};
    return &sets[transfer];
}

/* Whether a folder in such a set's is none that its archives unpack to: the user's class folders, or splits of them. */
static bool locate_is_arranged(const repro_set *set, const char *folder) {
    static const char *const others[] = {"devkit", "cars_train", "__MACOSX"};
    DIR *files = opendir(folder);
    bool arranged = false;
    for (const struct dirent *entry; files && !arranged && (entry = readdir(files));) {
        const char *name = entry->d_name, *unpacked = set->parts[0][REPRO_SET_WAYS - 1];
        bool known = *name == '.' || !strcmp(name, unpacked);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) known |= !strcmp(name, others[i]);
        char *path = known ? NULL : base_path_join(folder, name);
        arranged = path && base_path_is_folder(path);
        base_free(path);
    }
    if (files) closedir(files);
    return arranged;
}

/* The first part that a set's folder lacks, as a download calls it; NULL: none. */
static const char *locate_lack(const repro_set *set, const char *folder) {
    for (int i = 0; i < REPRO_SET_PARTS && set->parts[i][0]; i++) {
        bool there = false;
        for (int k = 0; k < REPRO_SET_WAYS && set->parts[i][k]; k++) there |= base_path_has(folder, set->parts[i][k]);
        if (!there && !locate_is_arranged(set, folder)) return set->parts[i][0];
    }
    return NULL;
}

/* lacks: of a set that is there in part, the file that is missing; NULL. */
static const char *locate_transfer(const repro_set *set, const char *folder, const char **lacks, base_arena *arena) {
    const char *path = base_arena_printf(arena, "%s/%s", folder, set->found[0]);
    bool parts = path && set->parts[0][0] && base_path_is_folder(path);
    const char *lack = parts ? locate_lack(set, path) : NULL;
    if (parts && !lack) return path;
    if (!lack) return locate_first(folder, set->found, arena);
    *lacks = base_arena_printf(arena, "%s/%s", path, lack);
    return NULL;
}

DEIT_INTERNAL int repro_place_called(const char *name, size_t size) {
    for (int i = 0; i < REPRO_TRANSFERS; i++)
        for (const char *const *other = repro_set_at(i)->found; *other; other++)
            if (strlen(*other) == size && !memcmp(*other, name, size)) return i;
    return -1;
}

DEIT_INTERNAL base_status repro_locate(repro_places *places, const char *data, base_arena *arena) {
    static const char *const imagenet[] = {"imagenet/val", "val", NULL};
    static const char *const packed[] = {"imagenet-val.tar", "imagenet-val.zip", "ILSVRC2012_img_val.tar", NULL};
    static const char *const labels[] = {"val_labels.txt", "ILSVRC2012_validation_ground_truth.txt",
                                         "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", NULL};
    static const char *const real[] = {"real.json", "imagenet/real.json", NULL};
    static const char *const v2[] = {"imagenetv2-matched-frequency-format-val", "imagenetv2-matched-frequency.tar.gz",
                                     "imagenetv2-matched-frequency.tar", NULL};
    static const char *const train[] = {"imagenet/train", "train", "imagenet/ILSVRC2012_img_train.tar",
                                        "ILSVRC2012_img_train.tar", NULL};
    *places = (repro_places){.fashion = base_path_is_folder(DATA_DEBIAN_FASHION) ? "fashion-mnist" : NULL};
    if (!data || !*data) return BASE_OK;
    if (!base_path_exists(data)) return base_fail("%s: there is no such folder; --data or DEIT_DATA names it", data);
    const char *folder = base_arena_printf(arena, "%s", data);
    if (!folder) return BASE_ERROR;
    if (!base_path_is_folder(data)) {
        places->imagenet = folder;
        const char *slash = strrchr(data, '/');
        folder = slash ? base_arena_printf(arena, "%.*s", (int)(slash - data), data) : ".";
    } else if (locate_is_classes(data, arena)) {
        places->imagenet = locate_is_training(data, arena) ? NULL : folder;
        folder = base_arena_printf(arena, "%s/..", data);
    }
    if (!folder) return BASE_ERROR;
    places->folder = folder;
    if (!places->imagenet) places->imagenet = locate_first(folder, imagenet, arena);
    if (!places->imagenet) places->imagenet = locate_imagenet(folder, arena);
    if (!places->imagenet) places->imagenet = locate_first(folder, packed, arena);
    places->imagenetv2 = locate_first(folder, v2, arena);
    places->real = locate_first(folder, real, arena);
    places->train = locate_first(folder, train, arena);
    if (places->train) // the folder that it is in
        places->train =
            base_arena_printf(arena, "%.*s", (int)(strrchr(places->train, '/') - places->train), places->train);
    for (int i = 0; i < REPRO_TRANSFERS; i++)
        places->transfer[i] = locate_transfer(repro_set_at(i), folder, &places->lacks[i], arena);
    const char *fashion = locate_fashion(folder, arena);
    if (fashion) places->fashion = fashion;
    if (places->imagenet && strstr(places->imagenet, "ILSVRC2012_img_val"))
        places->labels = locate_first(folder, labels, arena);
    return BASE_OK;
}

/* Which of Table 7's sets data/manifest.tsv calls so; -1: none of them. */
static int locate_named(const char *name) {
    for (int i = 0; i < REPRO_TRANSFERS; i++)
        if (!strcmp(repro_set_at(i)->set, name)) return i;
    return -1;
}

DEIT_INTERNAL const char *repro_place(const repro_places *places, const char *name) {
    int transfer = locate_named(name);
    return transfer >= 0                    ? places->transfer[transfer]
           : !strcmp(name, "fashion-mnist") ? places->fashion
           : !strcmp(name, "imagenet")      ? places->imagenet
           : !strcmp(name, "imagenetv2")    ? places->imagenetv2
           : !strcmp(name, "real")          ? places->real
                                            : NULL;
}

DEIT_INTERNAL const char *repro_place_lacks(const repro_places *places, const char *name) {
    int transfer = locate_named(name);
    return transfer < 0 ? NULL : places->lacks[transfer];
}

DEIT_INTERNAL const char *repro_place_instead(const char *name, const char *folder, const char *file,
                                              base_arena *arena) {
    int transfer = locate_named(name);
    const repro_set *set = transfer < 0 ? NULL : repro_set_at(transfer);
    const char *end = strstr(file, ".tar.");
    if (!end) end = strstr(file, ".tgz");
    if (!set || !set->parts[0][0] || !end) return NULL;
    const char *unpacked = base_arena_printf(arena, "%.*s", (int)(end - file), file);
    const char *tar = base_arena_printf(arena, "%s.tar", unpacked ? unpacked : "");
    if (tar && base_path_has(folder, tar)) return tar;
    if (unpacked && base_path_has(folder, unpacked)) return unpacked;
    for (int i = 0; i < REPRO_SET_PARTS && set->parts[i][0]; i++)
        for (int k = 1; k < REPRO_SET_WAYS && set->parts[i][k] && !strcmp(set->parts[i][0], file); k++)
            if (base_path_has(folder, set->parts[i][k])) return set->parts[i][k];
    return NULL;
}
