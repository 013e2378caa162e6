/* datasets: reads the table of data sets' files that travels in the program. */
#include "embed.h"
#include "repro/manifest.h"

#include <string.h>

enum { DATASETS_MOST = 48, DATASETS_COLUMNS = 10 };

static struct {
    char *text; // a copy, cut into strings
    int count;
    repro_data_file rows[DATASETS_MOST];
} datasets_table;

/* line: cut at its tabs. */
static void datasets_row(char *line, repro_data_file *row) {
    const char *cell[DATASETS_COLUMNS];
    for (int i = 0; i < DATASETS_COLUMNS; i++) {
        cell[i] = line;
        line += strcspn(line, "\t");
        if (*line) *line++ = 0;
    }
    bool md5 = !strncmp(cell[6], "md5:", 4);
    const char *sum = strchr(cell[6], ':') ? strchr(cell[6], ':') + 1 : "";
    *row = (repro_data_file){.name = cell[0],
                             .train = cell[1],
                             .test = cell[2],
                             .classes = cell[3],
                             .folder = cell[4],
                             .file = cell[5],
                             .md5 = md5 ? sum : "",
                             .sha256 = md5 ? "" : sum,
                             .url = cell[7],
                             .take = cell[8],
                             .note = cell[9]};
}

DEIT_INTERNAL const repro_data_file *repro_data_file_at(int i) {
    if (!datasets_table.text)
        for (const embed_file *file = embed_files; file->name; file++)
            if (!strcmp(file->name, "src/data/manifest.tsv")) datasets_table.text = base_strdup(file->data);
    for (char *line = datasets_table.count ? NULL : datasets_table.text, *next; line && *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next) *next++ = 0;
        bool heading = *line == '#' || !strncmp(line, "name\t", 5);
        if (*line && !heading && datasets_table.count < DATASETS_MOST)
            datasets_row(line, &datasets_table.rows[datasets_table.count++]);
    }
    return i >= 0 && i < datasets_table.count ? &datasets_table.rows[i] : NULL;
}
