/* render: what a report says, in any dress: conditions, table, plots, claims, and what is missing. */
#include "repro/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Conditions -------------------------------------------------------------------------------------------------- */

static double render_condition(const repro_book *book, const char *name) {
    return json_number_value(json_object_get(book->conditions, name));
}
static const char *render_condition_text(const repro_book *book, const char *name) {
    const char *text = json_string_value(json_object_get(book->conditions, name));
    return text ? text : "unknown";
}

/* Over the networks whose speed was measured. */
typedef struct {
    base_spread peak, samples, batch;
    int n;
} render_facts;

static render_facts render_gather(const repro_book *book) {
    render_facts facts = {0};
    double *v = base_calloc(3 * (size_t)book->n_nets + 1, sizeof *v);
    double *peak = v, *samples = v + book->n_nets, *batch = v + 2 * book->n_nets;
    for (int i = 0; v && i < book->n_nets; i++) {
        const repro_net *net = &book->nets[i];
        if (!net->n) continue;
        peak[facts.n] = net->peak_gflops, samples[facts.n] = net->n, batch[facts.n++] = net->batch;
    }
    if (facts.n) {
        facts.peak = base_spread_of(peak, facts.n);
        facts.samples = base_spread_of(samples, facts.n);
        facts.batch = base_spread_of(batch, facts.n);
    }
    base_free(v);
    return facts;
}

enum { RENDER_CONDITION = 10, RENDER_LEGEND = 7 }; /* width of what stands before a line */

static const char *render_s(int n) {
    return n == 1 ? "" : "s";
}

static void render_conditions(const repro_book *book, repro_page *page) {
    const render_facts facts = render_gather(book);
    repro_page_item(page, RENDER_CONDITION, "Machine", "%s, %.0f cores, %.0f GB; oneDNN uses %s",
                    render_condition_text(book, "cpu"), render_condition(book, "cores"),
                    render_condition(book, "memory_bytes") * 1e-9, render_condition_text(book, "isa"));
    if (facts.n)
        repro_page_item(page, RENDER_CONDITION, "GEMM peak", "%.0f GFLOP/s in %s; %.0f to %.0f over the networks",
                        facts.peak.median, book->options.precision, facts.peak.min, facts.peak.max);
    if (facts.n)
        repro_page_item(page, RENDER_CONDITION, "Measured",
                        "%s, %.0f threads, not pinned, batch %.0f to %.0f, the median of %.0f to %.0f samples after a "
                        "warm-up; %.0f s in all",
                        book->options.precision, render_condition(book, "threads"), facts.batch.min, facts.batch.max,
                        facts.samples.min, facts.samples.max, book->seconds);
    repro_page_item(page, RENDER_CONDITION, "Software", "deit %s, oneDNN %s; %s", render_condition_text(book, "deit"),
                    render_condition_text(book, "onednn"), render_condition_text(book, "date"));
}

/* How many images the set has that a column's accuracy is measured on; 0: not one of these. */
static int64_t render_whole(const repro_table *table, int column) {
    static const struct {
        const char *set;
        int64_t images;
    } sets[] = {{"{imagenet}", 50000}, {"{imagenetv2}", 10000}};
    for (int i = 0; i < table->n_commands; i++)
        for (int k = 0; k < table->commands[i].n; k++)
            for (int s = 0; s < 2; s++)
                if (table->commands[i].scale == REPRO_PAPER && table->commands[i].column[k] == column &&
                    strstr(table->commands[i].text, sets[s].set))
                    return strcmp(table->commands[i].key[k], "real") ? sets[s].images : 46837;
    return 0;
}

/* How many images the accuracies were measured on; a training's own evaluation does not say. */
static void render_images(const repro_report *report, repro_page *page) {
    for (int c = 0; c < report->table->n_columns; c++)
        for (int i = 0; i < report->n; i++) {
            const repro_cell *cell = &report->rows[i].cell[REPRO_PAPER][c];
            if (report->table->columns[c].kind != REPRO_ACCURACY || isnan(cell->value) || cell->images == 0) continue;
            int64_t whole = render_whole(report->table, c);
            repro_page_item(
                page, RENDER_CONDITION, report->table->columns[c].title, "%lld images%s", (long long)cell->images,
                whole == 0 || whole == cell->images ? ""
                                                    : ": not the whole set, so not comparable with what is published");
            break;
        }
}

/* ---- What stands below a table ----------------------------------------------------------------------------------- */

typedef struct {
    bool speed, params, here, fewer, other;
} render_marks;

