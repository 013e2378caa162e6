/* render: a report as text and as Markdown. */
#include "repro/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Grids: columns as wide as their widest cell ----------------------------------------------------------------- */

enum { RENDER_COLUMNS = 16 };
/* What stands over the columns; a group's title spans the columns up to the next one. "over" is followed by the row
 * that speeds are divided by. */
typedef struct {
    const char *group, *name;
} render_column;
static const render_column render_columns[RENDER_COLUMNS] = {
    {"", "network"},   {"params", "paper"}, {NULL, "here"},  {"", "image"},    {"images/s", "paper"}, {NULL, "here"},
    {NULL, "±%"},      {"over", "paper"},   {NULL, "here"},  {"% of", "peak"}, {"ImageNet", "paper"}, {NULL, "here"},
    {"ReaL", "paper"}, {NULL, "here"},      {"V2", "paper"}, {NULL, "here"},
};
typedef struct {
    char cell[RENDER_COLUMNS][64];
} render_line;

/* Columns that a UTF-8 text takes on a terminal; all signs in the tables are one wide. */
static int render_width(const char *text) {
    int n = 0;
    for (; *text; text++) n += (*text & 0xC0) != 0x80;
    return n;
}

static void render_pad(base_text *out, int n) {
    for (; n > 0; n--) base_text_add(out, " ", 1);
}

static void render_number(char cell[64], const char *format, double value, bool known) {
    if (known)
        snprintf(cell, 64, format, value);
    else
        snprintf(cell, 64, "-");
}

/* Four digits or so: 2536, 292.3, 27.3, 1.43. */
static void render_rate(char cell[64], double rate) {
    render_number(cell, rate < 10 ? "%.2f" : rate < 1000 ? "%.1f" : "%.0f", rate, rate >= 0);
}

static void render_row(const repro_report *report, const repro_result *r, render_line *line) {
    const repro_row *row = r->row;
    char(*cell)[64] = line->cell;
    const double *published = row->published;
    snprintf(cell[0], 64, "%s", row->label);
    snprintf(cell[1], 64, "%s", row->params);
    render_number(cell[2], "%.2fM", (double)r->params * 1e-6, r->known);
    snprintf(cell[3], 64, "%d", row->image);
    render_number(cell[4], "%.1f", published[REPRO_IMAGES_PER_S], published[REPRO_IMAGES_PER_S] >= 0);
    render_rate(cell[5], r->cell[REPRO_IMAGES_PER_S].value);
    if (!r->known) snprintf(cell[5], 64, "later");
    bool measured = r->cell[REPRO_IMAGES_PER_S].value > 0;
    const base_spread *s = &r->images_per_s;
    render_number(cell[6], r->fewer ? "%.1f!" : "%.1f", measured ? 50 * (s->max - s->min) / s->median : 0, measured);
    double relative = repro_relative(report, r, true);
    render_number(cell[7], "%.2f", relative, relative >= 0);
    relative = repro_relative(report, r, false);
    render_number(cell[8], "%.2f", relative, relative >= 0);
    render_number(cell[9], "%.0f", r->percent_of_peak.median, measured);
    for (int c = REPRO_IMAGENET; c <= REPRO_V2; c++) {
        int at = 10 + 2 * (c - REPRO_IMAGENET);
        double value = r->cell[c].value;
        render_number(cell[at], "%.1f", published[c], published[c] >= 0);
        render_number(cell[at + 1], r->same ? "%.2f" : "%.2f~", value, value >= 0);
    }
}

static const char *render_group(const repro_report *report, int column, char text[64]) {
    const char *group = column < RENDER_COLUMNS ? render_columns[column].group : NULL;
    bool over = group && !strcmp(group, "over");
    snprintf(text, 64, "%s%s%s", group ? group : "", over ? " " : "",
             over ? report->table->rows[report->table->relative].label : "");
    return text;
}
static int render_group_end(int column) {
    do column++;
    while (column < RENDER_COLUMNS && !render_columns[column].group);
    return column;
}

/* Space before a column: two between groups. */
static int render_gap(int column) {
    return column == 0 ? 0 : render_columns[column].group ? 2 : 1;
}

