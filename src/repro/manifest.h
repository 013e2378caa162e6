/* The manifests. Of data sets: their files and where they are. Of weights: public checkpoints, where they are, what
 * they score, and which rows of Table 5 they stand for. */
#ifndef DEIT_REPRO_MANIFEST_H
#define DEIT_REPRO_MANIFEST_H

#include "base/base.h"

/* One line of weights/manifest.tsv. Unknown: "" and negative numbers. Lives as long as the program. */
typedef struct {
    const char *name;         /* what `deit weights fetch` takes */
    const char *architecture; /* the network's name in the registry */
    const char *file, *url;
    const char *sha256;      /* 64 hex digits, or the first ones known */
    const char *licence;     /* SPDX, or where the terms stand */
    double top1, top5, loss; /* what its authors measured on ImageNet's validation set */
    const char *rows;        /* rows of Table 5 it was trained as, separated by "; " */
    const char *nearest;     /* rows of Table 5 it is the nearest public file for, though trained otherwise */
    const char *note;
} repro_weights;

/* The i-th line; NULL past the end. */
DEIT_INTERNAL const repro_weights *repro_weights_at(int i);
/* By name, or else the first for that architecture; NULL if none. */
DEIT_INTERNAL const repro_weights *repro_weights_find(const char *name);
/* The line that was trained as the row of Table 5, or the nearest (*same = false); NULL if none. */
DEIT_INTERNAL const repro_weights *repro_weights_for_row(const char *row, bool *same);
/* Whether a file's digest (64 hex digits) begins as the line says; true where the line says nothing. */
DEIT_INTERNAL bool repro_weights_match(const repro_weights *weights, const char *sha256);

/* One line of src/data/manifest.tsv: a file of a data set; the lines of a set follow one another. Unknown: "". */
typedef struct {
    const char *name;                   /* what `deit data fetch` takes */
    const char *train, *test, *classes; /* numbers, on a set's first line */
    const char *folder, *file;          /* under the folder of data sets; no file: it cannot be fetched */
    const char *md5, *sha256, *url;
    const char *take; /* a file to take out of this archive */
    const char *note;
} repro_data_file;
/* The i-th line; NULL past the end. */
DEIT_INTERNAL const repro_data_file *repro_data_file_at(int i);

#endif
