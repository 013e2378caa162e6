/* What the files of data share. */
#ifndef DEIT_DATA_INTERNAL_H
#define DEIT_DATA_INTERNAL_H

#include "data/data.h"

typedef enum { DATA_FOLDER, DATA_ARCHIVE, DATA_STREAM, DATA_HELD, DATA_RAW } data_kind;
typedef struct {
    const char *name;         /* path inside the folder or archive */
    const char *key;          /* the same without leading folders: class/file, or file */
    const store_entry *entry; /* DATA_ARCHIVE */
    int label;
    int64_t rank;        /* DATA_STREAM: its place in the archive; DATA_RAW: of its pixels in raw.bytes */
    const uint8_t *held; /* DATA_HELD: the file, base_malloc'd */
    size_t size;         /* of it */
} data_item;

/* Pixels of a set that has no files: as its binaries have them. */
typedef struct {
    int width, height, channels; /* planes: channels 3, all of one colour before the next; channels 1: grey */
    uint8_t *bytes;              /* base_malloc'd; whole files */
} data_raw;

struct data_set {
    data_kind kind;
    char *path;
    store_archive *archive;
    base_arena arena;
    data_item *items;
    int64_t count, capacity;
    int classes;
    int first_class;          /* of the split "train:A-B": class 0 was A */
    bool imagenet;            /* labels are ImageNet's */
    const char **class_names; /* [classes], NULL where a class has no folder */
    const char **empty;       /* [n_empty], base_malloc'd: folders without images */
    int n_empty;
    data_raw raw; /* DATA_RAW */
};

/* listing.c: fills items (names only). */
DEIT_INTERNAL base_status data_list(data_set *set, const base_context *context);
/* labels.c: chooses the split, strips leading folders, gives every item its label. */
/* The labels of ImageNet's validation pictures in a folder, as a list or as the devkit has them; NULL: none. */
DEIT_INTERNAL const char *data_labels_beside(data_set *set, const char *folder);
DEIT_INTERNAL base_status data_assign(data_set *set, const data_options *options);
/* label_file.c: gives every item its label from a file, and sorts the items by name. */
DEIT_INTERNAL base_status data_read_label_file(data_set *set, const char *path);
/* devkit.c: the class index of each number of ImageNet's devkit, -1 where it has none, from the meta.mat beside the
 * file `labels`, if it is there. */
DEIT_INTERNAL base_status data_read_devkit(const char *labels, int index[DATA_IMAGENET_CLASSES + 1], bool *there);
/* labels.c: sorts the items by label and name. */
DEIT_INTERNAL void data_sort(data_set *set);
DEIT_INTERNAL void data_sort_by_class(data_set *set);
/* set.c: which of the two splits of a set that has its labels with it. */
DEIT_INTERNAL base_status data_train_or_test(const data_set *set, const data_options *options, bool *train);
/* annotated.c: whether the folder is Flowers-102's, Cars' or iNaturalist's, and then its items with their labels. */
DEIT_INTERNAL base_status data_annotated_open(data_set *set, const data_options *options, const base_context *context,
                                              bool *is_annotated);
/* hold.c: frees what DATA_HELD holds. */
DEIT_INTERNAL void data_release(data_set *set);
/* raw.c: whether the path is CIFAR's or MNIST's, and then its items with their labels. */
DEIT_INTERNAL base_status data_raw_open(data_set *set, const data_options *options, const base_context *context,
                                        bool *is_raw);
DEIT_INTERNAL base_status data_raw_cifar(data_set *set, const char *file, const uint8_t *bytes, size_t size,
                                         size_t *held);
DEIT_INTERNAL base_status data_raw_idx(data_set *set, const char *file, uint8_t *images, size_t images_size,
                                       const uint8_t *labels, size_t labels_size);
DEIT_INTERNAL void data_raw_pixels(const data_set *set, int64_t item, uint8_t *rgb);
/* An item as image reads it: its file's bytes, or RGB pixels. */
DEIT_INTERNAL base_status data_read_source(const data_set *set, int64_t item, data_bytes *bytes, image_source *source);
DEIT_INTERNAL bool data_is_image(const char *name);
DEIT_INTERNAL bool data_is_tar(const char *name);
DEIT_INTERNAL base_status data_room(data_bytes *bytes, size_t size);

/* ---- Policies (policy.c) ----------------------------------------------------------------------------------------- */

