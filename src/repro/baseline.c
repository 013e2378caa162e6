/* baseline: a report as JSON held against an earlier one. */
#include "repro/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Comparing --------------------------------------------------------------------------------------------------- */

typedef struct {
    const repro_table *table;
    base_text *out;
    int compared, moved, lost, gone; /* lost: values that were not measured now; gone: with the speeds */
    bool headed, speeds;             /* speeds: whether these compare */
    const char *lack;                /* of the row: why a value is not there now */
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

/* A count is whole, a measured value has four digits. */
static void baseline_say(char text[32], double value) {
    snprintf(text, 32, value == rint(value) ? "%.0f" : "%.4g", value);
}

/* now: NAN where it is not known any more. */
static void baseline_line(baseline_state *state, const char *network, const char *what, double before, double now,
                          const char *change) {
    if (!state->headed)
        base_text_printf(state->out, "%-26s %-20s %10s %10s  %s\n", "network", "", "baseline", "now", "change");
    state->headed = true;
    int width = 26 + (int)strlen(network) - base_text_width(network); /* bytes that take no column */
    char past[32], present[32] = "-";
    baseline_say(past, before);
    if (!isnan(now)) baseline_say(present, now);
    base_text_printf(state->out, "%-*s %-20s %10s %10s  %s\n", width, network, what, past, present, change);
}

/* A value of the baseline that could not be measured now: whoever watches it must hear of that. */
static void baseline_gone(baseline_state *state, const char *network, const char *what, double before,
                          const char *why) {
    state->gone++, state->lost++;
    baseline_line(state, network, what, before, NAN, why);
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

/* What a value may differ by, in its own unit. images: of a small network, whose weights are there, so that each value
 * must be the same to the image if it is a share of them; 0: it is of no count; negative: it is no small network's. */
static double baseline_tolerance(const repro_table *table, repro_kind kind, double images, double before) {
    double exact = 1e-9 * fabs(before), points = table->accuracy_tolerance; /* a file has ten digits */
    if (kind == REPRO_NUMBER) return exact;
    double unit = kind == REPRO_FRACTION ? 0.01 : 1, shown = kind == REPRO_FRACTION ? 0.0005 : 0;
    bool count = images > 0 && fabs(before / unit * images / 100 - round(before / unit * images / 100)) < 1e-3;
    if (count) return fmax(50 * unit / images, exact);
    return fmax(images < 0 && points > 0 ? points * unit : shown, exact);
}

static void baseline_compare_value(baseline_state *state, const char *network, const char *what, repro_kind kind,
                                   double images, const json_t *before, const json_t *now) {
    if (!json_is_number(before)) return;
    double old = json_number_value(before), new = json_number_value(now), by = new - old;
    if (!json_is_number(now)) {
        baseline_gone(state, network, what, old, state->lack);
        return;
    }
    state->compared++;
    double tolerance = baseline_tolerance(state->table, kind, images, old);
    if (fabs(by) <= tolerance) return;
    char change[64];
    bool accuracy = kind == REPRO_ACCURACY;
    if (accuracy && images >= 0)
        snprintf(change, sizeof change, "%+.2f points (no image may differ)", by);
    else if (kind == REPRO_NUMBER)
        snprintf(change, sizeof change, "%+g (no difference is let pass)", by);
    else
        snprintf(change, sizeof change, accuracy ? "%+.2f points (tolerance %g)" : "%+.4f (tolerance %g)", by,
                 tolerance);
    state->moved++;
    baseline_line(state, network, what, old, new, change);
}

/* The seed of a column's i-th value: of those that failed there is none. */
static int baseline_seed(const json_t *column, size_t i) {
    const json_t *seed = json_array_get(json_object_get(column, "seeds"), i);
    return seed ? (int)json_integer_value(seed) : (int)i;
}

static void baseline_compare_desk(baseline_state *state, const char *network, const repro_column *column,
                                  const json_t *before, const json_t *now) {
    const json_t *old_column = json_object_get(before, column->name), *old = json_object_get(old_column, "values"),
                 *new = json_object_get(now, column->name);
    double images = json_number_value(json_object_get(new, "images"));
    for (size_t i = 0; i < json_array_size(old); i++) {
        char what[80];
        int seed = baseline_seed(old_column, i);
        const json_t *value = NULL;
        for (size_t k = 0; k < json_array_size(json_object_get(new, "values")) && !value; k++)
            if (baseline_seed(new, k) == seed) value = json_array_get(json_object_get(new, "values"), k);
        snprintf(what, sizeof what, "%.40s, seed %d", column->name, seed);
        baseline_compare_value(state, network, what, column->kind, images, json_array_get(old, i), value);
    }
}

/* Whether a column's values are held against the baseline's: numbers that bench printed are a clock's. */
static bool baseline_compares(const repro_table *table, repro_scale scale, int column) {
    repro_kind kind = table->columns[column].kind;
    const repro_command *command = repro_command_for(table, scale, column);
    return kind > REPRO_SPEED && (kind != REPRO_NUMBER || !command || strncmp(command->text, "deit bench ", 11) != 0);
}

/* Values of columns that the table has no more. Only of an accuracy does a file say over how many images it is. */
static void baseline_compare_rest(baseline_state *state, const char *network, const json_t *measured,
                                  const json_t *desk) {
    static const char why[] = "the table has no such column";
    const char *name;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)measured, name, value) {
        char images[64];
        snprintf(images, sizeof images, "%.48s_images", name);
        if (repro_column_find(state->table, name) < 0 && json_is_number(value) && json_object_get(measured, images))
            baseline_gone(state, network, name, json_number_value(value), why);
    }
    json_object_foreach((json_t *)(uintptr_t)desk, name, value) {
        const json_t *values = json_object_get(value, "values");
        for (size_t i = 0; repro_column_find(state->table, name) < 0 && i < json_array_size(values); i++)
            baseline_gone(state, network, name, json_number_value(json_array_get(values, i)), why);
    }
}

