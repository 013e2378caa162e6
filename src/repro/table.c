/* table: reads repro/NAME and bench/published.tsv, which travel in the program. repro/README.md describes the format.
 */
#include "embed.h"
#include "repro/internal.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

DEIT_INTERNAL const char *repro_scale_name(repro_scale scale) {
    return scale == REPRO_DESK ? "desk" : "paper";
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

typedef struct {
    repro_table *table;
    const char *where; /* the file */
    const char *relative;
    const char *plot[REPRO_MAX_PLOTS];
    int line;
    int relative_line, command_line[REPRO_MAX_COMMANDS], claim_line[REPRO_MAX_CLAIMS], plot_line[REPRO_MAX_PLOTS];
    bool header, dashes; /* the rows' heading has been seen, the line of dashes below it */
} table_reader;

#define TABLE_FAIL(reader, ...) TABLE_FAIL_AT(reader, (reader)->line, __VA_ARGS__)
#define TABLE_FAIL_AT(reader, line, ...) base_fail_in(base_fail(__VA_ARGS__), "%s:%d", (reader)->where, line)

/* Cuts spaces off both ends, in place. */
static char *table_trim(char *text) {
    text += strspn(text, " \t");
    size_t n = strlen(text);
    while (n && strchr(" \t\r", text[n - 1])) text[--n] = 0;
    return text;
}

/* Cuts the first word off; *rest: what follows it, trimmed. */
static char *table_word(char *text, char **rest) {
    size_t size = strcspn(text, " \t");
    *rest = table_trim(text + size);
    text[size] = 0;
    return text;
}

static int table_column(const repro_table *table, const char *name, size_t size) {
    for (int c = 0; c < table->n_columns; c++)
        if (strlen(table->columns[c].name) == size && !memcmp(table->columns[c].name, name, size)) return c;
    return -1;
}

static int table_find(const repro_table *table, const char *label, size_t size) {
    for (int i = 0; i < table->n; i++)
        if (strlen(table->rows[i].text[0]) == size && !memcmp(table->rows[i].text[0], label, size)) return i;
    return -1;
}

DEIT_INTERNAL int repro_column_find(const repro_table *table, const char *name) {
    return table_column(table, name, strlen(name));
}

/* "images_per_s speed images/s" */
static base_status table_add_column(table_reader *reader, char *text) {
    static const char *const kinds[] = {"label",  "attribute", "training", "weights",  "text",
                                        "params", "speed",     "accuracy", "fraction", "number"};
    repro_table *table = reader->table;
    char *kind, *title;
    char *name = table_word(text, &kind);
    kind = table_word(kind, &title);
    size_t k = 0;
    while (k < sizeof kinds / sizeof *kinds && strcmp(kinds[k], kind) != 0) k++;
    if (k == sizeof kinds / sizeof *kinds) return TABLE_FAIL(reader, "'%s' is no kind of column", kind);
    if (table->n_columns == REPRO_MAX_COLUMNS) return TABLE_FAIL(reader, "more than %d columns", REPRO_MAX_COLUMNS);
    if (reader->header)
        return TABLE_FAIL(reader, "column '%s' stands below the rows' heading: expected it above", name);
    if (repro_column_find(table, name) >= 0) return TABLE_FAIL(reader, "there is a column '%s' already", name);
    if ((k == REPRO_LABEL) != (table->n_columns == 0))
        return TABLE_FAIL(reader, "the first column, and only that, is the label");
    table->columns[table->n_columns++] = (repro_column){name, title, (repro_kind)k};
    return BASE_OK;
}

/* A cell's number: of columns that are measured it must be one, or "-". */
static base_status table_number(const table_reader *reader, const char *text, repro_kind kind, double *value) {
    char *end;
    *value = NAN;
    if (!strcmp(text, "-") || kind == REPRO_LABEL || kind == REPRO_PARAMS) return BASE_OK;
    double number = strtod(text, &end);
    bool is = end != text && isfinite(number);
    if (kind >= REPRO_SPEED && (!is || *end)) return TABLE_FAIL(reader, "expected a number or -, found '%s'", text);
    if (is && !*end) *value = number;
    return BASE_OK;
}

static base_status table_heading(table_reader *reader, char *const *cell) {
    reader->header = true;
    for (int c = 0; c < reader->table->n_columns; c++)
        if (strcmp(cell[c], reader->table->columns[c].name) != 0)
            return TABLE_FAIL(reader, "expected the column '%s', found '%s'", reader->table->columns[c].name, cell[c]);
    return BASE_OK;
}

static base_status table_seeds(const table_reader *reader, const char *text, int *seeds) {
    char *end;
    long n = strtol(text, &end, 10);
    if (n < 1 || n > REPRO_MAX_SEEDS || *end || end == text)
        return TABLE_FAIL(reader, "expected 1 to %d seeds, found '%s'", REPRO_MAX_SEEDS, text);
    *seeds = (int)n;
    return BASE_OK;
}

/* "3.5", and nothing behind it. */
static base_status table_amount(const table_reader *reader, const char *what, const char *text, double *value) {
    char *end;
    *value = strtod(text, &end);
    if (end != text && !*end && isfinite(*value) && *value >= 0) return BASE_OK;
    return TABLE_FAIL(reader, "%s: expected a number, 0 or above, found '%s'", what, text);
}

static base_status table_samples(const table_reader *reader, const char *text) {
    double value;
    BASE_TRY(table_amount(reader, "samples", text, &value));
    reader->table->samples = (int)fmin(value, 1e6);
    if (reader->table->samples == value) return BASE_OK;
    return TABLE_FAIL(reader, "samples: expected a whole number, found '%s'", text);
}

/* Whether commands know a {name}, be it that a row or this machine has no value for it: of the program, a column,
 * {student.network} of a column of trainings, or {made.column}. */
static bool table_knows(const repro_table *table, const char *name, size_t size) {
    static const char *const known[] = {"image",   "precision", "weights",  "batch",  "repeats",
                                        "seconds", "seed",      "imagenet", "labels", "imagenetv2",
                                        "real",    "train",     "fashion",  "folder", "resume"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i]) == size && !memcmp(known[i], name, size)) return true;
    for (int i = 0; i < REPRO_TRANSFERS; i++)
        if (strlen(repro_set_at(i)->name) == size && !memcmp(repro_set_at(i)->name, name, size)) return true;
    const char *dot = memchr(name, '.', size);
    if (!dot) return table_column(table, name, size) >= 0;
    if (dot - name == 4 && !memcmp(name, "made", 4)) return table_column(table, dot + 1, size - 5) >= 0;
    int training = table_column(table, name, (size_t)(dot - name));
    return training >= 0 && table->columns[training].kind == REPRO_TRAINING;
}