static void render_widths(const repro_report *report, const render_line *lines, int width[RENDER_COLUMNS]) {
    for (int c = 0; c < RENDER_COLUMNS; c++) {
        width[c] = render_width(render_columns[c].name);
        for (int i = 0; i < report->n; i++)
            if (render_width(lines[i].cell[c]) > width[c]) width[c] = render_width(lines[i].cell[c]);
    }
    for (int c = 0; c < RENDER_COLUMNS; c = render_group_end(c)) { /* a group's title may be the widest */
        char text[64];
        int end = render_group_end(c), sum = 0;
        for (int k = c; k < end; k++) sum += width[k] + (k > c);
        int lacks = render_width(render_group(report, c, text)) - sum;
        if (lacks > 0) width[end - 1] += lacks;
    }
}

/* Numbers stand right, the first column left. */
static void render_cell(base_text *out, const char *text, int width, int column) {
    int pad = width - render_width(text);
    if (column) render_pad(out, pad);
    base_text_printf(out, "%s", text);
    if (!column) render_pad(out, pad);
}

static void render_grid(const repro_report *report, const render_line *lines, base_text *out) {
    int width[RENDER_COLUMNS];
    render_widths(report, lines, width);
    for (int c = 0; c < RENDER_COLUMNS; c = render_group_end(c)) {
        char text[64];
        int end = render_group_end(c), sum = 0;
        for (int k = c; k < end; k++) sum += width[k] + (k > c);
        render_pad(out, render_gap(c));
        render_group(report, c, text);
        int left = (sum - render_width(text)) / 2;
        render_pad(out, left);
        base_text_printf(out, "%s", text);
        if (end < RENDER_COLUMNS) render_pad(out, sum - left - render_width(text));
    }
    base_text_printf(out, "\n");
    for (int c = 0; c < RENDER_COLUMNS; c++)
        render_pad(out, render_gap(c)), render_cell(out, render_columns[c].name, width[c], c);
    base_text_printf(out, "\n");
    for (int i = 0; i < report->n; i++) {
        for (int c = 0; c < RENDER_COLUMNS; c++)
            render_pad(out, render_gap(c)), render_cell(out, lines[i].cell[c], width[c], c);
        base_text_printf(out, "\n");
    }
}

static void render_markdown_grid(const repro_report *report, const render_line *lines, base_text *out) {
    char group[64] = "", text[64];
    for (int c = 0; c < RENDER_COLUMNS; c++) {
        if (render_columns[c].group) snprintf(group, sizeof group, "%s", render_group(report, c, text));
        base_text_printf(out, "| %s%s%s ", group, *group ? ", " : "", render_columns[c].name);
    }
    base_text_printf(out, "|\n");
    for (int c = 0; c < RENDER_COLUMNS; c++) base_text_printf(out, c ? "|---:" : "|:---");
    base_text_printf(out, "|\n");
    for (int i = 0; i < report->n; i++) {
        for (int c = 0; c < RENDER_COLUMNS; c++) {
            base_text_printf(out, "| ");
            for (const char *at = lines[i].cell[c]; *at; at++)
                base_text_printf(out, strchr("*~_", *at) ? "\\%c" : "%c", *at);
            base_text_printf(out, " ");
        }
        base_text_printf(out, "|\n");
    }
}

/* ---- What stands below the table --------------------------------------------------------------------------------- */

static double render_condition(const repro_report *report, const char *name) {
    return json_number_value(json_object_get(report->conditions, name));
}
static const char *render_condition_text(const repro_report *report, const char *name) {
    const char *text = json_string_value(json_object_get(report->conditions, name));
    return text ? text : "unknown";
}

typedef struct {
    base_spread peak, samples, batch;
    int n, unknown;
    bool fewer, other;
} render_facts;

static render_facts render_gather(const repro_report *report) {
    render_facts facts = {0};
    double peak[REPRO_MAX_ROWS], samples[REPRO_MAX_ROWS], batch[REPRO_MAX_ROWS];
    for (int i = 0; i < report->n; i++) {
        const repro_result *r = &report->rows[i];
        for (int c = REPRO_IMAGENET; c <= REPRO_V2; c++)
            if (r->cell[c].value >= 0) facts.other |= !r->same;
        facts.unknown += !r->known;
        if (r->cell[REPRO_IMAGES_PER_S].value <= 0) continue;
        facts.fewer |= r->fewer;
        peak[facts.n] = r->peak_gflops, samples[facts.n] = r->images_per_s.n, batch[facts.n++] = r->batch;
    }
    if (!facts.n) return facts;
    facts.peak = base_spread_of(peak, facts.n);
    facts.samples = base_spread_of(samples, facts.n);
    facts.batch = base_spread_of(batch, facts.n);
    return facts;
}

