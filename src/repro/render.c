/* render: what a report says, in any dress: conditions (legend.c), table, plots, claims, and what is missing. */
#include "repro/internal.h"

#include <math.h>
#include <string.h>

/* ---- Claims ------------------------------------------------------------------------------------------------------ */

/* A cell of a claim: its row, and its column where that is not the claim's own. */
static const char *render_term(const repro_table *table, const repro_term *term, int column, char text[160]) {
    const char *row = table->rows[term->row].text[0];
    if (term->column == column) return row;
    snprintf(text, 160, "%.80s (%.70s)", row, table->columns[term->column].title);
    return text;
}

/* "A > B > C", "A >= B, but for 0.3 points" */
static void render_statement(const repro_table *table, const repro_claim *claim, base_text *out) {
    char text[160];
    for (int t = 0; t < claim->n; t++)
        base_text_printf(out, "%s%s",
                         !t                     ? ""
                         : isnan(claim->within) ? " > "
                                                : " >= ",
                         render_term(table, &claim->term[t], claim->term[0].column, text));
    if (!isnan(claim->within))
        base_text_printf(out, ", but for %g%s", claim->within,
                         table->columns[claim->term[0].column].kind != REPRO_ACCURACY ? ""
                         : claim->within == 1                                         ? " point"
                                                                                      : " points");
}

/* So many digits, or more where they would show an end of the interval as what it is held against (0, or -0.3 of
 * "within 0.3"), which it is not: it decides. */
static int render_digits(const repro_judgement *j, double within, int digits) {
    double low = j->low + (isnan(within) ? 0 : within), high = j->high + (isnan(within) ? 0 : within);
    while (digits < 6 &&
           ((low != 0 && fabs(low) < 0.5 * pow(10, -digits)) || (high != 0 && fabs(high) < 0.5 * pow(10, -digits))))
        digits++;
    return digits;
}

/* "A over B: +12%, 95% from +10 to +14; 2 and 2 rounds", "A - B: +0.8 points, ..; 3 pairs"; of a claim of two cells
 * without their names. */
static void render_difference(const repro_report *report, const repro_claim *claim, base_text *out) {
    const repro_judgement j = repro_judge(report, claim);
    const repro_table *table = report->table;
    repro_kind kind = table->columns[j.greater.column].kind;
    bool speed = kind == REPRO_SPEED, counted = kind == REPRO_PARAMS;
    const char *unit = speed ? "%" : kind == REPRO_ACCURACY ? " points" : counted ? "M" : "";
    int digits = render_digits(&j, claim->within,
                               speed                               ? 0
                               : kind == REPRO_ACCURACY || counted ? 2
                                                                   : 3),
        column = claim->term[0].column;
    char greater[160], less[160];
    if (claim->n > 2)
        base_text_printf(out, "%s %s %s: ", render_term(table, &j.greater, column, greater), speed ? "over" : "-",
                         render_term(table, &j.less, column, less));
    base_text_printf(out, "%+.*f%s", digits, j.difference, unit);
    if (isnan(j.low))
        base_text_printf(out, counted ? ", counted" : ", one value each");
    else
        base_text_printf(out, ", 95%% from %+.*f to %+.*f; ", digits, j.low, digits, j.high);
    if (!isnan(j.low) && j.paired)
        base_text_printf(out, "%d pairs", j.n_greater);
    else if (!isnan(j.low))
        base_text_printf(out, "%d and %d %s", j.n_greater, j.n_less, j.rounds ? "rounds" : "values");
}

/* label: what stands before it. */
static void render_claim_as(const repro_report *report, const repro_claim *claim, const char *label, int wide,
                            repro_page *page) {
    const repro_judgement j = repro_judge(report, claim);
    base_text text = {0};
    base_text_printf(&text, "%s%s: ", claim->scale == REPRO_DESK ? "desk, " : "",
                     report->table->columns[claim->term[0].column].title);
    if (claim->words) base_text_printf(&text, "%s: ", claim->words);
    render_statement(report->table, claim, &text);
    if (j.verdict != REPRO_UNKNOWN) {
        base_text_printf(&text, " (");
        render_difference(report, claim, &text);
        base_text_printf(&text, ")");
    } else if (j.left_out || j.otherwise) {
        base_text_printf(&text, " (%s)", j.missing);
    }
    repro_page_item(page, wide, label, "%s", text.data ? text.data : "");
    page->out->failed |= text.failed;
    base_text_free(&text);
}

