/* What the files of data share. */
#ifndef DEIT_DATA_INTERNAL_H
#define DEIT_DATA_INTERNAL_H

#include "data/data.h"

typedef enum { DATA_FOLDER, DATA_ARCHIVE, DATA_STREAM } data_kind;
typedef struct {
    const char *name;         /* path inside the folder or archive */
    const char *key;          /* the same without leading folders: class/file, or file */
    const store_entry *entry; /* DATA_ARCHIVE */
    int label;
    int64_t rank; /* DATA_STREAM: its place in the archive */
} data_item;

struct data_set {
    data_kind kind;
    char *path;
    store_archive *archive;
    base_arena arena;
    data_item *items;
    int64_t count, capacity;
    int classes;
    bool imagenet;            /* labels are ImageNet's */
    const char **class_names; /* [classes], NULL where a class has no folder */
    const char **empty;       /* class folders without images; not of DATA_STREAM */
    int n_empty;
};

/* listing.c: fills items (names only). */
DEIT_INTERNAL base_status data_list(data_set *set, const base_context *context);
/* labels.c: chooses the split, strips leading folders, gives every item its label. */
DEIT_INTERNAL base_status data_assign(data_set *set, const data_options *options);
/* label_file.c: gives every item its label from a file, and sorts the items by name. */
DEIT_INTERNAL base_status data_read_label_file(data_set *set, const char *path);
/* devkit.c: the class index of each number of ImageNet's devkit, -1 where it has none, from the meta.mat beside the
 * file `labels`, if it is there. */
DEIT_INTERNAL base_status data_read_devkit(const char *labels, int index[DATA_IMAGENET_CLASSES + 1], bool *there);
DEIT_INTERNAL bool data_is_image(const char *name);
DEIT_INTERNAL base_status data_room(data_bytes *bytes, size_t size);

#endif