static void render_conditions(const repro_report *report, const render_facts *facts, base_text *out,
                              const char *bullet) {
    base_text_printf(out, "%sMachine   %s, %.0f cores, %.0f GB; oneDNN uses %s\n", bullet,
                     render_condition_text(report, "cpu"), render_condition(report, "cores"),
                     render_condition(report, "memory_bytes") * 1e-9, render_condition_text(report, "isa"));
    if (facts->n)
        base_text_printf(out, "%sGEMM peak %.0f GFLOP/s in %s; %.0f to %.0f over the rows\n", bullet,
                         facts->peak.median, report->options.precision, facts->peak.min, facts->peak.max);
    if (facts->n)
        base_text_printf(out,
                         "%sMeasured  %s, %.0f threads, not pinned, batch %.0f to %.0f, the median of %.0f to %.0f "
                         "samples after a warm-up; %.0f s in all\n",
                         bullet, report->options.precision, render_condition(report, "threads"), facts->batch.min,
                         facts->batch.max, facts->samples.min, facts->samples.max, report->seconds);
    base_text_printf(out, "%sSoftware  deit %s, oneDNN %s; %s\n", bullet, render_condition_text(report, "deit"),
                     render_condition_text(report, "onednn"), render_condition_text(report, "date"));
}

/* The data sets that accuracies were measured on are as large as their images. */
static void render_accuracy(const repro_report *report, base_text *out, const char *bullet) {
    static const char *const sets[] = {"", "ImageNet", "ReaL", "ImageNetV2"};
    static const int64_t full[] = {0, 50000, 46837, 10000};
    for (int c = REPRO_IMAGENET; c <= REPRO_V2; c++)
        for (int i = 0; i < report->n; i++) {
            int64_t images = report->rows[i].cell[c].images;
            if (report->rows[i].cell[c].value < 0) continue;
            base_text_printf(out, "%s%-9s %lld images%s\n", bullet, sets[c], (long long)images,
                             images == full[c] ? "" : ": not the whole set, so not comparable with what is published");
            break;
        }
}

static void render_legend(const repro_report *report, const render_facts *facts, base_text *out, const char *bullet) {
    base_text_printf(out, "%spaper  %s\n", bullet, report->table->source);
    base_text_printf(out,
                     "%shere   parameters counted, speed and accuracy measured on this machine; ±%%: half the range of "
                     "the samples\n",
                     bullet);
    base_text_printf(out,
                     "%speak   the network's FLOP/s as a share of that of 2048 x 2048 matrix products run just before "
                     "and after each sample\n",
                     bullet);
    if (facts->fewer)
        base_text_printf(
            out, "%s!      fewer than %d samples, to end within %.0f minutes: this machine is slow for the network\n",
            bullet, report->table->samples, report->table->budget / 60);
    if (facts->other) base_text_printf(out, "%s~      weights trained otherwise than the row's\n", bullet);
    if (facts->unknown) base_text_printf(out, "%slater  the network comes with a later version\n", bullet);
}

/* 1: holds, 0: does not, -1: not all is measured. */
static int render_holds(const repro_report *report, const repro_claim *claim) {
    double before = INFINITY;
    for (int t = 0; t < claim->n; t++) {
        double value = -1;
        for (int i = 0; i < report->n; i++)
            if (report->rows[i].row == &report->table->rows[claim->term[t]])
                value = report->rows[i].cell[claim->column].value;
        if (value < 0) return -1;
        if (value >= before) return 0;
        before = value;
    }
    return 1;
}

static void render_claims(const repro_report *report, base_text *out, const char *bullet) {
    static const char *const columns[] = {"images/s", "ImageNet", "ReaL", "V2"};
    bool any = false;
    for (int i = 0; i < report->table->n_claims; i++) {
        const repro_claim *claim = &report->table->claims[i];
        int holds = render_holds(report, claim);
        if (holds < 0) continue;
        if (!any) base_text_printf(out, "\nThe paper's order, measured here\n%s", *bullet ? "\n" : "");
        any = true;
        base_text_printf(out, "%s%s: %s: %s\n", *bullet ? bullet : "  ", columns[claim->column], claim->text,
                         holds ? "holds" : "DOES NOT HOLD");
    }
}

