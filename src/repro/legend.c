/* legend: under which conditions the numbers of a report were made, and what stands below a table. */
#include "repro/internal.h"

#include <math.h>
#include <string.h>

/* ---- Conditions -------------------------------------------------------------------------------------------------- */

static double legend_condition(const repro_book *book, const char *name) {
    return json_number_value(json_object_get(book->conditions, name));
}
static const char *legend_condition_text(const repro_book *book, const char *name) {
    const char *text = json_string_value(json_object_get(book->conditions, name));
    return text ? text : "unknown";
}

/* Over the networks whose speed was measured. */
typedef struct {
    base_spread peak, samples, batch;
    int n;
} legend_facts;

static legend_facts legend_gather(const repro_book *book) {
    legend_facts facts = {0};
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

enum { LEGEND_WIDTH = 7, LEGEND_MADE = 1100 }; /* width of what stands before a line below a table; bytes */

static const char *legend_s(int n) {
    return n == 1 ? "" : "s";
}

DEIT_INTERNAL void repro_legend_conditions(const repro_book *book, repro_page *page) {
    const legend_facts facts = legend_gather(book);
    repro_page_item(page, REPRO_CONDITION_WIDTH, "Machine", "%s, %.0f cores, %.0f GB; oneDNN uses %s",
                    legend_condition_text(book, "cpu"), legend_condition(book, "cores"),
                    legend_condition(book, "memory_bytes") * 1e-9, legend_condition_text(book, "isa"));
    if (facts.n)
        repro_page_item(page, REPRO_CONDITION_WIDTH, "GEMM peak", "%.0f GFLOP/s in %s; %.0f to %.0f over the networks",
                        facts.peak.median, book->options.precision, facts.peak.min, facts.peak.max);
    if (facts.n)
        repro_page_item(page, REPRO_CONDITION_WIDTH, "Measured",
                        "%s, %.0f threads, not pinned, batch %.0f to %.0f, the median of %.0f to %.0f samples after a "
                        "warm-up, all networks in turn, anew in every run; %.0f s in all",
                        book->options.precision, legend_condition(book, "threads"), facts.batch.min, facts.batch.max,
                        facts.samples.min, facts.samples.max, book->seconds);
    repro_page_item(page, REPRO_CONDITION_WIDTH, "Software", "deit %s, oneDNN %s; %s",
                    legend_condition_text(book, "deit"), legend_condition_text(book, "onednn"),
                    legend_condition_text(book, "date"));
}

DEIT_INTERNAL int64_t repro_whole(const repro_table *table, int column) {
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
DEIT_INTERNAL void repro_legend_images(const repro_report *report, repro_page *page) {
    for (int c = 0; c < report->table->n_columns; c++)
        for (int i = 0; i < report->n; i++) {
            const repro_cell *cell = &report->rows[i].cell[REPRO_PAPER][c];
            if (report->table->columns[c].kind != REPRO_ACCURACY || isnan(cell->value) || cell->images == 0) continue;
            int64_t whole = repro_whole(report->table, c);
            repro_page_item(
                page, REPRO_CONDITION_WIDTH, report->table->columns[c].title, "%lld images%s", (long long)cell->images,
                whole == 0 || whole == cell->images ? ""
                                                    : ": not the whole set, so not comparable with what is published");
            break;
        }
}

/* ---- What stands below a table ----------------------------------------------------------------------------------- */

typedef struct {
    bool speed, params, here, fewer, other; /* here: something is measured */
    bool winograd, spread;                  /* over the peak: a convolutional network, a transformer */
} legend_marks;

/* Why a network is over the peak: a transformer has no convolution that multiplies less often. */
static void legend_over(legend_marks *marks, const repro_net *net) {
    bool over = net->percent_of_peak.median > 100, transformer = net->config.patch > 0;
    marks->winograd |= over && !transformer, marks->spread |= over && transformer;
}

static legend_marks legend_find_marks(const repro_report *report) {
    legend_marks marks = {0};
    for (int c = 0; c < report->table->n_columns; c++) {
        repro_kind kind = report->table->columns[c].kind;
        marks.speed |= kind == REPRO_SPEED, marks.params |= kind == REPRO_PARAMS;
        for (int i = 0; i < report->n; i++) {
            const repro_result *r = &report->rows[i];
            marks.here |= !isnan(r->cell[REPRO_PAPER][c].value);
            if (kind == REPRO_SPEED && r->net && r->net->n) marks.fewer |= r->net->fewer, legend_over(&marks, r->net);
            if (kind > REPRO_SPEED) marks.other |= repro_otherwise(report, r, c);
        }
    }
    return marks;
}

/* How long the trainings behind values took, by the clock of machines that may have done other things too. */
DEIT_INTERNAL void repro_legend_time(const repro_trained *trained, int n, int wide, repro_page *page) {
    double seconds = 0, cpu = 0, longest = 0, busiest = 0;
    char all[32], most[32], processors[32], half[32], end[96], two[80] = "";
    bool one = n > 1;
    for (int i = 0; i < n; i++) {
        seconds += trained[i].seconds, longest = fmax(longest, trained[i].seconds);
        cpu += trained[i].cpu_seconds, busiest = fmax(busiest, trained[i].cpu_seconds);
        one &= trained[i].threads == 1;
    }
    if (!n) return;
    if (isnan(cpu))
        snprintf(end, sizeof end, ", the longest %s", repro_time(most, longest));
    else
        snprintf(end, sizeof end, "; %s of processors, the longest %s", repro_time(processors, cpu),
                 repro_time(most, busiest));
    if (one) snprintf(two, sizeof two, ", about %s by two processes on two cores", repro_time(half, seconds / 2));
    repro_page_item(page, wide, wide == REPRO_CONDITION_WIDTH ? "Time" : "time", "%d training%s%s, %s in all%s%s", n,
                    legend_s(n), one ? " on 1 thread each" : "", repro_time(all, seconds), two, end);
}

/* Different words, in the order they are met. */
enum { LEGEND_WORDS = 16 };
typedef struct {
    int n;
    char word[LEGEND_WORDS][REPRO_MADE];
} legend_words;

static bool legend_has_word(const legend_words *words, const char *word) {
    for (int i = 0; i < words->n; i++)
        if (!strcmp(words->word[i], word)) return true;
    return false;
}

static void legend_add_word(legend_words *words, const char *word) {
    if (words->n < LEGEND_WORDS && !legend_has_word(words, word))
        snprintf(words->word[words->n++], REPRO_MADE, "%s", word);
}

static const char *legend_join(const legend_words *words, char text[512]) {
    size_t size = 0;
    *text = 0;
    for (int i = 0; i < words->n && size < 400; i++)
        size += (size_t)snprintf(text + size, 512 - size, "%s%s", i ? ", " : "", words->word[i]);
    return text;
}

/* What stands behind values of a scale: when, where and by which versions they, and the trainings that they need, were
 * made. */
typedef struct {
    legend_words machines, builds;
    const char *first, *last; /* dates */
    int values, reused, most; /* most: of a cell */
    bool range;               /* of some the samples' range is known */
} legend_made;

static void legend_made_by(legend_made *made, const char *machine, const char *build) {
    legend_add_word(&made->machines, machine);
    legend_add_word(&made->builds, build);
}

static void legend_made_cell(legend_made *made, const repro_cell *cell) {
    char machine[REPRO_MADE], build[REPRO_MADE];
    made->most = cell->n > made->most ? cell->n : made->most;
    made->range |= cell->half_range > 0;
    for (int k = 0; k < cell->n && cell->origins; k++, made->values++) {
        const json_t *conditions = cell->origins[k].conditions;
        const char *date = json_string_value(json_object_get(conditions, "date"));
        if (date && (!made->first || strcmp(date, made->first) < 0)) made->first = date;
        if (date && (!made->last || strcmp(date, made->last) > 0)) made->last = date;
        repro_conditions_say(conditions, machine, build);
        legend_made_by(made, machine, build);
        made->reused += cell->origins[k].reused;
    }
}

static legend_made legend_made_all(const repro_report *report, repro_scale scale) {
    legend_made made = {0};
    for (int i = 0; i < report->n; i++)
        for (int c = 0; c < report->table->n_columns; c++) legend_made_cell(&made, &report->rows[i].cell[scale][c]);
    return made;
}

/* "made on 2026-11-27 to 2026-11-28 on AMD EPYC (avx2) by deit 97dfce9" */
static const char *legend_made_say(const legend_made *made, char text[LEGEND_MADE]) {
    char machines[512], builds[512];
    bool same = made->first && !strncmp(made->first, made->last, 10);
    snprintf(text, LEGEND_MADE, "made on %.10s%s%.*s on %s by deit %s", made->first ? made->first : "?",
             same ? "" : " to ", same ? 0 : 10, made->last ? made->last : "?", legend_join(&made->machines, machines),
             legend_join(&made->builds, builds));
    return text;
}

/* What is measured of the paper's networks: now, or recorded before. */
static void legend_here(const repro_report *report, const legend_marks *marks, repro_page *page) {
    bool measured = false;
    for (int c = 0; c < report->table->n_columns; c++)
        measured |= report->table->columns[c].kind > REPRO_PARAMS && repro_has_measured(report, REPRO_PAPER, c);
    if (!measured) {
        repro_page_item(page, LEGEND_WIDTH, "here", "as this program says");
        return;
    }
    const legend_made made = legend_made_all(report, REPRO_PAPER);
    char text[LEGEND_MADE], recorded[LEGEND_MADE + 64] = "";
    if (made.reused)
        snprintf(recorded, sizeof recorded, "; %d value%s of the results folder, %s", made.reused,
                 legend_s(made.reused), legend_made_say(&made, text));
    repro_page_item(page, LEGEND_WIDTH, "here", "%smeasured%s%s%s",
                    marks->params ? "parameters counted, the rest " : "", made.reused ? "" : " on this machine",
                    marks->speed ? "; ±%: half the range of the samples" : "", recorded);
}

/* Of which deviation the intervals are. */
static const char *legend_pooled(const repro_table *table) {
    for (int c = 0; c < table->n_columns; c++)
        if (table->columns[c].kind == REPRO_FRACTION)
            return "; ±: half the 95% interval, from the deviation that the "
                   "column's cells share (of fractions, from the cell's own)";
    return "; ±: half the 95% interval, from the deviation that the column's cells share";
}

/* When and where the values of the small networks were made, for they may have been recorded before. */
static void legend_desk(const repro_report *report, repro_page *page) {
    legend_made made = legend_made_all(report, REPRO_DESK);
    char machine[REPRO_MADE], build[REPRO_MADE], text[LEGEND_MADE];
    if (!made.values) {
        if (report->book->options.scale == REPRO_DESK && report->table->seeds)
            repro_page_item(page, LEGEND_WIDTH, "desk", "small networks and data");
        return;
    }
    for (int i = 0; i < report->n_trained; i++)
        legend_made_by(&made, report->trained[i].machine, report->trained[i].build);
    repro_conditions_say(report->book->conditions, machine, build);
    repro_page_item(page, LEGEND_WIDTH, "desk",
                    "small networks and data: %d value%s of %d seed%s, %s%s, %d of them taken from the results "
                    "folder%s%s",
                    made.values, legend_s(made.values), made.most, legend_s(made.most), legend_made_say(&made, text),
                    legend_has_word(&made.builds, build) ? "" : ", none by this one", made.reused,
                    made.most > 1 ? legend_pooled(report->table) : "",
                    made.range ? "; of speeds half the range of the samples" : "");
}

/* Columns with values of records whose data are not here. */
static void legend_kept(const repro_report *report, repro_page *page) {
    for (int c = 0; c < report->table->n_columns; c++) {
        const char *why = NULL;
        for (int s = 0; s < REPRO_SCALES; s++)
            for (int i = 0; i < report->n && !why; i++) why = report->rows[i].cell[s][c].kept;
        if (why)
            repro_page_item(page, LEGEND_WIDTH, "kept", "%s: of the results folder alone, as %s",
                            report->table->columns[c].title, why);
    }
}

DEIT_INTERNAL void repro_legend_notes(const repro_report *report, const char *label, int wide, repro_page *page) {
    for (int i = 0; i < report->table->n_notes; i++)
        if (repro_note_shown(report, &report->table->notes[i]))
            repro_page_item(page, wide, label, "%s", report->table->notes[i].text);
}

/* The notes of the trainings are about all small networks: of several tables they stand at the head. */
DEIT_INTERNAL bool repro_notes_at_head(const repro_report *report) {
    return report->book->n > 1 && report->table->makes;
}

#define LEGEND_WINOGRAD                                                                                                \
    "3 x 3 convolutions by Winograd's algorithm multiply less often than the network as defined, which is counted"

DEIT_INTERNAL const char *repro_over_peak(bool convolutional, bool transformer) {
    if (!convolutional) return transformer ? "within the spread of samples and products" : "";
    return transformer ? LEGEND_WINOGRAD "; transformers within the spread of samples and products" : LEGEND_WINOGRAD;
}
#undef LEGEND_WINOGRAD

DEIT_INTERNAL void repro_legend(const repro_report *report, repro_page *page) {
    const legend_marks marks = legend_find_marks(report);
    repro_page_item(page, LEGEND_WIDTH, "paper", "%s", report->table->source);
    if (marks.here)
        legend_here(report, &marks, page);
    else if (marks.params)
        repro_page_item(page, LEGEND_WIDTH, "here", "parameters counted");
    legend_desk(report, page);
    legend_kept(report, page);
    repro_legend_time(report->trained, report->n_trained, LEGEND_WIDTH, page);
    if (marks.speed)
        repro_page_item(page, LEGEND_WIDTH, "peak",
                        "the network's FLOP/s as a share of that of 2048 x 2048 matrix products run just before and "
                        "after each sample%s%s",
                        marks.winograd || marks.spread ? "; over 100%: " : "",
                        repro_over_peak(marks.winograd, marks.spread));
    if (marks.fewer)
        repro_page_item(page, LEGEND_WIDTH, "!",
                        "fewer than %d samples, to end within %.0f minute%s: this machine is slow for the network",
                        report->table->samples, report->table->budget / 60,
                        legend_s((int)(report->table->budget / 60)));
    if (marks.other) repro_page_item(page, LEGEND_WIDTH, "~", REPRO_OTHERWISE);
    if (!repro_notes_at_head(report)) repro_legend_notes(report, "note", LEGEND_WIDTH, page);
}
