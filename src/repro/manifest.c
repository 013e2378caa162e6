/* manifest: reads the tables of public checkpoints and of data sets' files that travel in the program. */
#include "repro/manifest.h"
#include "repro/internal.h"

#include <stdlib.h>
#include <string.h>

enum { MANIFEST_WEIGHTS = 96, MANIFEST_FILES = 48, MANIFEST_COLUMNS = 12 };

/* Read at first use; without memory they stay empty. text: a copy of the table, cut into strings. */
static struct {
    char *text;
    int count;
    repro_weights rows[MANIFEST_WEIGHTS];
} manifest_weights;
static struct {
    char *text;
    int count;
    repro_data_file rows[MANIFEST_FILES];
} manifest_files;

/* Cuts the next line at its tabs; *at goes on behind it. False when no line is left. */
static bool manifest_next(char **at, const char *cell[MANIFEST_COLUMNS]) {
    while (*at && **at) {
        char *line = *at, *next = line + strcspn(line, "\n");
        if (*next) *next++ = 0;
        *at = next;
        if (!*line || *line == '#' || !strncmp(line, "name\t", 5)) continue; /* a comment, the heading */
        for (int i = 0; i < MANIFEST_COLUMNS; i++) {
            cell[i] = line;
            line += strcspn(line, "\t");
            if (*line) *line++ = 0;
        }
        return true;
    }
    return false;
}

DEIT_INTERNAL const repro_data_file *repro_data_file_at(int i) {
    const char *c[MANIFEST_COLUMNS];
    char *at = manifest_files.text ? NULL : base_strdup(repro_embedded("src/data/manifest.tsv"));
    if (at) manifest_files.text = at;
    while (manifest_files.count < MANIFEST_FILES && manifest_next(&at, c)) {
        bool md5 = !strncmp(c[6], "md5:", 4);
        const char *sum = strchr(c[6], ':') ? strchr(c[6], ':') + 1 : "";
        manifest_files.rows[manifest_files.count++] =
            (repro_data_file){c[0], c[1], c[2], c[3], c[4], c[5], md5 ? sum : "", md5 ? "" : sum, c[7], c[8], c[9]};
    }
    return i >= 0 && i < manifest_files.count ? &manifest_files.rows[i] : NULL;
}

DEIT_INTERNAL const repro_weights *repro_weights_at(int i) {
    const char *c[MANIFEST_COLUMNS];
    char *at = manifest_weights.text ? NULL : base_strdup(repro_embedded("weights/manifest.tsv"));
    if (at) manifest_weights.text = at;
    while (manifest_weights.count < MANIFEST_WEIGHTS && manifest_next(&at, c)) {
        double number[3];
        for (int k = 0; k < 3; k++) number[k] = *c[6 + k] ? strtod(c[6 + k], NULL) : -1;
        manifest_weights.rows[manifest_weights.count++] =
            (repro_weights){c[0], c[1], c[2], c[3], c[4], c[5], number[0], number[1], number[2], c[9], c[10], c[11]};
    }
    return i >= 0 && i < manifest_weights.count ? &manifest_weights.rows[i] : NULL;
}

DEIT_INTERNAL const repro_weights *repro_weights_find(const char *name) {
    const repro_weights *row;
    for (int i = 0; (row = repro_weights_at(i)); i++)
        if (!strcmp(row->name, name)) return row;
    for (int i = 0; (row = repro_weights_at(i)); i++)
        if (!strcmp(row->architecture, name)) return row;
    return NULL;
}

/* list: items separated by "; ". */
static bool manifest_listed(const char *list, const char *item) {
    size_t size = strlen(item);
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, ";");
        if (length == size && !memcmp(at, item, size)) return true;
        at += length;
        at += strspn(at, "; ");
    }
    return false;
}

DEIT_INTERNAL const repro_weights *repro_weights_for_row(const char *name, bool *same) {
    const repro_weights *row;
    *same = true;
    for (int i = 0; (row = repro_weights_at(i)); i++)
        if (manifest_listed(row->rows, name)) return row;
    *same = false;
    for (int i = 0; (row = repro_weights_at(i)); i++)
        if (manifest_listed(row->nearest, name)) return row;
    return NULL;
}

DEIT_INTERNAL bool repro_weights_match(const repro_weights *weights, const char *sha256) {
    return !strncmp(weights->sha256, sha256, strlen(weights->sha256));
}
