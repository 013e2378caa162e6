/* table: reads repro/NAME and bench/published.tsv, which travel in the program. */
#include "embed.h"
#include "repro/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

DEIT_INTERNAL const char *repro_column_name(repro_column column) {
    static const char *const names[REPRO_COLUMNS] = {"images_per_s", "imagenet", "real", "v2"};
    return names[column];
}

static int table_column(const char *word, size_t size) {
    for (int c = 0; c < REPRO_COLUMNS; c++)
        if (strlen(repro_column_name(c)) == size && !memcmp(repro_column_name(c), word, size)) return c;
    return -1;
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

typedef struct {
    repro_table *table;
    const char *relative;
    int line;
    bool header; /* the rows' heading has been seen */
} table_reader;

#define TABLE_FAIL(reader, ...)                                                                                        \
    base_fail_in(base_fail(__VA_ARGS__), "repro/%s:%d", (reader)->table->name, (reader)->line)

/* Cuts spaces off both ends, in place. */
static char *table_trim(char *text) {
    text += strspn(text, " \t");
    size_t n = strlen(text);
    while (n && strchr(" \t\r", text[n - 1])) text[--n] = 0;
    return text;
}

/* "-": not published. */
static base_status table_number(const table_reader *reader, const char *text, double *value) {
    char *end;
    *value = -1;
    if (!strcmp(text, "-")) return BASE_OK;
    *value = strtod(text, &end);
    if (end == text || *end || !isfinite(*value) || *value < 0)
        return TABLE_FAIL(reader, "expected a number or -, found '%s'", text);
    return BASE_OK;
}

/* "| label | model | params | image | images/s | ImageNet | ReaL | V2 |" */
static base_status table_row(table_reader *reader, char *line) {
    enum { COLUMNS = 8 };
    char *cell[COLUMNS];
    int n = 0;
    for (char *at = line + 1, *bar; (bar = strchr(at, '|')); at = bar + 1, n++) {
        *bar = 0;
        if (n < COLUMNS) cell[n] = table_trim(at);
    }
    if (n != COLUMNS) return TABLE_FAIL(reader, "expected %d columns, found %d", COLUMNS, n);
    if (cell[0][0] == '-') return BASE_OK;
    if (!reader->header) {
        reader->header = true;
        return BASE_OK;
    }
    repro_table *table = reader->table;
    if (table->n == REPRO_MAX_ROWS) return TABLE_FAIL(reader, "more than %d rows", REPRO_MAX_ROWS);
    repro_row *row = &table->rows[table->n++];
    *row = (repro_row){.label = cell[0], .model = cell[1], .params = cell[2], .image = atoi(cell[3])};
    if (row->image < 1) return TABLE_FAIL(reader, "expected the image's side, found '%s'", cell[3]);
    for (int c = 0; c < REPRO_COLUMNS; c++) BASE_TRY(table_number(reader, cell[4 + c], &row->published[c]));
    return BASE_OK;
}

/* "imagenet real: deit eval ..." */
static base_status table_command(table_reader *reader, char *text) {
    repro_table *table = reader->table;
    char *colon = strchr(text, ':');
    if (!colon || table->n_commands == REPRO_MAX_COMMANDS)
        return TABLE_FAIL(reader, "expected 'command COLUMN...: COMMAND'");
    repro_command *command = &table->commands[table->n_commands++];
    command->text = table_trim(colon + 1);
    for (char *at = text; at < colon;) {
        size_t size = strcspn(at, " :");
        int column = table_column(at, size);
        if (column < 0) return TABLE_FAIL(reader, "no column '%.*s'", (int)size, at);
        command->makes |= 1U << column;
        at += size + strspn(at + size, " ");
    }
    return BASE_OK;
}

static base_status table_tolerance(table_reader *reader, const char *text) {
    if (sscanf(text, "speed %lf", &reader->table->speed_tolerance) == 1) return BASE_OK;
    if (sscanf(text, "accuracy %lf", &reader->table->accuracy_tolerance) == 1) return BASE_OK;
    return TABLE_FAIL(reader, "expected 'tolerance speed|accuracy NUMBER'");
}

static base_status table_line(table_reader *reader, char *line) {
    repro_table *table = reader->table;
    line = table_trim(line);
    if (!*line || *line == '#') return BASE_OK;
    if (*line == '|') return table_row(reader, line);
    size_t size = strcspn(line, " ");
    char *word = line, *value = table_trim(line + size);
    if (line[size]) line[size] = 0;
    if (!strcmp(word, "title"))
        table->title = value;
    else if (!strcmp(word, "source"))
        table->source = value;
    else if (!strcmp(word, "relative"))
        reader->relative = value;
    else if (!strcmp(word, "samples"))
        table->samples = atoi(value);
    else if (!strcmp(word, "budget"))
        table->budget = strtod(value, NULL);
    else if (!strcmp(word, "tolerance"))
        return table_tolerance(reader, value);
    else if (!strcmp(word, "command"))
        return table_command(reader, value);
    else if (!strcmp(word, "claim")) {
        if (table->n_claims == REPRO_MAX_CLAIMS) return TABLE_FAIL(reader, "more than %d claims", REPRO_MAX_CLAIMS);
        table->claims[table->n_claims++].text = value; /* its rows are looked up when all are known */
    } else {
        return TABLE_FAIL(reader, "'%s' means nothing here", word);
    }
    return BASE_OK;
}

/* ---- What refers to rows ----------------------------------------------------------------------------------------- */

static int table_find(const repro_table *table, const char *label, size_t size) {
    for (int i = 0; i < table->n; i++)
        if (strlen(table->rows[i].label) == size && !memcmp(table->rows[i].label, label, size)) return i;
    return -1;
}

/* "images_per_s: DeiT-Ti > DeiT-S" */
static base_status table_claim(repro_table *table, repro_claim *claim) {
    const char *text = claim->text;
    size_t size = strcspn(text, ":");
    int column = table_column(text, size);
    if (column < 0 || !text[size])
        return base_fail("repro/%s: claim '%s': expected 'COLUMN: ROW > ROW'", table->name, text);
    claim->column = (repro_column)column;
    claim->text = text + size + 1 + strspn(text + size + 1, " ");
    for (const char *at = claim->text; *at;) {
        const char *end = strstr(at, " > ");
        size = end ? (size_t)(end - at) : strlen(at);
        int row = table_find(table, at, size);
        if (row < 0) return base_fail("repro/%s: claim '%s': no row '%.*s'", table->name, text, (int)size, at);
        if (claim->n == REPRO_MAX_TERMS)
            return base_fail("repro/%s: claim '%s': more than %d rows", table->name, text, REPRO_MAX_TERMS);
        claim->term[claim->n++] = row;
        at += size + (end ? 3 : 0);
    }
    return claim->n > 1 ? BASE_OK : base_fail("repro/%s: claim '%s': expected at least two rows", table->name, text);
}

static base_status table_finish(table_reader *reader) {
    repro_table *table = reader->table;
    for (int i = 0; i < table->n_claims; i++) BASE_TRY(table_claim(table, &table->claims[i]));
    table->relative = reader->relative ? table_find(table, reader->relative, strlen(reader->relative)) : -1;
    if (table->relative < 0) return base_fail("repro/%s: 'relative' names no row", table->name);
    if (!table->title || !table->source || table->samples < 1 || table->budget <= 0 || table->speed_tolerance <= 0 ||
        table->accuracy_tolerance <= 0)
        return base_fail("repro/%s: expected title, source, samples, budget, tolerance speed and tolerance accuracy",
                         table->name);
    return BASE_OK;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL void repro_table_free(repro_table *table) {
    if (!table) return;
    base_arena_free(&table->arena);
    base_free(table);
}

DEIT_INTERNAL base_status repro_table_parse(repro_table **out, const char *name, const char *text) {
    *out = NULL;
    repro_table *table = base_calloc(1, sizeof *table);
    if (!table) return BASE_ERROR;
    table_reader reader = {.table = table};
    table->name = base_arena_printf(&table->arena, "%s", name);
    char *copy = base_arena_alloc(&table->arena, strlen(text) + 1);
    base_status status = table->name && copy ? BASE_OK : BASE_ERROR;
    if (!status) memcpy(copy, text, strlen(text) + 1);
    for (char *line = copy, *next; !status && *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next) *next++ = 0;
        reader.line++;
        status = table_line(&reader, line);
    }
    if (!status) status = table_finish(&reader);
    if (status)
        repro_table_free(table);
    else
        *out = table;
    return status;
}

DEIT_INTERNAL const char *repro_embedded(const char *name) {
    for (const embed_file *file = embed_files; file->name; file++)
        if (!strcmp(file->name, name)) return file->data;
    return NULL;
}

DEIT_INTERNAL const char *const *repro_table_names(void) {
    static const char *names[16];
    int n = 0;
    for (const embed_file *file = embed_files; file->name && n < 15; file++)
        if (!strncmp(file->name, "repro/", 6)) names[n++] = file->name + 6;
    return names;
}

DEIT_INTERNAL base_status repro_table_open(repro_table **out, const char *name) {
    char path[128];
    *out = NULL;
    snprintf(path, sizeof path, "repro/%.100s", name);
    const char *text = repro_embedded(path);
    if (text) return repro_table_parse(out, name, text);
    const char *const *names = repro_table_names();
    int n = 0;
    while (names[n]) n++;
    const char *near = base_nearest(name, names, n);
    return base_fail_as(BASE_USAGE, "no table '%s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "",
                        near ? "'?" : "");
}

/* Lines of model, image, images/s, source, separated by tabs. */
DEIT_INTERNAL double repro_published(const char *model, int image) {
    const char *line = repro_embedded("bench/published.tsv");
    for (; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t size = strcspn(line, "\t\n");
        if (strlen(model) != size || memcmp(line, model, size) || line[size] != '\t') continue;
        char *end;
        if (strtol(line + size, &end, 10) == image) return strtod(end, NULL);
    }
    return -1;
}
#undef TABLE_FAIL
