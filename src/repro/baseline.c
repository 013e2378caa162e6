/* baseline: a report as JSON held against an earlier one. */
#include "repro/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Comparing --------------------------------------------------------------------------------------------------- */

typedef struct {
    const repro_table *table;
    base_text *out;
    int compared, moved, lost, gone; /* lost: accuracies that were not measured now; gone: with the speeds */
    bool headed, speeds;             /* speeds: whether these compare */
} baseline_state;

/* Percent of the GEMM peak, the least and the most of a row's samples. */
typedef struct {
    double median, min, max;
} baseline_share;

static double baseline_number(const json_t *measured, const char *key, double otherwise) {
    const json_t *number = json_object_get(measured, key);
    return json_is_number(number) ? json_number_value(number) : otherwise;
}

/* The share of the GEMM peak, so that machines of the same kind compare: of pairs of samples taken one after the other,
 * for a clock that wanders moves both. Median 0: not measured. */
static baseline_share baseline_speed(const json_t *measured) {
    double median = baseline_number(measured, "percent_of_peak", 0);
    return (baseline_share){median, baseline_number(measured, "percent_of_peak_min", median),
                            baseline_number(measured, "percent_of_peak_max", median)};
}

/* now: NAN where it is not known any more. */
static void baseline_line(baseline_state *state, const char *network, const char *what, double before, double now,
                          const char *change) {
    if (!state->headed)
        base_text_printf(state->out, "%-26s %-20s %10s %10s  %s\n", "network", "", "baseline", "now", "change");
    state->headed = true;
    int width = 26;
    for (const char *at = network; *at; at++) width += (*at & 0xC0) == 0x80; /* bytes that take no column */
    char present[32] = "-";
    if (!isnan(now)) snprintf(present, sizeof present, "%.4g", now);
    base_text_printf(state->out, "%-*s %-20s %10.4g %10s  %s\n", width, network, what, before, present, change);
}

/* An accuracy of the baseline that could not be measured now: whoever watches it must hear of that. */
static void baseline_gone(baseline_state *state, const char *network, const char *what, double before) {
    state->gone++, state->lost++;
    baseline_line(state, network, what, before, NAN, "not measured now");
}

/* A share has moved if its median did by more than the tolerance and no sample of one run lies among the other's: where
 * samples of one row differ by more than the tolerance among themselves, their medians do so by chance. */
static void baseline_compare_speed(baseline_state *state, const char *network, const json_t *before,
                                   const json_t *now) {
    baseline_share old = baseline_speed(before), new = baseline_speed(now);
    if (old.median <= 0 || !state->speeds) return;
    if (new.median <= 0) {
        state->gone++;
        return;
    }
    state->compared++;
    double percent = 100 * (new.median / old.median - 1);
    bool apart = new.max < old.min || new.min > old.max;
    if (!apart || fabs(percent) <= state->table->speed_tolerance) return;
    char change[64];
    snprintf(change, sizeof change, "%+.1f%% (tolerance %g%%)", percent, state->table->speed_tolerance);
    state->moved++;
    baseline_line(state, network, "% of the GEMM peak", old.median, new.median, change);
}

static void baseline_compare_accuracy(baseline_state *state, const char *network, const char *column,
                                      const json_t *before, const json_t *now) {
    const json_t *old = json_object_get(before, column), *new = json_object_get(now, column);
    if (!json_is_number(old)) return;
    if (!json_is_number(new)) {
        baseline_gone(state, network, column, json_number_value(old));
        return;
    }
    state->compared++;
    double points = json_number_value(new) - json_number_value(old);
    if (fabs(points) <= state->table->accuracy_tolerance) return;
    char change[64];
    snprintf(change, sizeof change, "%+.2f points (tolerance %g)", points, state->table->accuracy_tolerance);
    state->moved++;
    baseline_line(state, network, column, json_number_value(old), json_number_value(new), change);
}

/* Small networks with weights that are there: each value must be the same to the image. */
static void baseline_compare_desk(baseline_state *state, const char *network, const char *column, const json_t *before,
                                  const json_t *now) {
    const json_t *old = json_object_get(json_object_get(before, column), "values"),
                 *new = json_object_get(json_object_get(now, column), "values");
    double images = json_number_value(json_object_get(json_object_get(now, column), "images"));
    for (size_t i = 0; i < json_array_size(old); i++) {
        const json_t *value = json_array_get(new, i);
        char change[64], what[80];
        snprintf(what, sizeof what, "%.40s, seed %zu", column, i);
        if (!value) {
            baseline_gone(state, network, what, json_number_value(json_array_get(old, i)));
            continue;
        }
        state->compared++;
        double points = json_number_value(value) - json_number_value(json_array_get(old, i));
        if (fabs(points) * images < 50 && (images > 0 || points == 0)) continue; /* half an image, in percent */
        snprintf(change, sizeof change, "%+.2f points (no image may differ)", points);
        state->moved++;
        baseline_line(state, network, what, json_number_value(json_array_get(old, i)), json_number_value(value),
                      change);
    }
}

