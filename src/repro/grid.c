/* grid: a report as rows and columns of texts, published and measured side by side. */
#include "repro/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Values ------------------------------------------------------------------------------------------------------ */

static void grid_number(char *cell, const char *format, double value) {
    if (isnan(value))
        strcpy(cell, "-");
    else
        snprintf(cell, REPRO_GRID_TEXT, format, value);
}

/* Four digits or so of speeds: 2536, 292.3, 27.3, 1.43. */
DEIT_INTERNAL const char *repro_value(char text[REPRO_GRID_TEXT], repro_kind kind, double value) {
    const char *format = kind == REPRO_ACCURACY   ? "%.2f"
                         : kind == REPRO_FRACTION ? "%.3f"
                         : kind != REPRO_SPEED    ? (value == rint(value) ? "%.0f" : "%.5g")
                         : value < 10             ? "%.2f"
                         : value < 1000           ? "%.1f"
                                                  : "%.0f";
    grid_number(text, format, value);
    return text;
}

DEIT_INTERNAL const char *repro_time(char text[32], double seconds) {
    const double minute = 60, hour = 3600, day = 86400;
    if (seconds < 90)
        snprintf(text, 32, "%.0f s", seconds);
    else if (seconds < 90 * minute)
        snprintf(text, 32, "%.0f min", seconds / minute);
    else if (seconds < 2 * day)
        snprintf(text, 32, "%.1f h", seconds / hour);
    else if (seconds < 1000 * day)
        snprintf(text, 32, "%.0f days", seconds / day);
    else
        snprintf(text, 32, "%.0f years", seconds / (365.25 * day));
    return text;
}

DEIT_INTERNAL bool repro_has_published(const repro_table *table, int column) {
    for (int i = 0; i < table->n; i++)
        if (!isnan(table->rows[i].published[column])) return true;
    return false;
}

DEIT_INTERNAL bool repro_has_measured(const repro_report *report, repro_scale scale, int column) {
    const repro_table *table = report->table;
    repro_kind kind = table->columns[column].kind;
    if (scale == REPRO_DESK && report->book->options.scale == REPRO_PAPER) return false;
    if (scale == REPRO_PAPER && kind == REPRO_SPEED) return true;
    return kind >= REPRO_TEXT && kind != REPRO_PARAMS && repro_command_for(table, scale, column) != NULL;
}

DEIT_INTERNAL bool repro_note_shown(const repro_report *report, const repro_note *note) {
    return note->scale == REPRO_PAPER || report->book->options.scale == REPRO_DESK;
}

