/* data: sets of labelled pictures where they lie (folders, tar, zip, compressed tar, CIFAR's and MNIST's binaries), and
 * a loader that decodes and augments them in threads ahead of the network. */
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

/* Where Debian's package dataset-fashion-mnist puts its files. */
#define DATA_DEBIAN_FASHION "/usr/share/datasets/fashion-mnist"

typedef struct {
    /* A folder, tar, zip, or tar compressed by gzip, bzip2, xz or zstd, holding
     *   class folders: <class>/..../<file>.JPEG, also in folders of splits (val, validation, valid, test, train,
     *   training, in any case), or in a single folder;
     *   or pictures alone (ILSVRC2012_img_val.tar): they need `labels`;
     *   or a tar a class (ILSVRC2012_img_train.tar), of a tar that is not compressed.
     * Pictures are files named .jpg, .jpeg or .png, in any case. Or
     *   CIFAR-10's or -100's binary version: the .tar.gz, or a folder of its .bin files (splits train, test);
     *   MNIST's or Fashion-MNIST's four idx files in a folder, gzipped or not (splits train, test);
     *   a folder of what Flowers-102, Stanford Cars or iNaturalist 2018 or 2019 are downloaded as: label files, and the
     *   pictures' folder, or its archive, compressed or not (splits train, test).
     * "fashion-mnist", if there is nothing of that name: where Debian's package dataset-fashion-mnist puts it. */
    const char *path;
    /* Which of the folders of splits; NULL: the first there is in the order above. Where there is no "val", it stands
     * for "validation", "valid" or "test", and "train" for "training". "train:0-4": a part of the classes, then counted
     * from 0. "train[:20000]" and "train:0-4[:20000]": so many of these, of CIFAR's and MNIST's binaries the first, of
     * pictures sorted by class evenly spaced ones. */
    const char *split;
    /* For pictures without class folders: a text file, one label a line: a synset, a class index from 0, or a number of
     * ImageNet's devkit if its meta.mat lies beside; in the order of the sorted file names, or, of 50,000 lines, by the
     * number in ILSVRC2012_val_<number>.JPEG; or "file label", separated by a space, tab or comma, in any order. NULL:
     * none. */
    const char *labels;
    /* Where there are no folders of splits, all is of the one that is asked for: "val" of ImageNet's val/. */
    bool whole;
} data_options;

/* A set does not change after opening: any number of threads may read at once, but where data_sequential.
 *
 * Class indices: of folders that all are ImageNet synsets, their rank among the 1000; of folders that all are numbers,
 * the number if there is a folder 0 (ImageNetV2), else its rank; else the rank of the name in sorted order.
 * Items are sorted by class, then by path, which is torchvision's order where class folders hold files alone; in
 * compressed tars they stand as in the file. */
typedef struct data_set data_set;
DEIT_INTERNAL base_status data_open(data_set **out, const data_options *options, const base_context *context);
DEIT_INTERNAL void data_close(data_set *set); /* NULL allowed */

DEIT_INTERNAL const char *data_path(const data_set *set);
DEIT_INTERNAL int64_t data_count(const data_set *set);
DEIT_INTERNAL int
data_classes(const data_set *set); /* size of the label space: 1000 for synsets, even if not all are there */
DEIT_INTERNAL bool data_sequential(const data_set *set); /* a compressed tar: can only be read from first to last */
DEIT_INTERNAL const char *data_class_name(const data_set *set, int label); /* the folder's name, or the synset */
DEIT_INTERNAL int data_label(const data_set *set, int64_t item);
/* Position in ILSVRC2012's validation order, from 0: the number in the file's name less one. -1 if it has none. */
DEIT_INTERNAL int data_val_index(const data_set *set, int64_t item);
/* Fails, naming both counts, unless the network's classes are the set's. */
DEIT_INTERNAL base_status data_check_classes(const data_set *set, int classes, const char *model);
/* Fails, naming a class, unless a label means the same in both sets: what is trained on and what is tested on. */
DEIT_INTERNAL base_status data_check_same(const data_set *train, const data_set *test);
/* Makes a sequential set one that can be read in any order, as training needs: holds its files in memory. Fails if they
 * do not fit, naming the command that unpacks it (store_repack). Does nothing to other sets. */
DEIT_INTERNAL base_status data_hold(data_set *set, const base_context *context);

/* A growing buffer for a file's bytes. Zero-initialise to begin; free `data` with base_free. */
typedef struct {
    uint8_t *data;
    size_t size, capacity;
} data_bytes;
/* Reads the file of an item, of a set that is not sequential; of a set without files, its pixels [height, width, 3].
 * Any thread. */
DEIT_INTERNAL base_status data_read(const data_set *set, int64_t item, data_bytes *bytes);

/* ---- ReaL labels ------------------------------------------------------------------------------------------------- */