/* Every brace of a text is closed and holds a name that is known. line: the text's. */
static base_status table_names(const table_reader *reader, int line, const char *text) {
    for (const char *brace = text, *end; (brace = strchr(brace, '{')); brace = end) {
        end = brace + strcspn(brace, "} ");
        if (*end != '}')
            return TABLE_FAIL_AT(reader, line, "'%.*s' is not closed: expected }", (int)(end - brace), brace);
        if (!table_knows(reader->table, brace + 1, (size_t)(end - brace - 1)))
            return TABLE_FAIL_AT(reader, line, "unknown name '%.*s}': expected a column, or a name of repro/README.md",
                                 (int)(end - brace), brace);
    }
    return BASE_OK;
}

/* Every [ before a word is closed behind one, and none stands in another. */
static base_status table_brackets(const table_reader *reader, int line, const char *text) {
    const char *open = NULL;
    for (size_t size; *(text += strspn(text, " ")); text += size) {
        size = strcspn(text, " ");
        if (*text == '[' && open) break;
        if (*text == '[') open = text;
        if (open && text[size - 1] == ']') open = NULL;
    }
    return open ? TABLE_FAIL_AT(reader, line, "'%.*s' is not closed: expected ]", (int)strcspn(open, " "), open)
                : BASE_OK;
}

static base_status table_check_command(const table_reader *reader, int line, const repro_command *command) {
    for (int k = 0; k < command->n; k++) BASE_TRY(table_names(reader, line, command->key[k]));
    BASE_TRY(table_names(reader, line, command->text));
    return table_brackets(reader, line, command->text);
}

static bool table_is_dashes(char *const *cell, int n) {
    for (int c = 0; c < n; c++)
        if (!*cell[c] || cell[c][strspn(cell[c], ":-")]) return false;
    return true;
}