static const json_t *baseline_find(const json_t *rows, const char *key, const char *network) {
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *name = json_string_value(json_object_get(row, key));
        if (name && !strcmp(name, network)) return row;
    }
    return NULL;
}

static void baseline_conditions(const json_t *before, const json_t *now, base_text *out) {
    static const char *const names[] = {"deit", "cpu", "isa", "cores", "threads", "precision", "onednn"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *old = json_object_get(before, names[i]), *new = json_object_get(now, names[i]);
        if (!old || !new || json_equal(old, new)) continue;
        char *a = json_dumps(old, JSON_ENCODE_ANY), *b = json_dumps(new, JSON_ENCODE_ANY);
        base_text_printf(out, "%s differs: baseline %s, now %s\n", names[i], a ? a : "?", b ? b : "?");
        free(a), free(b);
    }
}

/* Shares of the peak are a processor's: they compare where the same instructions did the same arithmetic. */
static bool baseline_speeds_compare(const json_t *before, const json_t *now, base_text *out) {
    static const char *const names[] = {"isa", "precision"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *old = json_object_get(before, names[i]), *new = json_object_get(now, names[i]);
        if (!old || !new || json_equal(old, new)) continue;
        base_text_printf(out, "speeds are not compared: they are of another %s\n", names[i]);
        return false;
    }
    return true;
}

DEIT_INTERNAL base_status repro_baseline_open(json_t **baseline, const repro_table *table, const char *path) {
    char *text;
    size_t size;
    json_error_t error = {.text = ""};
    *baseline = NULL;
    BASE_TRY(base_read_file(path, 64 << 20, &text, &size));
    json_t *o = json_loadb(text, size, 0, &error);
    base_free(text);
    const char *name = json_string_value(json_object_get(o, "table"));
    if (name && !strcmp(name, table->name) && json_is_array(json_object_get(o, "rows"))) {
        *baseline = o;
        return BASE_OK;
    }
    base_status status = base_fail("%s: expected what 'deit repro %s --json' printed, found %s%s", path, table->name,
                                   !o     ? error.text
                                   : name ? name
                                          : "other JSON",
                                   name && !strcmp(name, table->name) ? " without rows" : "");
    json_decref(o);
    return status;
}

DEIT_INTERNAL base_status repro_compare(const repro_table *table, const json_t *now, const json_t *baseline,
                                        const char *path, base_text *out) {
    baseline_state state = {.table = table, .out = out};
    base_text_printf(out, "\nAgainst %s\n", path);
    const json_t *then = json_object_get(baseline, "conditions"), *today = json_object_get(now, "conditions");
    baseline_conditions(then, today, out);
    state.speeds = baseline_speeds_compare(then, today, out);
    const json_t *ours = json_object_get(now, "rows"), *theirs = json_object_get(baseline, "rows");
    for (size_t i = 0; i < json_array_size(ours); i++) {
        const json_t *row = json_array_get(ours, i);
        const char *key = table->columns[0].name, *network = json_string_value(json_object_get(row, key));
        const json_t *before = baseline_find(theirs, key, network), *old = json_object_get(before, "measured"),
                     *new = json_object_get(row, "measured");
        for (int c = 0; c < table->n_columns; c++) {
            if (table->columns[c].kind == REPRO_SPEED) baseline_compare_speed(&state, network, old, new);
            if (table->columns[c].kind != REPRO_ACCURACY) continue;
            baseline_compare_accuracy(&state, network, table->columns[c].name, old, new);
            baseline_compare_desk(&state, network, table->columns[c].name, json_object_get(before, "desk"),
                                  json_object_get(row, "desk"));
        }
    }
    base_text_printf(out, "%d values compared, %d moved further than the tolerance", state.compared, state.moved);
    if (state.gone) base_text_printf(out, "; %d of the baseline were not measured now", state.gone);
    base_text_printf(out, "\n");
    if (!state.compared && !state.gone) return base_fail("%s: has no measured value in common with this run", path);
    if (state.moved)
        return base_fail_as(BASE_TOLERANCE, "%d of %d values moved further than the tolerance from %s", state.moved,
                            state.compared, path);
    if (state.lost) return base_fail_as(BASE_TOLERANCE, "%d accuracies of %s were not measured now", state.lost, path);
    return BASE_OK;
}