static render_marks render_find_marks(const repro_report *report) {
    render_marks marks = {0};
    for (int c = 0; c < report->table->n_columns; c++) {
        repro_kind kind = report->table->columns[c].kind;
        marks.speed |= kind == REPRO_SPEED, marks.params |= kind == REPRO_PARAMS;
        marks.here |= repro_has_measured(report, REPRO_PAPER, c);
        for (int i = 0; i < report->n; i++) {
            const repro_result *r = &report->rows[i];
            if (kind == REPRO_SPEED && r->net) marks.fewer |= r->net->n && r->net->fewer;
            if (kind > REPRO_SPEED) marks.other |= repro_otherwise(report, r, c);
        }
    }
    return marks;
}

/* How long the trainings behind values took, by the clock of machines that may have done other things too. */
static void render_time(const repro_trained *trained, int n, int wide, repro_page *page) {
    double seconds = 0, cpu = 0, longest = 0;
    char all[32], most[32], processors[32], of[64] = "";
    for (int i = 0; i < n; i++)
        seconds += trained[i].seconds, cpu += trained[i].cpu_seconds, longest = fmax(longest, trained[i].seconds);
    if (!n) return;
    if (!isnan(cpu)) snprintf(of, sizeof of, "; %s of processors", repro_time(processors, cpu));
    repro_page_item(page, wide, wide == RENDER_CONDITION ? "Time" : "time",
                    "%d training%s, %s in all, the longest %s%s", n, render_s(n), repro_time(all, seconds),
                    repro_time(most, longest), of);
}

/* When and where the values of the small networks were made, for they may have been recorded before. */
static void render_desk(const repro_report *report, repro_page *page) {
    const char *first = NULL, *last = NULL, *cpu = NULL;
    int values = 0, reused = 0, most = 0;
    for (int i = 0; i < report->n; i++)
        for (int c = 0; c < report->table->n_columns; c++) {
            const repro_cell *cell = &report->rows[i].cell[REPRO_DESK][c];
            most = cell->n > most ? cell->n : most;
            for (int k = 0; k < cell->n && cell->origins; k++, values++) {
                const json_t *made = cell->origins[k].conditions;
                const char *date = json_string_value(json_object_get(made, "date"));
                if (date && (!first || strcmp(date, first) < 0)) first = date;
                if (date && (!last || strcmp(date, last) > 0)) last = date;
                cpu = json_string_value(json_object_get(made, "cpu"));
                reused += cell->origins[k].reused;
            }
        }
    bool same = first && last && !strncmp(first, last, 10);
    if (values)
        repro_page_item(
            page, RENDER_LEGEND, "desk",
            "small networks and data: %d value%s of %d seed%s, made on %.10s%s%.*s on %s, %d of them taken from the "
            "results folder%s",
            values, render_s(values), most, render_s(most), first ? first : "?", same ? "" : " to ", same ? 0 : 10,
            last ? last : "?", cpu ? cpu : "?", reused,
            most > 1 ? "; ±: half the 95% interval, from the deviation of the column's cells" : "");
    else if (report->book->options.scale == REPRO_DESK && report->table->seeds)
        repro_page_item(page, RENDER_LEGEND, "desk", "small networks and data");
}

static void render_legend(const repro_report *report, repro_page *page) {
    const render_marks marks = render_find_marks(report);
    repro_page_item(page, RENDER_LEGEND, "paper", "%s", report->table->source);
    if (marks.here)
        repro_page_item(page, RENDER_LEGEND, "here", "%smeasured on this machine%s",
                        marks.params ? "parameters counted, the rest " : "",
                        marks.speed ? "; ±%: half the range of the samples" : "");
    render_desk(report, page);
    render_time(report->trained, report->n_trained, RENDER_LEGEND, page);
    if (marks.speed)
        repro_page_item(page, RENDER_LEGEND, "peak",
                        "the network's FLOP/s as a share of that of 2048 x 2048 matrix products run just before and "
                        "after each sample");
    if (marks.fewer)
        repro_page_item(page, RENDER_LEGEND, "!",
                        "fewer than %d samples, to end within %.0f minutes: this machine is slow for the network",
                        report->table->samples, report->table->budget / 60);
    if (marks.other) repro_page_item(page, RENDER_LEGEND, "~", "weights trained otherwise than the row's");
    for (int i = 0; i < report->table->n_notes; i++)
        if (repro_note_shown(report, &report->table->notes[i]))
            repro_page_item(page, RENDER_LEGEND, "note", "%s", report->table->notes[i].text);
}

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
                         table->columns[claim->term[0].column].kind == REPRO_ACCURACY ? " points" : "");
}

/* "A over B: +12%, 95% from +10 to +14; 6 and 6 values", "A - B: +0.8 points, ..; 3 pairs"; of a claim of two cells
 * without their names. */