/* now: NULL where the table has no such row. */
static void baseline_compare_row(baseline_state *state, const char *network, const json_t *before, const json_t *now) {
    const repro_table *table = state->table;
    const json_t *old = json_object_get(before, "measured"), *new = json_object_get(now, "measured"),
                 *old_desk = json_object_get(before, "desk"), *new_desk = json_object_get(now, "desk");
    state->lack = now ? "not measured now" : "the table has no such row";
    for (int c = 0; c < table->n_columns; c++) {
        const repro_column *column = &table->columns[c];
        if (column->kind == REPRO_SPEED) baseline_compare_speed(state, network, old, new);
        if (baseline_compares(table, REPRO_PAPER, c))
            baseline_compare_value(state, network, column->name, column->kind, -1, json_object_get(old, column->name),
                                   json_object_get(new, column->name));
        if (baseline_compares(table, REPRO_DESK, c)) baseline_compare_desk(state, network, column, old_desk, new_desk);
    }
    baseline_compare_rest(state, network, old, old_desk);
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
    static const char *const names[] = {"isa", "precision", "cpu", "threads"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *old = json_object_get(before, names[i]), *new = json_object_get(now, names[i]);
        if (!old || !new || json_equal(old, new)) continue;
        base_text_printf(out, "speeds are not compared: they are of another %s%s\n",
                         strcmp(names[i], "threads") ? "" : "number of ", names[i]);
        return false;
    }
    return true;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* Where in a file something else stands than is expected. */
typedef struct {
    const char *path, *table, *network;
} baseline_place;

static base_status baseline_wrong(const baseline_place *place, const char *where, const char *key, const char *expected,
                                  const json_t *found) {
    char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    base_status status = base_fail(
        "%s: row '%s', %s%s%s: expected %s, found %.60s; 'deit repro %s --json' writes such a file", place->path,
        place->network, where, *where && *key ? "." : "", key, expected, text ? text : "nothing", place->table);
    free(text);
    return status;
}

static base_status baseline_check_number(const baseline_place *place, const json_t *measured, const char *key) {
    const json_t *value = json_object_get(measured, key);
    return !value || json_is_null(value) || json_is_number(value)
               ? BASE_OK
               : baseline_wrong(place, "measured", key, "a number or null", value);
}

static base_status baseline_check_measured(const baseline_place *place, const repro_table *table,
                                           const json_t *measured) {
    static const char *const shares[] = {"percent_of_peak", "percent_of_peak_min", "percent_of_peak_max"};
    if (!json_is_object(measured)) return baseline_wrong(place, "measured", "", "an object", measured);
    for (int i = 0; i < 3; i++) BASE_TRY(baseline_check_number(place, measured, shares[i]));
    for (int c = 0; c < table->n_columns; c++)
        if (table->columns[c].kind >= REPRO_SPEED)
            BASE_TRY(baseline_check_number(place, measured, table->columns[c].name));
    return BASE_OK;
}

static base_status baseline_check_desk(const baseline_place *place, const json_t *desk) {
    const char *name;
    const json_t *column;
    if (desk && !json_is_object(desk)) return baseline_wrong(place, "desk", "", "an object", desk);
    json_object_foreach((json_t *)(uintptr_t)desk, name, column) {
        const json_t *values = json_object_get(column, "values");
        bool good = json_is_array(values);
        const json_t *seeds = json_object_get(column, "seeds"); /* older files have none: the place is the seed */
        for (size_t i = 0; i < json_array_size(values); i++) good &= json_is_number(json_array_get(values, i));
        if (!good) return baseline_wrong(place, "desk", name, "an object with numbers in 'values'", column);
        good = !seeds || (json_is_array(seeds) && json_array_size(seeds) == json_array_size(values));
        for (size_t i = 0; i < json_array_size(seeds); i++) good &= json_is_integer(json_array_get(seeds, i));
        if (!good) return baseline_wrong(place, "desk", name, "a seed in 'seeds' for each of 'values'", column);
    }
    return BASE_OK;
}

/* What is not as it was written would only lower the number of values that are compared. */
static base_status baseline_check(const repro_table *table, const json_t *rows, const char *path) {
    const char *key = table->columns[0].name;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        char number[32];
        snprintf(number, sizeof number, "%zu", i + 1);
        baseline_place place = {path, table->name, number};
        const json_t *label = json_object_get(row, key);
        if (!json_is_string(label)) return baseline_wrong(&place, "", key, "a row's name", label ? label : row);
        place.network = json_string_value(label);
        if (baseline_find(rows, key, place.network) != row)
            return baseline_wrong(&place, "", key, "a name that no row before has", label);
        BASE_TRY(baseline_check_measured(&place, table, json_object_get(row, "measured")));
        BASE_TRY(baseline_check_desk(&place, json_object_get(row, "desk")));
    }
    return BASE_OK;
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
        base_status status = baseline_check(table, json_object_get(o, "rows"), path);
        if (status)
            json_decref(o);
        else
            *baseline = o;
        return status;
    }
    const char *rowless = name && !strcmp(name, table->name) ? " without rows" : "";
    base_status status = o ? base_fail("%s: expected what 'deit repro %s --json' printed, found %s%s", path,
                                       table->name, name ? name : "other JSON", rowless)
                           : base_fail("%s: expected what 'deit repro %s --json' printed, found no JSON: line %d: %s",
                                       path, table->name, error.line, error.text);
    json_decref(o);
    return status;
}