static void render_claim(const repro_report *report, const repro_claim *claim, repro_page *page) {
    const repro_verdict verdict = repro_judge(report, claim).verdict;
    render_claim_as(report, claim, verdict == REPRO_FAILS ? "DOES NOT HOLD" : repro_verdict_name(verdict), 15, page);
}

static void render_claims(const repro_report *report, repro_page *page) {
    if (!report->table->n_claims) return;
    repro_page_heading(page, "What the paper says of it, held against what is measured");
    for (int i = 0; i < report->table->n_claims; i++)
        if (report->table->claims[i].scale == REPRO_PAPER || report->book->options.scale == REPRO_DESK)
            render_claim(report, &report->table->claims[i], page);
}

/* ---- Where the numbers come from --------------------------------------------------------------------------------- */

/* Whether another cell was made by the same run. */
static bool render_same_origin(const repro_cell *cell, const repro_cell *other) {
    return other && other->origins && other->n == cell->n && !strcmp(other->origins[0].id, cell->origins[0].id);
}

/* A training once, with its seeds and what each took, on how many threads; the command is the first one's. */
static void render_trained(const repro_report *report, int first, repro_page *page) {
    const repro_trained *run = &report->trained[first];
    base_text label = {0};
    for (int i = 0; i < first; i++)
        if (!strcmp(report->trained[i].row, run->row)) return;
    base_text_printf(&label, "# training %s", run->row);
    for (int i = first; i < report->n_trained; i++) {
        char time[32], threads[32] = "";
        const repro_trained *other = &report->trained[i];
        if (strcmp(other->row, run->row) != 0) continue;
        if (other->threads)
            snprintf(threads, sizeof threads, " on %d thread%s", other->threads, other->threads > 1 ? "s" : "");
        base_text_printf(&label, "; seed %d: %s%s, %s.json", other->seed, repro_time(time, other->seconds), threads,
                         other->id);
    }
    const char *const lines[] = {label.data ? label.data : "", run->command};
    repro_page_lines(page, lines, 2);
    page->out->failed |= label.failed;
    base_text_free(&label);
}

static bool render_is_trained(const repro_report *report, const char *id) {
    for (int i = 0; i < report->n_trained; i++)
        if (!strcmp(report->trained[i].id, id)) return true;
    return false;
}

/* A command once, with the row and the seeds it was run with; the command is the first one's. */
static void render_origin(const repro_report *report, int row, const repro_cell *cell, const repro_cell *before,
                          const repro_cell *above, repro_page *page) {
    if (!cell->n || !cell->origins || render_same_origin(cell, before) || render_same_origin(cell, above) ||
        render_is_trained(report, cell->origins[0].id))
        return;
    base_text label = {0};
    base_text_printf(&label, "# %s", report->rows[row].row->text[0]);
    for (int k = 0; k < cell->n && !cell->text; k++) { /* what the program says of itself has no seed */
        const repro_origin *from = &cell->origins[k];
        base_text_printf(&label, "; seed %d%s%s%s", from->seed, from->kept ? ": " : "", from->kept ? from->id : "",
                         from->kept ? ".json" : "");
    }
    const char *const lines[] = {label.data ? label.data : "", cell->origins[0].command};
    repro_page_lines(page, lines, 2);
    page->out->failed |= label.failed;
    base_text_free(&label);
}

/* Whether there is a command behind any of the numbers. */
static bool render_has_origins(const repro_report *report) {
    bool has = report->n_trained > 0;
    for (int i = 0; i < report->n; i++) {
        has |= report->rows[i].net && report->rows[i].net->rounds;
        for (int s = 0; s < REPRO_SCALES; s++)
            for (int c = 1; c < report->table->n_columns; c++)
                has |= report->rows[i].cell[s][c].n && report->rows[i].cell[s][c].origins;
    }
    return has;
}

