/* data: sets of labelled pictures where they lie (folders, tar, zip, compressed tar), and a loader that decodes them in
 * threads ahead of the network. */
#ifndef DEIT_DATA_H
#define DEIT_DATA_H

#include "image/image.h"
#include "store/store.h"

/* ---- ImageNet's classes ------------------------------------------------------------------------------------------ */

enum { DATA_IMAGENET_CLASSES = 1000, DATA_IMAGENET_VAL = 50000 };
/* Of a class index 0 .. 999: "n01440764", "tench"; NULL outside. Static text. */
DEIT_INTERNAL const char *data_imagenet_synset(int index);
DEIT_INTERNAL const char *data_imagenet_name(int index);
/* The index of a synset, which is its rank among the 1000; -1 if it is none of them. */
DEIT_INTERNAL int data_imagenet_find(const char *synset);

/* ---- Sets -------------------------------------------------------------------------------------------------------- */

typedef struct {
    /* A folder, tar, zip, or tar compressed by gzip, bzip2, xz or zstd, holding
     *   class folders: <class>/..../<file>.JPEG, also under one of val, validation, test, train, or a single folder;
     *   or pictures alone (ILSVRC2012_img_val.tar): they need `labels`.
     * Pictures are files named .jpg, .jpeg or .png, in any case. */
    const char *path;
    const char *split; /* which of the folders named above; NULL: the first of val, validation, test, train there is */
    /* For pictures without class folders: a text file, one label a line: a synset, a class index from 0, or a number of
     * ImageNet's devkit if its meta.mat lies beside; in the order of the sorted file names, or, of 50,000 lines, by the
     * number in ILSVRC2012_val_<number>.JPEG; or "file label", separated by a space, tab or comma, in any order. NULL:
     * none. */
    const char *labels;
} data_options;

/* A set does not change after opening: any number of threads may read at once, but where data_sequential.
 *
 * Class indices: of folders that all are ImageNet synsets, their rank among the 1000; of folders that all are numbers,
 * the number if there is a folder 0 (ImageNetV2), else its rank; else the rank of the name in sorted order.
 * Items are sorted as torchvision's ImageFolder sorts them; in compressed tars they stand as in the file. */
typedef struct data_set data_set;
DEIT_INTERNAL base_status data_open(data_set **out, const data_options *options, const base_context *context);
DEIT_INTERNAL void data_close(data_set *set); /* NULL allowed */

DEIT_INTERNAL const char *data_path(const data_set *set);
DEIT_INTERNAL int64_t data_count(const data_set *set);
DEIT_INTERNAL int
data_classes(const data_set *set); /* size of the label space: 1000 for synsets, even if not all are there */
DEIT_INTERNAL bool data_is_imagenet(const data_set *set); /* class indices are ImageNet's */
DEIT_INTERNAL bool data_sequential(const data_set *set);  /* a compressed tar: can only be read from first to last */
DEIT_INTERNAL const char *data_class_name(const data_set *set, int label); /* the folder's name, or the synset */
DEIT_INTERNAL int data_label(const data_set *set, int64_t item);
DEIT_INTERNAL const char *data_name(const data_set *set, int64_t item); /* its path, for messages */
/* Position in ILSVRC2012's validation order, from 0: the number in the file's name less one. -1 if it has none. */
DEIT_INTERNAL int data_val_index(const data_set *set, int64_t item);
/* Fails, naming both counts, unless the network's classes are the set's. */
DEIT_INTERNAL base_status data_check_classes(const data_set *set, int classes, const char *model);

/* A growing buffer for a file's bytes. Zero-initialise to begin; free `data` with base_free. */
typedef struct {
    uint8_t *data;
    size_t size, capacity;
} data_bytes;
/* Reads the file of an item, of a set that is not sequential. Any thread. */
DEIT_INTERNAL base_status data_read(const data_set *set, int64_t item, data_bytes *bytes);

/* ---- ReaL labels ------------------------------------------------------------------------------------------------- */

/* real.json: for each of ImageNet's 50,000 validation files the list of classes that are right. */
typedef struct data_real data_real;
DEIT_INTERNAL base_status data_real_open(data_real **out, const char *path);
DEIT_INTERNAL void data_real_close(data_real *real);                     /* NULL allowed */
DEIT_INTERNAL int data_real_count(const data_real *real, int val_index); /* labels; 0: the image does not count */
DEIT_INTERNAL bool data_real_right(const data_real *real, int val_index, int label); /* is it in the list? */

/* ---- Loader ------------------------------------------------------------------------------------------------------ */

typedef struct {
    int64_t batch;             /* items a batch; the last may be smaller */
    int threads;               /* that decode; 0: a thread a core, at most 16 */
    image_transform transform; /* what is done to each picture */
    int64_t max_bad;           /* so many files may be unreadable; one more is an error */
    const int64_t *order;      /* the items to give, in order, `count` of them; NULL: all, from first to last */
    int64_t count;
} data_loader_options;

/* Belongs to the loader; valid until the next call. */
typedef struct {
    int64_t n;            /* pictures; less than the batch's items where some are bad */
    const float *images;  /* [n, 3, size, size] */
    const int *labels;    /* [n] */
    const int64_t *items; /* [n] */
} data_batch;

/* Decodes in threads of its own, a few batches ahead, into buffers made once. What it gives depends only on the set and
 * the options, not on the number of threads. A file that cannot be read or decoded is left out of its batch, counted
 * and logged by name through the context, in order. */
typedef struct data_loader data_loader;
/* The set must outlive the loader; `order` is not copied. */
DEIT_INTERNAL base_status data_loader_open(data_loader **out, const data_set *set, const data_loader_options *options,
                                           const base_context *context);
/* The next batch, n >= 1; n = 0 at the end. Fails if more than max_bad files were bad, naming the last of them, if the
 * archive itself cannot be read, or with BASE_CANCELLED. One thread at a time. */
DEIT_INTERNAL base_status data_loader_next(data_loader *loader, data_batch *batch);
DEIT_INTERNAL int64_t data_loader_bad(const data_loader *loader);    /* bad files so far */
DEIT_INTERNAL double data_loader_seconds(const data_loader *loader); /* CPU time of its threads so far */
DEIT_INTERNAL void data_loader_close(data_loader *loader);           /* NULL allowed */

#endif