/* A row is known by its label. */
static base_status table_label(const table_reader *reader, const char *label) {
    if (!*label || !strcmp(label, "-")) return TABLE_FAIL(reader, "expected the row's label, found '%s'", label);
    int other = table_find(reader->table, label, strlen(label));
    return other < 0 ? BASE_OK
                     : TABLE_FAIL(reader, "row %d is called '%s' too: claims and --only need another label", other + 1,
                                  label);
}

/* "| cell | cell |": the heading with the columns' names, a line of dashes, then the rows. */
static base_status table_row(table_reader *reader, char *line) {
    repro_table *table = reader->table;
    char *cell[REPRO_MAX_COLUMNS];
    int n = 0;
    if (!table->n_columns) return TABLE_FAIL(reader, "a row, and no 'column' before it");
    for (char *at = line + 1, *bar; (bar = strchr(at, '|')); at = bar + 1, n++) {
        *bar = 0;
        if (n < REPRO_MAX_COLUMNS) cell[n] = table_trim(at);
    }
    if (n != table->n_columns) return TABLE_FAIL(reader, "expected %d columns, found %d", table->n_columns, n);
    if (!reader->header) return table_heading(reader, cell);
    if (!reader->dashes && !table->n && table_is_dashes(cell, n)) {
        reader->dashes = true;
        return BASE_OK;
    }
    BASE_TRY(table_label(reader, cell[0]));
    if (table->n == REPRO_MAX_ROWS) return TABLE_FAIL(reader, "more than %d rows", REPRO_MAX_ROWS);
    repro_row *row = &table->rows[table->n++];
    for (int c = 0; c < n; c++) {
        row->text[c] = cell[c];
        BASE_TRY(table_number(reader, cell[c], table->columns[c].kind, &row->published[c]));
        if (table->columns[c].kind == REPRO_ATTRIBUTE && *cell[c] == '{')
            BASE_TRY(table_names(reader, reader->line, cell[c]));
        if (!strcmp(table->columns[c].name, "image") && !(row->published[c] >= 1))
            return TABLE_FAIL(reader, "expected the image's side, found '%s'", cell[c]);
        if (!strcmp(table->columns[c].name, "seeds") && strcmp(cell[c], "-") != 0)
            BASE_TRY(table_seeds(reader, cell[c], &row->seeds));
    }
    return BASE_OK;
}

/* "[desk] COLUMN[=KEY]...: deit ..." */
static base_status table_command(table_reader *reader, char *text) {
    repro_table *table = reader->table;
    char *colon = strchr(text, ':');
    if (!colon || table->n_commands == REPRO_MAX_COMMANDS)
        return TABLE_FAIL(reader, "expected 'command [desk] COLUMN[=KEY]...: COMMAND', at most %d of them",
                          REPRO_MAX_COMMANDS);
    reader->command_line[table->n_commands] = reader->line;
    repro_command *command = &table->commands[table->n_commands++];
    command->text = table_trim(colon + 1);
    *colon = 0;
    for (char *word = table_trim(text), *rest; *word; word = rest) {
        word = table_word(word, &rest);
        if (!command->n && !strcmp(word, "desk")) {
            command->scale = REPRO_DESK;
            continue;
        }
        char *equals = strchr(word, '=');
        if (equals) *equals = 0;
        int column = repro_column_find(table, word);
        if (column < 0) return TABLE_FAIL(reader, "no column '%s'", word);
        if (command->n == REPRO_MAX_MAKES) return TABLE_FAIL(reader, "more than %d columns", REPRO_MAX_MAKES);
        command->column[command->n] = column;
        command->key[command->n++] = equals ? equals + 1 : word;
    }
    return command->n || table->makes ? BASE_OK : TABLE_FAIL(reader, "the command makes no column");
}

static base_status table_tolerance(table_reader *reader, char *text) {
    char *number, *of = table_word(text, &number);
    if (!strcmp(of, "speed")) return table_amount(reader, "tolerance speed", number, &reader->table->speed_tolerance);
    if (!strcmp(of, "accuracy"))
        return table_amount(reader, "tolerance accuracy", number, &reader->table->accuracy_tolerance);
    return TABLE_FAIL(reader, "expected 'tolerance speed|accuracy NUMBER'");
}