static void render_origins(const repro_report *report, repro_page *page) {
    if (page->dress == REPRO_AS_TEXT || !render_has_origins(report)) return;
    repro_page_details(page, "Commands behind the numbers");
    for (int i = 0; i < report->n_trained; i++) render_trained(report, i, page);
    for (int i = 0; i < report->n; i++) {
        const repro_net *net = report->rows[i].net;
        if (net) repro_page_lines(page, net->command, net->rounds);
        for (int s = 0; s < REPRO_SCALES; s++)
            for (int c = 1; c < report->table->n_columns; c++)
                render_origin(report, i, &report->rows[i].cell[s][c], &report->rows[i].cell[s][c - 1],
                              i ? &report->rows[i - 1].cell[s][c] : NULL, page);
    }
    repro_page_details_end(page);
}

/* ---- What was not measured --------------------------------------------------------------------------------------- */

/* Whether a cell lacks its value, or one of its runs has none: for a reason that was known before, or because it was
 * tried and failed. */
static bool render_lacks(const repro_cell *cell, bool failed) {
    return (isnan(cell->value) || cell->lost) && cell->why && cell->failed == failed;
}

DEIT_INTERNAL const char *repro_lack(const repro_cell *cell, char text[REPRO_LACK]) {
    if (isnan(cell->value)) return cell->why;
    if (!cell->origins) // of a speed
        snprintf(text, REPRO_LACK, "a round: %s", cell->why);
    else
        snprintf(text, REPRO_LACK, "%d of %d runs: %s", cell->lost, cell->n + cell->lost, cell->why);
    return text;
}

/* Every reason of a column once, with the rows it holds for. */
static void render_reasons(const repro_report *report, repro_scale scale, int c, bool failed, repro_page *page) {
    char what[96];
    snprintf(what, sizeof what, "%.80s%s", report->table->columns[c].title, scale == REPRO_DESK ? ", desk" : "");
    for (int i = 0; i < report->n; i++) {
        const repro_cell *cell = &report->rows[i].cell[scale][c];
        char text[REPRO_LACK], other_text[REPRO_LACK];
        int rows = 0, first = -1;
        if (!render_lacks(cell, failed)) continue;
        const char *why = repro_lack(cell, text);
        for (int k = 0; k < report->n; k++) {
            const repro_cell *other = &report->rows[k].cell[scale][c];
            if (!render_lacks(other, failed) || strcmp(repro_lack(other, other_text), why) != 0) continue;
            if (first < 0) first = k;
            rows++;
        }
        const char *label = report->rows[i].row->text[0];
        if (first < i) continue; /* said already */
        if (rows == report->n)
            repro_page_item(page, 0, "", "%s: %s", what, why);
        else if (rows == 1)
            repro_page_item(page, 0, "", "%s of %s: %s", what, label, why);
        else
            repro_page_item(page, 0, "", "%s of %s and %d more: %s", what, label, rows - 1, why);
    }
}

static void render_missing(const repro_report *report, bool failed, repro_page *page) {
    bool any = report->table->unmeasured && !failed;
    if (any) {
        repro_page_heading(page, "Not measured");
        repro_page_item(page, 0, "", "%s", report->table->unmeasured);
    }
    for (int s = 0; s < REPRO_SCALES; s++)
        for (int c = 0; c < report->table->n_columns; c++) {
            bool lacks = false;
            for (int i = 0; i < report->n; i++) lacks |= render_lacks(&report->rows[i].cell[s][c], failed);
            if (!lacks) continue;
            if (!any) repro_page_heading(page, failed ? "Failed" : "Not measured");
            any = true;
            render_reasons(report, (repro_scale)s, c, failed, page);
        }
}

static void render_todo(const repro_book *book, repro_page *page) {
    if (!book->again) return;
    repro_page_heading(page, book->n_todo ? "Commands that measure the rest (--json has one for each value)"
                                          : "The command that measures the rest");
    if (book->data_note) repro_page_item(page, 0, "", "%s", book->data_note);
    if (book->weights_note) repro_page_item(page, 0, "", "%s", book->weights_note);
    if (page->dress == REPRO_AS_MARKDOWN && (book->data_note || book->weights_note)) repro_page_gap(page);
    const char *const commands[] = {book->fetch, book->fetch_data, book->again};
    repro_page_commands(page, commands, 3);
}

/* ---- Pages ------------------------------------------------------------------------------------------------------- */

