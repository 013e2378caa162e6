/* manifest: reads the table of public checkpoints that travels in the program. */
#include "repro/manifest.h"
#include "embed.h"

#include <stdlib.h>
#include <string.h>

enum { MANIFEST_MOST = 96, MANIFEST_COLUMNS = 12 };

static struct {
    char *text; // a copy, cut into strings
    int count;
    repro_weights rows[MANIFEST_MOST];
} manifest_table;

/* line: cut at its tabs. */
static void manifest_row(char *line, repro_weights *row) {
    const char *cell[MANIFEST_COLUMNS];
    for (int i = 0; i < MANIFEST_COLUMNS; i++) {
        cell[i] = line;
        line += strcspn(line, "\t");
        if (*line) *line++ = 0;
    }
    double number[3];
    for (int i = 0; i < 3; i++) number[i] = *cell[6 + i] ? strtod(cell[6 + i], NULL) : -1;
    *row = (repro_weights){cell[0],   cell[1],   cell[2],   cell[3], cell[4],  cell[5],
                           number[0], number[1], number[2], cell[9], cell[10], cell[11]};
}

/* Reads the table at first use; without memory it stays empty. */
static void manifest_read(void) {
    if (manifest_table.text) return;
    for (const embed_file *file = embed_files; file->name; file++)
        if (!strcmp(file->name, "weights/manifest.tsv")) manifest_table.text = base_strdup(file->data);
    for (char *line = manifest_table.text, *next; line && *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next) *next++ = 0;
        bool heading = *line == '#' || !strncmp(line, "name\t", 5);
        if (*line && !heading && manifest_table.count < MANIFEST_MOST)
            manifest_row(line, &manifest_table.rows[manifest_table.count++]);
    }
}

DEIT_INTERNAL const repro_weights *repro_weights_at(int i) {
    manifest_read();
    return i >= 0 && i < manifest_table.count ? &manifest_table.rows[i] : NULL;
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