/* Whether a column is not shown: it serves commands, or has values of the other scale alone. */
static bool grid_hidden(const repro_report *report, int c) {
    const repro_table *table = report->table;
    repro_kind kind = table->columns[c].kind;
    if (kind < REPRO_SPEED) return kind > REPRO_LABEL && kind < REPRO_TEXT;
    bool shown = repro_has_published(table, c) || repro_has_measured(report, REPRO_PAPER, c) ||
                 repro_has_measured(report, REPRO_DESK, c);
    return !shown && repro_command_for(table, REPRO_DESK, c);
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

static void grid_add(repro_grid *grid, const char *group, const char *name, bool left) {
    if (grid->n_columns < REPRO_GRID_COLUMNS) grid->columns[grid->n_columns++] = (repro_grid_column){group, name, left};
}

/* Whether all cells of a column are numbers, which stand right. */
static bool grid_numeric(const repro_table *table, int c) {
    for (int i = 0; i < table->n; i++)
        if (isnan(table->rows[i].published[c]) && strcmp(table->rows[i].text[c], "-") != 0) return false;
    return true;
}

static void grid_speed_columns(repro_grid *grid, const repro_table *table, const char *title, const char *over,
                               bool published, bool desk) {
    if (published) grid_add(grid, title, "paper", false);
    grid_add(grid, published ? NULL : title, "here", false);
    grid_add(grid, NULL, "±%", false);
    if (table->relative >= 0) {
        grid_add(grid, over, "paper", false);
        grid_add(grid, NULL, "here", false);
    }
    grid_add(grid, "% of", "peak", false);
    if (desk) grid_add(grid, title, "desk", false);
}

static void grid_column(repro_grid *grid, const repro_report *report, int c, const char *over) {
    const repro_table *table = report->table;
    const repro_column *column = &table->columns[c];
    const char *group = column->title;
    bool published = repro_has_published(table, c);
    if (grid_hidden(report, c)) return;
    switch (column->kind) {
    case REPRO_LABEL:
    case REPRO_TEXT:
        if (!repro_has_measured(report, REPRO_PAPER, c)) {
            grid_add(grid, "", group, !c || !grid_numeric(table, c));
        } else {
            grid_add(grid, group, "paper", true);
            grid_add(grid, NULL, "here", true);
        }
        return;
    case REPRO_SPEED:
        grid_speed_columns(grid, table, group, over, published, repro_has_measured(report, REPRO_DESK, c));
        return;
    default: break;
    }
    if (published || column->kind == REPRO_PARAMS) grid_add(grid, group, "paper", false), group = NULL;
    if (column->kind == REPRO_PARAMS || repro_has_measured(report, REPRO_PAPER, c))
        grid_add(grid, group, "here", false), group = NULL;
    if (repro_has_measured(report, REPRO_DESK, c)) {
        grid_add(grid, group, "desk", false), group = NULL;
        if (table->seeds > 1) grid_add(grid, NULL, "±", false);
        if (table->makes) {
            grid_add(grid, "minutes", "in all", false);
            grid_add(grid, NULL, "of processors", false);
        }
    }
    if (group) grid_add(grid, "", group, false);
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

typedef char (*grid_cells)[REPRO_GRID_TEXT];

static grid_cells grid_speed_cells(grid_cells at, const repro_report *report, const repro_result *r, int c) {
    const repro_cell *cell = &r->cell[REPRO_PAPER][c];
    const repro_net *net = isnan(cell->value) ? NULL : r->net;
    const base_spread *s = net ? &net->images_per_s : NULL;
    if (repro_has_published(report->table, c)) snprintf(*at++, REPRO_GRID_TEXT, "%s", r->row->text[c]);
    repro_value(*at++, REPRO_SPEED, cell->value);
    grid_number(*at, "%.1f", s && s->n > 1 ? 50 * (s->max - s->min) / s->median : NAN);
    if (net && net->fewer) strcat(*at, "!");
    at++;
    if (report->table->relative >= 0) {
        grid_number(*at++, "%.2f", repro_relative(report, r, true));
        grid_number(*at++, "%.2f", repro_relative(report, r, false));
    }
    grid_number(*at++, "%.0f", net ? net->percent_of_peak.median : NAN);
    if (repro_has_measured(report, REPRO_DESK, c)) repro_value(*at++, REPRO_SPEED, r->cell[REPRO_DESK][c].value);
    return at;
}

/* What the runs of a training took, on the average; NAN: that was not recorded. */
static grid_cells grid_times(grid_cells at, const repro_report *report, const repro_result *r) {
    double seconds = 0, cpu = 0;
    int n = 0;
    for (int i = 0; i < report->n_trained; i++) {
        const repro_trained *run = &report->trained[i];
        if (strcmp(run->row, r->row->text[0]) != 0) continue;
        seconds += run->seconds, cpu += run->cpu_seconds, n++;
    }
    grid_number(*at++, "%.1f", n ? seconds / 60 / n : NAN);
    grid_number(*at++, "%.1f", n ? cpu / 60 / n : NAN);
    return at;
}

DEIT_INTERNAL bool repro_otherwise(const repro_report *report, const repro_result *r, int column) {
    const repro_table *table = report->table;
    const repro_cell *cell = &r->cell[REPRO_PAPER][column];
    if (isnan(cell->value) || (cell->n > 0 && cell->origins && cell->origins[0].drawn)) return false; /* trained here */
    const char *sha256 = cell->sha256;
    if (r->weights) return !r->same || (sha256 && !repro_weights_match(r->weights, sha256));
    const repro_command *command = repro_command_for(table, REPRO_PAPER, column);
    for (int c = 0; command && c < table->n_columns; c++) {
        char name[80];
        snprintf(name, sizeof name, "{%.70s}", table->columns[c].name);
        const repro_weights *weights = table->columns[c].kind == REPRO_WEIGHTS && strstr(command->text, name)
                                           ? repro_weights_find(r->row->text[c])
                                           : NULL;
        if (weights && (!*weights->rows || (sha256 && !repro_weights_match(weights, sha256)))) return true;
    }
    return false;
}

static grid_cells grid_column_cells(grid_cells at, const repro_report *report, const repro_result *r, int c) {
    const repro_table *table = report->table;
    repro_kind kind = table->columns[c].kind;
    if (grid_hidden(report, c)) return at;
    if (kind == REPRO_SPEED) return grid_speed_cells(at, report, r, c);
    bool text = kind == REPRO_LABEL || kind == REPRO_TEXT, here = repro_has_measured(report, REPRO_PAPER, c),
         desk = repro_has_measured(report, REPRO_DESK, c);
    if (text || kind == REPRO_PARAMS || repro_has_published(table, c) || (!here && !desk))
        snprintf(*at++, REPRO_GRID_TEXT, "%s", r->row->text[c]);
    if (kind == REPRO_PARAMS) grid_number(*at++, "%.2fM", r->known ? (double)r->params * 1e-6 : NAN);
    if (here && kind == REPRO_TEXT) {
        const char *found = r->cell[REPRO_PAPER][c].text;
        snprintf(*at++, REPRO_GRID_TEXT, "%s", found ? found : "-");
    } else if (here) {
        repro_value(*at, kind, r->cell[REPRO_PAPER][c].value);
        if (repro_otherwise(report, r, c)) strcat(*at, "~");
        at++;
    }
    if (!desk) return at;
    const repro_cell *cell = &r->cell[REPRO_DESK][c];
    double half = cell->half_range > 0 ? cell->half_range : repro_interval(report, REPRO_DESK, c, cell);
    repro_value(*at++, kind, cell->value);
    if (table->seeds > 1) grid_number(*at++, kind == REPRO_ACCURACY ? "%.2f" : half < 100 ? "%.2g" : "%.0f", half);
    return table->makes ? grid_times(at, report, r) : at;
}

DEIT_INTERNAL base_status repro_grid_make(repro_grid *grid, const repro_report *report) {
    const repro_table *table = report->table;
    *grid = (repro_grid){.n = report->n, .cell = base_calloc((size_t)report->n + 1, sizeof *grid->cell)};
    if (!grid->cell) return BASE_ERROR;
    const char *over = "";
    if (table->relative >= 0) {
        snprintf(grid->over, sizeof grid->over, "over %s", table->rows[table->relative].text[0]);
        over = grid->over;
    }
    for (int c = 0; c < table->n_columns; c++) grid_column(grid, report, c, over);
    for (int i = 0; i < report->n; i++) {
        grid_cells at = grid->cell[i];
        for (int c = 0; c < table->n_columns; c++) at = grid_column_cells(at, report, &report->rows[i], c);
    }
    return BASE_OK;
}

DEIT_INTERNAL void repro_grid_free(repro_grid *grid) {
    base_free(grid->cell);
    *grid = (repro_grid){0};
}