static bool baseline_has_row(const repro_table *table, const char *label) {
    for (int i = 0; i < table->n; i++)
        if (!strcmp(table->rows[i].text[0], label)) return true;
    return false;
}

/* How many values of a row a baseline has none for; before: NULL where it has no such row. */
static int baseline_without(const repro_table *table, const json_t *before, const json_t *now) {
    const json_t *old = json_object_get(before, "measured"), *new = json_object_get(now, "measured"),
                 *old_desk = json_object_get(before, "desk"), *new_desk = json_object_get(now, "desk");
    int n = 0;
    for (int c = 0; c < table->n_columns; c++) {
        const char *name = table->columns[c].name;
        if (table->columns[c].kind == REPRO_SPEED)
            n += baseline_speed(new).median > 0 && !(baseline_speed(old).median > 0);
        if (baseline_compares(table, REPRO_PAPER, c))
            n += json_is_number(json_object_get(new, name)) && !json_is_number(json_object_get(old, name));
        size_t had = json_array_size(json_object_get(json_object_get(old_desk, name), "values")),
               has = json_array_size(json_object_get(json_object_get(new_desk, name), "values"));
        if (baseline_compares(table, REPRO_DESK, c) && has > had) n += (int)(has - had);
    }
    return n;
}

DEIT_INTERNAL base_status repro_compare(const repro_table *table, const json_t *now, const json_t *baseline,
                                        const char *path, base_text *out) {
    baseline_state state = {.table = table, .out = out};
    base_text_printf(out, "\nAgainst %s\n", path);
    const json_t *then = json_object_get(baseline, "conditions"), *today = json_object_get(now, "conditions");
    baseline_conditions(then, today, out);
    state.speeds = baseline_speeds_compare(then, today, out);
    const json_t *ours = json_object_get(now, "rows"), *theirs = json_object_get(baseline, "rows");
    const char *key = table->columns[0].name;
    for (size_t i = 0; i < json_array_size(theirs); i++) {
        const json_t *before = json_array_get(theirs, i);
        const char *network = json_string_value(json_object_get(before, key));
        const json_t *row = baseline_find(ours, key, network);
        if (row || !baseline_has_row(table, network)) baseline_compare_row(&state, network, before, row); /* --only */
    }
    base_text_printf(out, "%d values compared, %d moved further than the tolerance", state.compared, state.moved);
    if (state.gone) base_text_printf(out, "; %d of the baseline were not measured now", state.gone);
    int without = 0;
    for (size_t i = 0; i < json_array_size(ours); i++) {
        const json_t *row = json_array_get(ours, i);
        without +=
            baseline_without(table, baseline_find(theirs, key, json_string_value(json_object_get(row, key))), row);
    }
    if (without) base_text_printf(out, "; of %d measured now it has no value", without);
    base_text_printf(out, "\n");
    if (!state.compared && !state.gone) return base_fail("%s: has no measured value in common with this run", path);
    if (state.moved)
        return base_fail_as(BASE_TOLERANCE, "%d of %d values moved further than the tolerance from %s", state.moved,
                            state.compared, path);
    if (state.lost)
        return base_fail_as(BASE_TOLERANCE, "%d value%s of %s %s not measured now", state.lost,
                            state.lost == 1 ? "" : "s", path, state.lost == 1 ? "was" : "were");
    return BASE_OK;
}