static base_status table_claim_line(table_reader *reader, const char *text) {
    repro_table *table = reader->table;
    if (table->n_claims == REPRO_MAX_CLAIMS) return TABLE_FAIL(reader, "more than %d claims", REPRO_MAX_CLAIMS);
    reader->claim_line[table->n_claims] = reader->line;
    table->claims[table->n_claims++].text = text; /* its cells are looked up when all are known */
    return BASE_OK;
}

static base_status table_plot_line(table_reader *reader, const char *text) {
    repro_table *table = reader->table;
    if (table->n_plots == REPRO_MAX_PLOTS) return TABLE_FAIL(reader, "more than %d plots", REPRO_MAX_PLOTS);
    reader->plot_line[table->n_plots] = reader->line;
    reader->plot[table->n_plots++] = text;
    return BASE_OK;
}

/* "[desk] TEXT" */
static base_status table_note(table_reader *reader, char *text) {
    repro_table *table = reader->table;
    bool desk = !strncmp(text, "desk", 4) && strchr(" \t", text[4]); /* the NUL, too */
    if (desk) text = table_trim(text + 4);
    if (!*text || table->n_notes == REPRO_MAX_NOTES)
        return TABLE_FAIL(reader, "expected 'note [desk] TEXT', at most %d of them", REPRO_MAX_NOTES);
    table->notes[table->n_notes++] = (repro_note){desk ? REPRO_DESK : REPRO_PAPER, text};
    return BASE_OK;
}

static base_status table_line(table_reader *reader, char *line) {
    repro_table *table = reader->table;
    line = table_trim(line);
    if (!*line || *line == '#') return BASE_OK;
    if (*line == '|') return table_row(reader, line);
    char *value, *word = table_word(line, &value);
    if (!strcmp(word, "column")) return table_add_column(reader, value);
    if (!strcmp(word, "command")) return table_command(reader, value);
    if (!strcmp(word, "tolerance")) return table_tolerance(reader, value);
    if (!strcmp(word, "claim")) return table_claim_line(reader, value);
    if (!strcmp(word, "plot")) return table_plot_line(reader, value);
    if (!strcmp(word, "note")) return table_note(reader, value);
    if (!strcmp(word, "title"))
        table->title = value;
    else if (!strcmp(word, "source"))
        table->source = value;
    else if (!strcmp(word, "unmeasured"))
        table->unmeasured = value;
    else if (!strcmp(word, "makes"))
        table->makes = value;
    else if (!strcmp(word, "relative"))
        reader->relative = value, reader->relative_line = reader->line;
    else if (!strcmp(word, "samples"))
        return table_samples(reader, value);
    else if (!strcmp(word, "budget"))
        return table_amount(reader, "budget", value, &table->budget);
    else if (!strcmp(word, "seeds"))
        return table_seeds(reader, value, &table->seeds);
    else
        return TABLE_FAIL(reader, "'%s' means nothing here", word);
    return BASE_OK;
}

/* ---- What refers to rows and columns ----------------------------------------------------------------------------- */

/* "ROW", or "COLUMN @ ROW" for a cell of another column than the claim's. */
static base_status table_term(const repro_table *table, const char *text, size_t size, int column, repro_term *term) {
    const char *at = memmem(text, size, " @ ", 3);
    if (at) {
        column = table_column(table, text, (size_t)(at - text));
        if (column < 0) return base_fail("no column '%.*s'", (int)(at - text), text);
        size -= (size_t)(at + 3 - text), text = at + 3;
    }
    *term = (repro_term){table_find(table, text, size), column};
    return term->row < 0 ? base_fail("no row '%.*s'", (int)size, text) : BASE_OK;
}

/* "A > B > C" or "A >= B": the end of the term at `text`. *equal: it is followed by >=. */
static size_t table_term_end(const char *text, size_t *skip, bool *equal) {
    const char *greater = strstr(text, " > "), *least = strstr(text, " >= ");
    *equal = least && (!greater || least < greater);
    const char *end = *equal ? least : greater;
    *skip = !end ? 0 : *equal ? 4 : 3;
    return end ? (size_t)(end - text) : strlen(text);
}