static void render_plots(const repro_report *report, repro_page *page) {
    for (int i = 0; page->dress == REPRO_AS_HTML && i < report->table->n_plots; i++) {
        repro_page_gap(page);
        repro_plot_page(report, &report->table->plots[i], page->out);
    }
}

static void render_report(const repro_report *report, repro_page *page, bool alone) {
    repro_grid grid;
    if (repro_grid_make(&grid, report)) {
        page->out->failed = true;
        return;
    }
    repro_page_title(page, alone ? 1 : 2, report->table->name, report->table->title);
    if (alone) repro_legend_conditions(report->book, page);
    repro_legend_images(report, page);
    if (page->open) repro_page_gap(page);
    render_plots(report, page);
    repro_page_grid(page, &grid, report->table->title);
    repro_page_gap(page);
    repro_grid_free(&grid);
    repro_legend(report, page);
    render_claims(report, page);
    render_missing(report, true, page);
    render_missing(report, false, page);
    render_origins(report, page);
}

/* ---- The summary of several tables ------------------------------------------------------------------------------- */

enum { RENDER_VERDICTS = 4 };

static bool render_asked(const repro_report *report, const repro_claim *claim) {
    return claim->scale == REPRO_PAPER || report->book->options.scale == REPRO_DESK;
}

static void render_count(const repro_report *report, int count[REPRO_SCALES][RENDER_VERDICTS]) {
    for (int i = 0; i < report->table->n_claims; i++) {
        const repro_claim *claim = &report->table->claims[i];
        if (render_asked(report, claim)) count[claim->scale][repro_judge(report, claim).verdict]++;
    }
}

/* A line of the grid: claims of either scale by verdict, what was not measured, the trainings. */
static void render_tally(char cell[REPRO_GRID_COLUMNS][REPRO_GRID_TEXT], const char *name,
                         int count[REPRO_SCALES][RENDER_VERDICTS], const repro_trained *trained, int n, bool desk) {
    static const repro_verdict verdicts[] = {REPRO_HOLDS, REPRO_FAILS, REPRO_UNDECIDED, REPRO_UNKNOWN};
    int c = 0;
    snprintf(cell[c++], REPRO_GRID_TEXT, "%.60s", name);
    for (int s = 0; s <= (desk ? REPRO_DESK : REPRO_PAPER); s++)
        for (int v = 0; v < RENDER_VERDICTS; v++)
            snprintf(cell[c++], REPRO_GRID_TEXT, count[s][verdicts[v]] ? "%d" : "-", count[s][verdicts[v]]);
    if (!desk) return;
    double seconds = 0;
    for (int i = 0; i < n; i++) seconds += trained[i].seconds;
    snprintf(cell[c++], REPRO_GRID_TEXT, n ? "%d" : "-", n);
    if (n)
        repro_time(cell[c], seconds);
    else
        strcpy(cell[c], "-");
}

static void render_contents(const repro_book *book, repro_page *page) {
    if (page->dress != REPRO_AS_HTML) return;
    repro_page_gap(page);
    base_text_printf(page->out, "<nav>");
    for (int i = 0; i < book->n; i++)
        base_text_printf(page->out, "<a href=\"#%s\">%s</a> ", book->report[i]->table->name,
                         book->report[i]->table->name);
    base_text_printf(page->out, "</nav>\n");
}