/* timm's operators: those of RandAugment, the increasing kinds, others. */
enum {
    DATA_NOTHING, /* of a sub-policy with one operator: never applied */
    DATA_AUTO_CONTRAST,
    DATA_EQUALIZE,
    DATA_INVERT,
    DATA_ROTATE,
    DATA_POSTERIZE,
    DATA_SOLARIZE,
    DATA_SOLARIZE_ADD,
    DATA_COLOR,
    DATA_CONTRAST,
    DATA_BRIGHTNESS,
    DATA_SHARPNESS,
    DATA_SHEAR_X,
    DATA_SHEAR_Y,
    DATA_TRANSLATE_X,
    DATA_TRANSLATE_Y,
    DATA_POSTERIZE_INC,
    DATA_SOLARIZE_INC,
    DATA_COLOR_INC,
    DATA_CONTRAST_INC,
    DATA_BRIGHTNESS_INC,
    DATA_SHARPNESS_INC,
    DATA_POSTERIZE_ORIGINAL,
    DATA_DESATURATE,
    DATA_BLUR,
    DATA_BLUR_RANDOM
};
enum { DATA_POLICY_CHOICES = 25, DATA_POLICY_LAYERS = 16 };

typedef struct {
    uint8_t op;
    double probability, magnitude;
} data_policy_step;
typedef struct {
    int choices, layers; /* choices 0: no policy; layers 0: AutoAugment, one choice of two steps; else so many of one */
    data_policy_step choice[DATA_POLICY_CHOICES][2];
    double weight[DATA_POLICY_CHOICES];
    bool weighted;          /* drawn by weight, none twice */
    bool three;             /* 3-Augment: colour jitter comes after it */
    double deviation, most; /* of the magnitude; infinite: uniform from 0 */
} data_policy;
/* text: as data_augment's aa. */
DEIT_INTERNAL base_status data_policy_parse(data_policy *policy, const char *text);

typedef struct {
    int size; /* of the picture */
    data_interpolation interpolation;
    uint8_t fill[3];
} data_policy_look;
/* What to do to one picture, in order; returns how many. */
DEIT_INTERNAL int data_policy_draw(const data_policy *policy, const data_policy_look *look, base_random *random,
                                   image_change changes[DATA_POLICY_LAYERS]);
DEIT_INTERNAL image_filter data_draw_filter(data_interpolation interpolation, base_random *random);

/* ---- Augmentation of a picture (augment.c) ----------------------------------------------------------------------- */

/* What random numbers are for: base_random_stream's purposes. */
enum { DATA_RANDOM_ORDER = 0xda00, DATA_RANDOM_PICTURE, DATA_RANDOM_ERASE, DATA_RANDOM_MIX };

typedef struct {
    data_augment options;
    image_transform transform;
    data_policy policy;
    data_policy_look look;
} data_augmenter;
DEIT_INTERNAL base_status data_augmenter_make(data_augmenter *augmenter, const data_augment *options,
                                              const image_transform *transform);
/* One picture as the sample of an epoch shows it. spare: zero-initialised to begin, reused. out: [3, size, size] */
DEIT_INTERNAL base_status data_augmenter_run(const data_augmenter *augmenter, image_worker *worker, image_u8 *spare,
                                             const image_source *source, uint64_t seed, int64_t epoch, int64_t sample,
                                             float *out);
/* The part of a random resized crop. */
DEIT_INTERNAL void data_draw_crop(const data_augment *options, base_random *random, int width, int height,
                                  image_box *box);
/* Random erasing. image: [3, size, size] */
DEIT_INTERNAL void data_erase(const data_augment *options, base_random *random, int size, float *image);

/* ---- Mixing (mix.c) ---------------------------------------------------------------------------------------------- */

/* What becomes of a picture and its target with those of its partner: keep of its own and give of the partner's, or a
 * box of the partner's. */
typedef struct {
    float keep, give;
    bool cut;
    int left, top, right, bottom;
} data_mix;
DEIT_INTERNAL bool data_mixes(const data_augment *options);
/* mix: [n], of a batch of pictures size x size; the partner of i is n - 1 - i. */
DEIT_INTERNAL void data_mix_draw(const data_augment *options, base_random *random, int64_t n, int size, data_mix *mix);
/* Mixes two partners' pictures: a, b [3, size, size], each by its own. */
DEIT_INTERNAL void data_mix_images(float *a, float *b, int size, const data_mix *of_a, const data_mix *of_b);
/* target: [classes] of a picture and its partner. */
DEIT_INTERNAL void data_mix_target(float *target, int classes, double smoothing, int label, int partner,
                                   const data_mix *mix);
/* Beta(alpha, alpha). */
DEIT_INTERNAL double data_draw_beta(base_random *random, double alpha);

#endif