/* "[desk] COLUMN [within X]: ROW > ROW ... [-- words]" */
static base_status table_claim(const repro_table *table, repro_claim *claim, char *text) {
    char *colon = strchr(text, ':'), *rest;
    if (!colon) return base_fail("expected '[desk] COLUMN: ROW > ROW'");
    *colon = 0;
    char *column = table_word(table_trim(text), &rest);
    if (!strcmp(column, "desk")) claim->scale = REPRO_DESK, column = table_word(rest, &rest);
    int c = repro_column_find(table, column);
    if (c < 0) return base_fail("no column '%s'", column);
    claim->within = NAN;
    bool within = *rest;
    if (within) {
        char *number, *end;
        char *word = table_word(rest, &number);
        claim->within = strtod(number, &end);
        if (strcmp(word, "within") != 0 || end == number || *end || !(claim->within >= 0))
            return base_fail("expected 'within X' or nothing before the colon, found '%s%s%s'", word,
                             *number ? " " : "", number);
    }
    char *words = strstr(colon + 1, " -- ");
    if (words) *words = 0, claim->words = table_trim(words + 4);
    claim->text = table_trim(colon + 1);
    size_t skip;
    bool equal, any = false;
    for (const char *at = claim->text; *at; at += skip) {
        size_t size = table_term_end(at, &skip, &equal);
        any |= equal;
        if (claim->n == REPRO_MAX_TERMS) return base_fail("more than %d cells", REPRO_MAX_TERMS);
        BASE_TRY(table_term(table, at, size, c, &claim->term[claim->n++]));
        const repro_term *term = &claim->term[claim->n - 1];
        if (claim->n > 1 && term[-1].row == term->row && term[-1].column == term->column)
            return base_fail("'%.*s' is compared with itself", (int)size, at);
        at += size;
    }
    if (claim->n < 2) return base_fail("expected at least two rows");
    return any == within ? BASE_OK : base_fail(">= goes with 'within X', the loss that does not count");
}

/* Whether a column is measured, or a row has a number in it. */
static bool table_has_numbers(const repro_table *table, int column) {
    bool any = table->columns[column].kind >= REPRO_PARAMS;
    for (int i = 0; i < table->n; i++) any |= !isnan(table->rows[i].published[column]);
    return any;
}

/* "x images_per_s log y imagenet series family names point" */
static base_status table_plot(const repro_table *table, repro_plot *plot, char *text) {
    *plot = (repro_plot){-1, -1, -1, -1, false};
    for (char *word = text, *rest; *word; word = rest) {
        word = table_word(word, &rest);
        if (!strcmp(word, "log")) {
            plot->log = true;
            continue;
        }
        int *to = !strcmp(word, "x")        ? &plot->x
                  : !strcmp(word, "y")      ? &plot->y
                  : !strcmp(word, "series") ? &plot->series
                  : !strcmp(word, "names")  ? &plot->names
                                            : NULL;
        if (!to) return base_fail("'%s' means nothing here", word);
        word = table_word(rest, &rest);
        *to = repro_column_find(table, word);
        if (*to < 0) return base_fail("no column '%s'", word);
        if ((to == &plot->x || to == &plot->y) && !table_has_numbers(table, *to))
            return base_fail("column '%s' has no numbers", word);
    }
    return plot->x < 0 || plot->y < 0 ? base_fail("expected x COLUMN and y COLUMN") : BASE_OK;
}

static char *table_copy(repro_table *table, const char *text) {
    return base_arena_printf(&table->arena, "%s", text);
}