static void render_difference(const repro_report *report, const repro_claim *claim, base_text *out) {
    const repro_judgement j = repro_judge(report, claim);
    const repro_table *table = report->table;
    repro_kind kind = table->columns[j.greater.column].kind;
    bool speed = kind == REPRO_SPEED;
    const char *unit = speed ? "%" : kind == REPRO_ACCURACY ? " points" : "";
    int digits = speed ? 0 : kind == REPRO_ACCURACY ? 2 : 3, column = claim->term[0].column;
    char greater[160], less[160];
    if (claim->n > 2)
        base_text_printf(out, "%s %s %s: ", render_term(table, &j.greater, column, greater), speed ? "over" : "-",
                         render_term(table, &j.less, column, less));
    base_text_printf(out, "%+.*f%s", digits, j.difference, unit);
    if (isnan(j.low))
        base_text_printf(out, ", one value each");
    else
        base_text_printf(out, ", 95%% from %+.*f to %+.*f; ", digits, j.low, digits, j.high);
    if (!isnan(j.low) && j.paired)
        base_text_printf(out, "%d pairs", j.n_greater);
    else if (!isnan(j.low))
        base_text_printf(out, "%d and %d values", j.n_greater, j.n_less);
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
    } else if (j.left_out) {
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
        has |= report->rows[i].net && report->rows[i].net->command;
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
        if (report->rows[i].net && report->rows[i].net->command) {
            const char *const line[] = {report->rows[i].net->command};
            repro_page_lines(page, line, 1);
        }
        for (int s = 0; s < REPRO_SCALES; s++)
            for (int c = 1; c < report->table->n_columns; c++)
                render_origin(report, i, &report->rows[i].cell[s][c], &report->rows[i].cell[s][c - 1],
                              i ? &report->rows[i - 1].cell[s][c] : NULL, page);
    }
    repro_page_details_end(page);
}

/* ---- What was not measured --------------------------------------------------------------------------------------- */

/* Whether a cell lacks its value: for a reason that was known before, or because it was tried and failed. */
static bool render_lacks(const repro_cell *cell, bool failed) {
    return isnan(cell->value) && cell->why && cell->failed == failed;
}

/* Every reason of a column once, with the rows it holds for. */
static void render_reasons(const repro_report *report, repro_scale scale, int c, bool failed, repro_page *page) {
    char what[96];
    snprintf(what, sizeof what, "%.80s%s", report->table->columns[c].title, scale == REPRO_DESK ? ", desk" : "");
    for (int i = 0; i < report->n; i++) {
        const repro_cell *cell = &report->rows[i].cell[scale][c];
        int rows = 0, first = -1;
        if (!render_lacks(cell, failed)) continue;
        for (int k = 0; k < report->n; k++) {
            const repro_cell *other = &report->rows[k].cell[scale][c];
            if (!render_lacks(other, failed) || strcmp(other->why, cell->why) != 0) continue;
            if (first < 0) first = k;
            rows++;
        }
        const char *label = report->rows[i].row->text[0];
        if (first < i) continue; /* said already */
        if (rows == report->n)
            repro_page_item(page, 0, "", "%s: %s", what, cell->why);
        else if (rows == 1)
            repro_page_item(page, 0, "", "%s of %s: %s", what, label, cell->why);
        else
            repro_page_item(page, 0, "", "%s of %s and %d more: %s", what, label, rows - 1, cell->why);
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
    if (!book->n_todo) return;
    repro_page_heading(page, "Commands that measure the rest (--json has one for each value)");
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
    if (alone) render_conditions(report->book, page);
    render_images(report, page);
    if (page->open) repro_page_gap(page);
    render_plots(report, page);
    repro_page_grid(page, &grid);
    repro_page_gap(page);
    repro_grid_free(&grid);
    render_legend(report, page);
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
    repro_page_item(page, RENDER_CONDITION, "Claims", "%d hold, %d do not hold, %d are undecided, %d not measured",
                    all[REPRO_PAPER][REPRO_HOLDS] + all[REPRO_DESK][REPRO_HOLDS],
                    all[REPRO_PAPER][REPRO_FAILS] + all[REPRO_DESK][REPRO_FAILS],
                    all[REPRO_PAPER][REPRO_UNDECIDED] + all[REPRO_DESK][REPRO_UNDECIDED],
                    all[REPRO_PAPER][REPRO_UNKNOWN] + all[REPRO_DESK][REPRO_UNKNOWN]);
    render_contents(book, page);
    render_tally(grid.cell[book->n], "all, each training once", all, book->trained, book->n_trained, desk);
    repro_page_gap(page);
    repro_page_grid(page, &grid);
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
        render_conditions(book, page);
        render_time(book->trained, book->n_trained, RENDER_CONDITION, page);
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
