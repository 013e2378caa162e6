/* baseline: a report as JSON, and one such report held against an earlier one. */
#include "repro/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static json_t *baseline_number(double value) {
    return value >= 0 ? json_real(value) : json_null();
}
static json_t *baseline_text(const char *text) {
    return text ? json_string(text) : json_null();
}

static json_t *baseline_published(const repro_report *report, const repro_result *r) {
    json_t *o = json_object();
    json_object_set_new(o, "params", json_string(r->row->params));
    for (int c = 0; c < REPRO_COLUMNS; c++)
        json_object_set_new(o, repro_column_name((repro_column)c), baseline_number(r->row->published[c]));
    json_object_set_new(o, "relative", baseline_number(repro_relative(report, r, true)));
    return o;
}

static json_t *baseline_measured(const repro_report *report, const repro_result *r) {
    json_t *o = json_object();
    bool speed = r->cell[REPRO_IMAGES_PER_S].value > 0;
    for (int c = 0; c < REPRO_COLUMNS; c++)
        json_object_set_new(o, repro_column_name((repro_column)c), baseline_number(r->cell[c].value));
    json_object_set_new(o, "relative", baseline_number(repro_relative(report, r, false)));
    json_object_set_new(o, "images_per_s_min", baseline_number(speed ? r->images_per_s.min : -1));
    json_object_set_new(o, "images_per_s_max", baseline_number(speed ? r->images_per_s.max : -1));
    json_object_set_new(o, "samples", json_integer(speed ? r->images_per_s.n : 0));
    json_object_set_new(o, "percent_of_peak", baseline_number(speed ? r->percent_of_peak.median : -1));
    json_object_set_new(o, "peak_gflops", baseline_number(speed ? r->peak_gflops : -1));
    json_object_set_new(o, "batch", speed ? json_integer(r->batch) : json_null());
    json_object_set_new(o, "workers", speed ? json_integer(r->workers) : json_null());
    json_object_set_new(o, "threads_per_worker", speed ? json_integer(r->threads_per_worker) : json_null());
    json_object_set_new(o, "micro_batch", speed ? json_integer(r->micro_batch) : json_null());
    json_object_set_new(o, "memory_bytes", speed ? json_integer((json_int_t)r->memory) : json_null());
    static const char *const images[] = {NULL, "imagenet_images", "real_images", "v2_images"};
    for (int c = REPRO_IMAGENET; c <= REPRO_V2; c++)
        json_object_set_new(o, images[c], r->cell[c].value >= 0 ? json_integer(r->cell[c].images) : json_null());
    return o;
}

static json_t *baseline_row(const repro_report *report, const repro_result *r) {
    json_t *o = json_object(), *why = json_object();
    json_object_set_new(o, "network", json_string(r->row->label));
    json_object_set_new(o, "model", json_string(r->row->model));
    json_object_set_new(o, "in_this_version", json_boolean(r->known));
    json_object_set_new(o, "params", r->known ? json_integer(r->params) : json_null());
    json_object_set_new(o, "image", json_integer(r->row->image));
    json_object_set_new(o, "gflop_per_image", baseline_number(r->known ? r->gflop : -1));
    json_object_set_new(o, "published", baseline_published(report, r));
    json_object_set_new(o, "measured", baseline_measured(report, r));
    json_object_set_new(o, "weights", baseline_text(r->weights ? r->weights->file : NULL));
    json_object_set_new(o, "weights_trained_as_row", r->weights ? json_boolean(r->same) : json_null());
    json_object_set_new(o, "weights_sha256", baseline_text(r->weights_sha256));
    for (int c = 0; c < REPRO_COLUMNS; c++)
        if (r->cell[c].value < 0 && r->cell[c].why)
            json_object_set_new(why, repro_column_name((repro_column)c), json_string(r->cell[c].why));
    json_object_set_new(o, "not_measured", why);
    return o;
}

DEIT_INTERNAL json_t *repro_report_json(const repro_report *report) {
    json_t *o = json_object(), *rows = json_array(), *todo = json_array();
    json_object_set_new(o, "table", json_string(report->table->name));
    json_object_set_new(o, "title", json_string(report->table->title));
    json_object_set(o, "conditions", report->conditions);
    for (int i = 0; i < report->n; i++) json_array_append_new(rows, baseline_row(report, &report->rows[i]));
    json_object_set_new(o, "rows", rows);
    for (int i = 0; i < report->n_todo; i++)
        json_array_append_new(
            todo, json_pack("{s:s, s:s}", "network", report->todo[i].label, "command", report->todo[i].command));
    json_object_set_new(o, "commands_for_the_rest", todo);
    json_object_set_new(o, "cells", json_integer(report->cells));
    json_object_set_new(o, "cells_reused", json_integer(report->reused));
    json_object_set_new(o, "cells_failed", json_integer(report->failed));
    json_object_set_new(o, "seconds", json_real(report->seconds));
    return o;
}