static base_status table_finish(table_reader *reader) {
    repro_table *table = reader->table;
    for (int i = 0; i < table->n_commands; i++)
        BASE_TRY(table_check_command(reader, reader->command_line[i], &table->commands[i]));
    for (int i = 0; i < table->n_claims; i++) {
        const char *line = table->claims[i].text;
        char *text = table_copy(table, line);
        if (!text) return BASE_ERROR;
        base_status status = table_claim(table, &table->claims[i], text);
        if (status) return base_fail_in(status, "%s:%d: claim '%s'", reader->where, reader->claim_line[i], line);
    }
    for (int i = 0; i < table->n_plots; i++) {
        char *text = table_copy(table, reader->plot[i]);
        if (!text) return BASE_ERROR;
        base_status status = table_plot(table, &table->plots[i], text);
        if (status)
            return base_fail_in(status, "%s:%d: plot '%s'", reader->where, reader->plot_line[i], reader->plot[i]);
    }
    table->relative = reader->relative ? table_find(table, reader->relative, strlen(reader->relative)) : -1;
    if (reader->relative && table->relative < 0)
        return TABLE_FAIL_AT(reader, reader->relative_line, "'relative' names no row: there is no '%s'",
                             reader->relative);
    bool speed = false;
    for (int c = 0; c < table->n_columns; c++) speed |= table->columns[c].kind == REPRO_SPEED;
    const char *lacks = !table->title ? "a line 'title ...'" : !table->source ? "a line 'source ...'" : "rows";
    if (!table->title || !table->source || table->n < 1) return base_fail("%s: it lacks %s", reader->where, lacks);
    if (speed && (table->samples < 1 || table->budget <= 0 || table->speed_tolerance <= 0))
        return base_fail("%s: expected samples, budget and tolerance speed", reader->where);
    return BASE_OK;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL void repro_table_free(repro_table *table) {
    if (!table) return;
    base_arena_free(&table->arena);
    base_free(table);
}

DEIT_INTERNAL base_status repro_table_parse(repro_table **out, const char *path, const char *text) {
    *out = NULL;
    repro_table *table = base_calloc(1, sizeof *table);
    if (!table) return BASE_ERROR;
    table_reader reader = {.table = table, .where = path};
    table->name = table_copy(table, strrchr(path, '/') + 1);
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

DEIT_INTERNAL const char *repro_row_text(const repro_table *table, const repro_row *row, const char *name) {
    int c = repro_column_find(table, name);
    return c < 0 || !strcmp(row->text[c], "-") ? NULL : row->text[c];
}

DEIT_INTERNAL const char *repro_embedded(const char *name) {
    for (const embed_file *file = embed_files; file->name; file++)
        if (!strcmp(file->name, name)) return file->data;
    return NULL;
}

/* Tables, figures, what the text says, and last the trainings behind them. */
static int table_rank(const char *name) {
    return !strncmp(name, "table", 5) ? 0 : !strncmp(name, "figure", 6) ? 1 : strcmp(name, "trainings") != 0 ? 2 : 3;
}

/* table2 stands before table10. */
static int table_order(const void *a, const void *b) {
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    return table_rank(x) != table_rank(y) ? table_rank(x) - table_rank(y) : strverscmp(x, y);
}

DEIT_INTERNAL const char *const *repro_table_names(void) {
    static const char *names[REPRO_MAX_TABLES + 1];
    int n = 0;
    for (const embed_file *file = embed_files; file->name && n < REPRO_MAX_TABLES; file++)
        if (!strncmp(file->name, "repro/", 6) && islower((unsigned char)file->name[6])) names[n++] = file->name + 6;
    names[n] = NULL;
    qsort(names, (size_t)n, sizeof *names, table_order);
    return names;
}

/* What came from a file: text of one's own, all of which is printed as it stands. */
static base_status table_parse_bytes(repro_table **out, const char *path, const char *text, size_t size) {
    json_t *whole = memchr(text, 0, size) ? NULL : json_stringn(text, size); /* NULL: not UTF-8 */
    *out = NULL;
    base_status status =
        whole ? repro_table_parse(out, path, text) : base_fail("%s: expected a text in UTF-8, found other bytes", path);
    json_decref(whole);
    return status;
}

/* A file of one's own: the table is called as the file is. */
static base_status table_open_file(repro_table **out, const char *path) {
    char *text;
    size_t size;
    BASE_TRY(base_read_file(path, 1 << 20, &text, &size));
    base_status status = table_parse_bytes(out, path, text, size);
    base_free(text);
    if (status) return status;
    (*out)->folder = base_arena_printf(&(*out)->arena, "%.*s", (int)(strrchr(path, '/') - path), path);
    if ((*out)->folder) return BASE_OK;
    repro_table_free(*out);
    *out = NULL;
    return BASE_ERROR;
}

DEIT_INTERNAL base_status repro_table_open(repro_table **out, const char *name) {
    char path[128];
    *out = NULL;
    snprintf(path, sizeof path, "repro/%.100s", name);
    const char *text = repro_embedded(path);
    if (text) return repro_table_parse(out, path, text);
    if (strchr(name, '/')) return table_open_file(out, name);
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
#undef TABLE_FAIL_AT