/* real.json: for each of ImageNet's 50,000 validation files the list of classes that are right. */
typedef struct data_real data_real;
DEIT_INTERNAL base_status data_real_open(data_real **out, const char *path);
DEIT_INTERNAL void data_real_close(data_real *real);                     /* NULL allowed */
DEIT_INTERNAL int data_real_count(const data_real *real, int val_index); /* labels; 0: the image does not count */
DEIT_INTERNAL bool data_real_right(const data_real *real, int val_index, int label); /* is it in the list? */

/* ---- Augmentation and order of training -------------------------------------------------------------------------- */

typedef enum { DATA_BICUBIC, DATA_BILINEAR, DATA_RANDOM } data_interpolation; /* --train-interpolation */
typedef enum { DATA_ERASE_PIXEL, DATA_ERASE_CONST, DATA_ERASE_RAND } data_erase_mode;
typedef enum { DATA_MIX_BATCH, DATA_MIX_PAIR, DATA_MIX_ELEM } data_mix_mode;

/* The official script's flags of the same names; data_augment_official() gives its defaults. */
typedef struct {
    /* --aa: rand-m9-mstd0.5-inc1 and its like (m, n, p, mstd, mmax, inc, w0, t, in timm's meaning), original,
     * originalr, v0, v0r, 3a, each perhaps with -mstdX; NULL, "" or "none": no policy. Borrowed. */
    const char *aa;
    double color_jitter;              /* acts only where there is no policy, or 3-Augment */
    data_interpolation interpolation; /* --train-interpolation: of the crop and of the policy's geometric operators */
    double scale[2], ratio[2];        /* of the random resized crop: area, aspect */
    double hflip;
    double reprob;
    data_erase_mode remode;
    int recount;
    bool three_augment;      /* --ThreeAugment: in place of the policy and of erasing */
    bool src;                /* --src: with 3-Augment, a simple random crop */
    bool no_aug;             /* pictures are shown as in evaluation; mixing has its own flags */
    double mixup, cutmix;    /* alphas; 0: off */
    double cutmix_minmax[2]; /* both 0: off; else it takes the place of cutmix's alpha */
    double mixup_prob, mixup_switch_prob;
    data_mix_mode mixup_mode;
    double smoothing;
    bool repeated_aug; /* each picture three times an epoch, of a third of the pictures */
} data_augment;
DEIT_INTERNAL data_augment data_augment_official(void);
/* Whether all of it makes sense; BASE_USAGE with the flag's name if not. Loaders check it themselves. */
DEIT_INTERNAL base_status data_augment_check(const data_augment *augment, int64_t batch);

/* Training's order and randomness: a function of these, of the epoch and of the sample's place in it alone. */
typedef struct {
    data_augment augment;
    int classes; /* columns of the targets */
    uint64_t seed;
    int64_t epoch, step; /* of the first batch to be given: a run is resumed where it stopped */
    int64_t passes;      /* batches a step, 0 for 1: each gets what one of so many processes would */
} data_training;
/* Pictures that an epoch of `count` has for each pass of its steps. All of them are dealt round robin; repeated
 * augmentation cuts them to floor(count // 256 * 256 / passes), or count / passes where that is none. */
DEIT_INTERNAL int64_t data_epoch_samples(int64_t count, const data_training *training);
/* Batches of an epoch, in whole steps: what does not fill one is left out. */
DEIT_INTERNAL int64_t data_epoch_batches(int64_t count, int64_t batch, const data_training *training);
/* The items of an epoch in order: order [data_epoch_batches, batch]. */
DEIT_INTERNAL base_status data_epoch_order(int64_t *order, int64_t count, int64_t batch, const data_training *training,
                                           int64_t epoch);

/* ---- Loader ------------------------------------------------------------------------------------------------------ */

typedef struct {
    int64_t batch;             /* items a batch; the last may be smaller, but not in training */
    int threads;               /* that decode; 0: a thread a core, at most 16 */
    image_transform transform; /* what is done to each picture */
    int64_t max_bad;           /* so many files may be unreadable; one more is an error */
    const int64_t *order;      /* the items to give, in order, `count` of them; NULL: all, from first to last */
    int64_t count;
    /* Borrowed while opening; NULL: evaluation. In training batches are given epoch after epoch without end; every
     * batch is full: in the place of a bad file, the next good one of the set stands. `order` is not used. */
    const data_training *training;
} data_loader_options;

/* Belongs to the loader; valid until the next call. */
typedef struct {
    int64_t n;            /* pictures; less than the batch's items where some are bad */
    const float *images;  /* [n, 3, size, size] */
    const int *labels;    /* [n] */
    const int64_t *items; /* [n] */
    const float *targets; /* training: [n, classes], smoothed and mixed as the images; else NULL */
    int64_t epoch, step;  /* training: where it stands, from 0 */
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
DEIT_INTERNAL int64_t data_loader_bad(const data_loader *loader); /* bad files so far */
DEIT_INTERNAL double data_loader_seconds(data_loader *loader);    /* CPU time of its threads so far */
DEIT_INTERNAL double data_loader_bytes(int64_t batch, int size);  /* of memory, for batches of size x size pictures */
DEIT_INTERNAL void data_loader_close(data_loader *loader);        /* NULL allowed */

#endif