DEIT_INTERNAL base_status repro_write_json(const repro_report *report, base_text *out) {
    json_t *o = repro_report_json(report);
    char *text = o ? json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(o);
    if (!text) return base_fail("out of memory");
    base_text_printf(out, "%s\n", text);
    free(text);
    return BASE_OK;
}

/* ---- Comparing --------------------------------------------------------------------------------------------------- */

typedef struct {
    const repro_table *table;
    base_text *out;
    int compared, moved, gone;
} baseline_state;

/* images/s over the peak of the same row (images a GFLOP of the peak), so that machines of the same kind compare;
 * negative: not measured. */
static double baseline_speed(const json_t *measured) {
    const json_t *rate = json_object_get(measured, "images_per_s"), *peak = json_object_get(measured, "peak_gflops");
    if (!json_is_number(rate) || json_number_value(rate) <= 0) return -1;
    return json_is_number(peak) && json_number_value(peak) > 0 ? json_number_value(rate) / json_number_value(peak) : -1;
}

static void baseline_line(baseline_state *state, const char *network, const char *what, double before, double now,
                          const char *change) {
    if (!state->moved++)
        base_text_printf(state->out, "%-26s %-20s %10s %10s  %s\n", "network", "", "baseline", "now", "change");
    int width = 26;
    for (const char *at = network; *at; at++) width += (*at & 0xC0) == 0x80; /* bytes that take no column */
    base_text_printf(state->out, "%-*s %-20s %10.4g %10.4g  %s\n", width, network, what, before, now, change);
}

static void baseline_compare_speed(baseline_state *state, const char *network, const json_t *before,
                                   const json_t *now) {
    double old = baseline_speed(before), new = baseline_speed(now);
    if (old < 0) return;
    if (new < 0) {
        state->gone++;
        return;
    }
    state->compared++;
    double percent = 100 * (new / old - 1);
    if (fabs(percent) <= state->table->speed_tolerance) return;
    char change[64];
    snprintf(change, sizeof change, "%+.1f%% (tolerance %g%%)", percent, state->table->speed_tolerance);
    baseline_line(state, network, "images per peak GFLOP", old, new, change);
}

static void baseline_compare_accuracy(baseline_state *state, const char *network, const char *column,
                                      const json_t *before, const json_t *now) {
    const json_t *old = json_object_get(before, column), *new = json_object_get(now, column);
    if (!json_is_number(old)) return;
    if (!json_is_number(new)) {
        state->gone++;
        return;
    }
    state->compared++;
    double points = json_number_value(new) - json_number_value(old);
    if (fabs(points) <= state->table->accuracy_tolerance) return;
    char change[64];
    snprintf(change, sizeof change, "%+.2f points (tolerance %g)", points, state->table->accuracy_tolerance);
    baseline_line(state, network, column, json_number_value(old), json_number_value(new), change);
}

static const json_t *baseline_find(const json_t *rows, const char *network) {
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *name = json_string_value(json_object_get(row, "network"));
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
    base_status status = base_fail("%s: expected what 'deit repro %s --json' printed, found %s", path, table->name,
                                   !o     ? error.text
                                   : name ? name
                                          : "other JSON");
    json_decref(o);
    return status;
}

DEIT_INTERNAL base_status repro_compare(const repro_table *table, const json_t *now, const json_t *baseline,
                                        const char *path, base_text *out) {
    baseline_state state = {.table = table, .out = out};
    base_text_printf(out, "\nAgainst %s\n", path);
    baseline_conditions(json_object_get(baseline, "conditions"), json_object_get(now, "conditions"), out);
    const json_t *ours = json_object_get(now, "rows"), *theirs = json_object_get(baseline, "rows");
    for (size_t i = 0; i < json_array_size(ours); i++) {
        const json_t *row = json_array_get(ours, i);
        const char *network = json_string_value(json_object_get(row, "network"));
        const json_t *old = json_object_get(baseline_find(theirs, network), "measured"),
                     *new = json_object_get(row, "measured");
        baseline_compare_speed(&state, network, old, new);
        for (int c = REPRO_IMAGENET; c <= REPRO_V2; c++)
            baseline_compare_accuracy(&state, network, repro_column_name((repro_column)c), old, new);
    }
    base_text_printf(out, "%d values compared, %d moved further than the tolerance", state.compared, state.moved);
    if (state.gone) base_text_printf(out, "; %d of the baseline were not measured now", state.gone);
    base_text_printf(out, "\n");
    if (!state.compared) return base_fail("%s: has no measured value in common with this run", path);
    if (state.moved)
        return base_fail_as(BASE_TOLERANCE, "%d of %d values moved further than the tolerance from %s", state.moved,
                            state.compared, path);
    return BASE_OK;
}