static void render_failures(const repro_report *report, base_text *out, const char *bullet) {
    if (!report->failed) return;
    base_text_printf(out, "\nFailed\n%s", *bullet ? "\n" : "");
    const char *shown = "";
    for (int i = 0; i < report->n; i++)
        for (int c = 0; c < REPRO_COLUMNS; c++) {
            const repro_cell *cell = &report->rows[i].cell[c];
            if (!report->rows[i].known || cell->value >= 0 || !cell->why || strstr(cell->why, "not here") ||
                strstr(cell->why, "no public"))
                continue;
            if (shown == cell->why) continue;
            shown = cell->why;
            base_text_printf(out, "%s%s: %s\n", *bullet ? bullet : "  ", report->rows[i].row->label, cell->why);
        }
}

/* A command, over several lines where it is long. */
static void render_command(base_text *out, const char *command, const char *indent) {
    enum { WIDTH = 110 };
    size_t used = strlen(indent);
    base_text_printf(out, "%s", indent);
    for (const char *at = command; *at;) {
        size_t size = strcspn(at, " ");
        if (used + size > WIDTH) base_text_printf(out, "\\\n%s    ", indent), used = strlen(indent) + 4;
        base_text_printf(out, "%.*s%s", (int)size, at, at[size] ? " " : "\n");
        used += size + 1;
        at += size + (at[size] == ' ');
    }
}

static void render_missing(const repro_report *report, const render_facts *facts, base_text *out, bool markdown) {
    const char *bullet = markdown ? "- " : "  ", *indent = markdown ? "" : "  ";
    if (!facts->unknown && !report->n_todo) return;
    base_text_printf(out, "\nNot measured\n%s", markdown ? "\n" : "");
    if (facts->unknown) base_text_printf(out, "%srows marked 'later': %d\n", bullet, facts->unknown);
    for (int i = 0; i < report->n; i++)
        if (report->rows[i].known && !report->rows[i].weights)
            base_text_printf(out, "%saccuracy of %s: no public weights\n", bullet, report->rows[i].row->label);
    if (report->data_note) base_text_printf(out, "%saccuracy: %s\n", bullet, report->data_note);
    if (report->weights_note) base_text_printf(out, "%saccuracy: %s\n", bullet, report->weights_note);
    if (!report->n_todo) return;
    base_text_printf(out, "\nCommands that measure it (--json has one for each value)\n%s",
                     markdown ? "\n```sh\n" : "");
    if (report->fetch) render_command(out, report->fetch, indent);
    if (report->again) render_command(out, report->again, indent);
    if (markdown) base_text_printf(out, "```\n");
}

/* ---- Pages ------------------------------------------------------------------------------------------------------- */

static void render_page(const repro_report *report, base_text *out, bool markdown) {
    render_line *lines = base_calloc((size_t)report->n + 1, sizeof *lines);
    if (!lines) {
        out->failed = true;
        return;
    }
    for (int i = 0; i < report->n; i++) render_row(report, &report->rows[i], &lines[i]);
    const char *bullet = markdown ? "- " : "";
    render_facts facts = render_gather(report);
    base_text_printf(out, "%s%s\n\n", markdown ? "## " : "", report->table->title);
    render_conditions(report, &facts, out, bullet);
    render_accuracy(report, out, bullet);
    base_text_printf(out, "\n");
    if (markdown)
        render_markdown_grid(report, lines, out);
    else
        render_grid(report, lines, out);
    base_free(lines);
    base_text_printf(out, "\n");
    render_legend(report, &facts, out, bullet);
    render_claims(report, out, bullet);
    render_failures(report, out, bullet);
    render_missing(report, &facts, out, markdown);
}

DEIT_INTERNAL void repro_write_text(const repro_report *report, base_text *out) {
    render_page(report, out, false);
}
DEIT_INTERNAL void repro_write_markdown(const repro_report *report, base_text *out) {
    render_page(report, out, true);
}