/* How many of the paper's statements hold, table by table. */
static void render_summary(const repro_book *book, repro_page *page) {
    static const char *const verdicts[] = {"hold", "do not", "undecided", "not measured"};
    const bool desk = book->options.scale == REPRO_DESK;
    int all[REPRO_SCALES][RENDER_VERDICTS] = {0};
    repro_grid grid = {.n = book->n + 1, .cell = base_calloc((size_t)book->n + 1, sizeof *grid.cell)};
    if (!grid.cell) {
        page->out->failed = true;
        return;
    }
    grid.columns[grid.n_columns++] = (repro_grid_column){"", "claims", true};
    for (int s = 0; s <= (desk ? REPRO_DESK : REPRO_PAPER); s++)
        for (int v = 0; v < RENDER_VERDICTS; v++)
            grid.columns[grid.n_columns++] = (repro_grid_column){v   ? NULL
                                                                 : s ? "small networks (desk)"
                                                                     : "the paper's networks",
                                                                 verdicts[v], false};
    if (desk) {
        grid.columns[grid.n_columns++] = (repro_grid_column){"trainings", "runs", false};
        grid.columns[grid.n_columns++] = (repro_grid_column){NULL, "took", false};
    }
    for (int b = 0; b < book->n; b++) {
        const repro_report *report = book->report[b];
        int count[REPRO_SCALES][RENDER_VERDICTS] = {0};
        render_count(report, count), render_count(report, all);
        render_tally(grid.cell[b], report->table->name, count, report->trained, report->n_trained, desk);
    }
    int judged = 0;
    for (int s = 0; s < REPRO_SCALES; s++)
        for (int v = 0; v < RENDER_VERDICTS; v++) judged += v == REPRO_UNKNOWN ? 0 : all[s][v];
    repro_page_item(page, REPRO_CONDITION_WIDTH, "Claims", "%d hold, %d do not hold, %d are undecided, %d not measured",
                    all[REPRO_PAPER][REPRO_HOLDS] + all[REPRO_DESK][REPRO_HOLDS],
                    all[REPRO_PAPER][REPRO_FAILS] + all[REPRO_DESK][REPRO_FAILS],
                    all[REPRO_PAPER][REPRO_UNDECIDED] + all[REPRO_DESK][REPRO_UNDECIDED],
                    all[REPRO_PAPER][REPRO_UNKNOWN] + all[REPRO_DESK][REPRO_UNKNOWN]);
    if (judged)
        repro_page_item(
            page, REPRO_CONDITION_WIDTH, "Intervals",
            "95%% for each claim by itself: of n pairs, seed by seed, where the same trainings are behind both "
            "cells; of speeds from the variance of the two rounds, pooled over all networks; else from "
            "that of a column's cells, pooled (of fractions, the table's). Nothing is corrected for their "
            "number: of these %d one in twenty may be wrong by chance",
            judged);
    render_contents(book, page);
    render_tally(grid.cell[book->n], "all, each training once", all, book->trained, book->n_trained, desk);
    repro_page_gap(page);
    repro_page_grid(page, &grid, "Claims and trainings, table by table");
    repro_grid_free(&grid);
}

/* Claims of all tables that turned out like that. */
static void render_verdicts(const repro_book *book, repro_verdict verdict, const char *heading, repro_page *page) {
    bool any = false;
    for (int b = 0; b < book->n; b++)
        for (int i = 0; i < book->report[b]->table->n_claims; i++) {
            const repro_report *report = book->report[b];
            const repro_claim *claim = &report->table->claims[i];
            if (!render_asked(report, claim) || repro_judge(report, claim).verdict != verdict) continue;
            if (!any) repro_page_heading(page, heading);
            any = true;
            render_claim_as(report, claim, report->table->name, 24, page);
        }
}

static void render_book(const repro_book *book, repro_page *page) {
    bool alone = book->n == 1;
    repro_page_begin(page, alone ? book->report[0]->table->title : "DeiT, measured again");
    if (!alone) {
        repro_page_title(page, 1, "all", "Training data-efficient image transformers & distillation through attention");
        repro_legend_conditions(book, page);
        for (int i = 0; i < book->n; i++)
            if (repro_notes_at_head(book->report[i]))
                repro_legend_notes(book->report[i], "Desk", REPRO_CONDITION_WIDTH, page);
        repro_legend_time(book->trained, book->n_trained, REPRO_CONDITION_WIDTH, page);
        render_summary(book, page);
        render_verdicts(book, REPRO_FAILS, "What does not hold", page);
    }
    for (int i = 0; i < book->n; i++) {
        if (!alone) repro_page_gap(page);
        render_report(book->report[i], page, alone);
    }
    render_todo(book, page);
    repro_page_end(page);
}

DEIT_INTERNAL void repro_write_text(const repro_book *book, base_text *out) {
    repro_page page = {.out = out, .dress = REPRO_AS_TEXT};
    render_book(book, &page);
}
DEIT_INTERNAL void repro_write_markdown(const repro_book *book, base_text *out) {
    repro_page page = {.out = out, .dress = REPRO_AS_MARKDOWN};
    render_book(book, &page);
}
DEIT_INTERNAL void repro_write_html(const repro_book *book, base_text *out) {
    repro_page page = {.out = out, .dress = REPRO_AS_HTML};
    render_book(book, &page);
}
