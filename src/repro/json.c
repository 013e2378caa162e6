/* json: a report as JSON, for programs and for later comparison (baseline.c). */
#include "repro/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *json_of_text(const char *text) {
    return text ? json_string(text) : json_null();
}

static bool json_is_value(const repro_column *column) {
    return column->kind >= REPRO_SPEED;
}

static json_t *json_published(const repro_report *report, const repro_result *r) {
    json_t *o = json_object();
    for (int c = 0; c < report->table->n_columns; c++) {
        const repro_column *column = &report->table->columns[c];
        if (column->kind == REPRO_PARAMS) json_object_set_new(o, column->name, json_string(r->row->text[c]));
        if (json_is_value(column)) json_object_set_new(o, column->name, base_json_real(r->row->published[c]));
    }
    if (report->table->relative >= 0)
        json_object_set_new(o, "relative", base_json_real(repro_relative(report, r, true)));
    return o;
}

static void json_add_speed(json_t *o, const repro_report *report, const repro_result *r) {
    const repro_net *net = r->net && r->net->n ? r->net : NULL;
    if (report->table->relative >= 0)
        json_object_set_new(o, "relative", base_json_real(repro_relative(report, r, false)));
    json_object_set_new(o, "images_per_s_min", base_json_real(net ? net->images_per_s.min : NAN));
    json_object_set_new(o, "images_per_s_max", base_json_real(net ? net->images_per_s.max : NAN));
    json_object_set_new(o, "samples", json_integer(net ? net->n : 0));
    json_object_set_new(o, "samples_first_round", json_integer(net && net->rounds ? net->end[0] : 0));
    json_object_set_new(o, "samples_images_per_s", net ? base_json_reals(net->rate, net->n) : json_null());
    json_object_set_new(o, "samples_peak_gflops", net ? base_json_reals(net->peak, net->n) : json_null());
    json_object_set_new(o, "percent_of_peak", base_json_real(net ? net->percent_of_peak.median : NAN));
    json_object_set_new(o, "percent_of_peak_min", base_json_real(net ? net->percent_of_peak.min : NAN));
    json_object_set_new(o, "percent_of_peak_max", base_json_real(net ? net->percent_of_peak.max : NAN));
    json_object_set_new(o, "peak_gflops", base_json_real(net ? net->peak_gflops : NAN));
    json_object_set_new(o, "batch", net ? json_integer(net->batch) : json_null());
    json_object_set_new(o, "workers", net ? json_integer(net->workers) : json_null());
    json_object_set_new(o, "threads_per_worker", net ? json_integer(net->threads_per_worker) : json_null());
    json_object_set_new(o, "micro_batch", net ? json_integer(net->micro_batch) : json_null());
    json_object_set_new(o, "memory_bytes", net ? json_integer((json_int_t)net->memory) : json_null());
}

static json_t *json_measured(const repro_report *report, const repro_result *r) {
    json_t *o = json_object();
    for (int c = 0; c < report->table->n_columns; c++) {
        const repro_column *column = &report->table->columns[c];
        const repro_cell *cell = &r->cell[REPRO_PAPER][c];
        if (!repro_has_measured(report, REPRO_PAPER, c)) continue;
        json_object_set_new(o, column->name,
                            column->kind == REPRO_TEXT ? json_of_text(cell->text) : base_json_real(cell->value));
        if (column->kind == REPRO_SPEED) json_add_speed(o, report, r);
        if (column->kind != REPRO_ACCURACY) continue;
        char name[64];
        snprintf(name, sizeof name, "%.48s_images", column->name);
        json_object_set_new(o, name, isnan(cell->value) ? json_null() : json_integer(cell->images));
    }
    return o;
}

/* {"top1": {"mean": 88.1, "values": [88.0, 88.2], "seeds": [0, 1]}}; NULL where the table has nothing at desk scale. */
static json_t *json_desk(const repro_report *report, const repro_result *r) {
    json_t *o = NULL;
    for (int c = 0; c < report->table->n_columns; c++) {
        const repro_cell *cell = &r->cell[REPRO_DESK][c];
        if (!repro_has_measured(report, REPRO_DESK, c)) continue;
        if (!o) o = json_object();
        json_t *found = json_pack("{s:o, s:o, s:I}", "mean", base_json_real(cell->value), "values",
                                  base_json_reals(cell->values, cell->n), "images", (json_int_t)cell->images);
        json_t *seeds = json_array();
        for (int i = 0; cell->origins && i < cell->n; i++)
            json_array_append_new(seeds, json_integer(cell->origins[i].seed));
        json_object_set_new(found, "seeds", seeds);
        if (cell->half_range > 0) json_object_set_new(found, "half_range", json_real(cell->half_range));
        if (cell->kept) json_object_set_new(found, "kept", json_string(cell->kept));
        json_object_set_new(o, report->table->columns[c].name, found);
    }
    return o;
}

/* Where the values come from: {"top1": [{"seed": 0, "value": 88.1, "command": "./deit ...", ...}]}. */
static json_t *json_runs(const repro_report *report, const repro_result *r, repro_scale scale) {
    json_t *o = json_object();
    for (int c = 0; c < report->table->n_columns; c++) {
        const repro_cell *cell = &r->cell[scale][c];
        if (!cell->n || !cell->origins) continue;
        json_t *runs = json_array();
        for (int i = 0; i < cell->n; i++) {
            const repro_origin *from = &cell->origins[i];
            const json_t *made = from->conditions;
            json_array_append_new(
                runs, json_pack("{s:i, s:o, s:o, s:s?, s:b, s:f, s:O*, s:O*, s:O*}", "seed", from->seed, "value",
                                cell->text ? json_string(cell->text) : json_real(cell->values[i]), "command",
                                base_json_text(from->command), "record", from->kept ? from->id : NULL, "reused",
                                from->reused, "seconds", from->seconds, "date", json_object_get(made, "date"), "deit",
                                json_object_get(made, "deit"), "cpu", json_object_get(made, "cpu")));
        }
        json_object_set_new(o, report->table->columns[c].name, runs);
    }
    return o;
}

static json_t *json_reasons(const repro_report *report, const repro_result *r, repro_scale scale) {
    json_t *o = json_object();
    for (int c = 0; c < report->table->n_columns; c++) {
        const repro_cell *cell = &r->cell[scale][c];
        char text[REPRO_LACK];
        if ((isnan(cell->value) || cell->lost) && cell->why)
            json_object_set_new(o, report->table->columns[c].name, base_json_text(repro_lack(cell, text)));
    }
    return o;
}

static json_t *json_row(const repro_report *report, const repro_result *r) {
    json_t *o = json_object(), *desk = json_desk(report, r);
    json_object_set_new(o, report->table->columns[0].name, json_string(r->row->text[0]));
    if (r->model) {
        json_object_set_new(o, "model", json_string(r->model));
        json_object_set_new(o, "in_this_version", json_boolean(r->known));
        json_object_set_new(o, "params", r->known ? json_integer(r->params) : json_null());
        json_object_set_new(o, "image", r->known ? json_integer(r->image) : json_null());
        json_object_set_new(o, "gflop_per_image", base_json_real(r->known ? r->gflop : NAN));
    }
    for (int c = 1; c < report->table->n_columns; c++)
        if (report->table->columns[c].kind == REPRO_TEXT && !json_object_get(o, report->table->columns[c].name))
            json_object_set_new(o, report->table->columns[c].name, json_string(r->row->text[c]));
    json_object_set_new(o, "published", json_published(report, r));
    json_object_set_new(o, "measured", json_measured(report, r));
    if (r->model) {
        json_object_set_new(o, "weights", json_of_text(r->weights ? r->weights->file : NULL));
        json_object_set_new(o, "weights_trained_as_row", r->weights ? json_boolean(r->same) : json_null());
        json_object_set_new(o, "weights_as_manifest",
                            r->weights && r->weights_sha256
                                ? json_boolean(repro_weights_match(r->weights, r->weights_sha256))
                                : json_null());
        json_object_set_new(o, "weights_sha256", json_of_text(r->weights_sha256));
    }
    json_object_set_new(o, "runs", json_runs(report, r, REPRO_PAPER));
    json_object_set_new(o, "not_measured", json_reasons(report, r, REPRO_PAPER));
    if (desk) {
        json_object_set_new(o, "desk", desk);
        json_object_set_new(o, "runs_desk", json_runs(report, r, REPRO_DESK));
        json_object_set_new(o, "not_measured_desk", json_reasons(report, r, REPRO_DESK));
    }
    return o;
}

static json_t *json_claim(const repro_report *report, const repro_claim *claim) {
    const repro_judgement j = repro_judge(report, claim);
    return json_pack("{s:s, s:s, s:s, s:s*, s:s, s:s, s:s, s:o, s:o, s:o, s:[i, i], s:b, s:b, s:s*}", "column",
                     report->table->columns[claim->term[0].column].name, "scale", repro_scale_name(claim->scale),
                     "claim", claim->text, "words", claim->words, "verdict", repro_verdict_name(j.verdict), "greater",
                     report->table->rows[j.greater.row].text[0], "less", report->table->rows[j.less.row].text[0],
                     "difference", base_json_real(j.verdict ? j.difference : NAN), "low", base_json_real(j.low), "high",
                     base_json_real(j.high), "values", j.n_greater, j.n_less, "rounds", j.rounds, "paired", j.paired,
                     "not_measured", j.verdict ? NULL : j.missing);
}

static json_t *json_trained(const repro_report *report) {
    json_t *o = json_array();
    for (int i = 0; i < report->n_trained; i++) {
        const repro_trained *run = &report->trained[i];
        json_array_append_new(o,
                              json_pack("{s:s, s:i, s:i, s:f, s:o, s:s, s:s}", "training", run->row, "seed", run->seed,
                                        "threads", run->threads, "seconds", run->seconds, "cpu_seconds",
                                        base_json_real(run->cpu_seconds), "command", run->command, "record", run->id));
    }
    return o;
}

static json_t *json_report(const repro_report *report) {
    json_t *o = json_object(), *rows = json_array(), *claims = json_array(), *notes = json_array();
    json_object_set_new(o, "table", json_string(report->table->name));
    json_object_set_new(o, "title", json_string(report->table->title));
    for (int i = 0; i < report->n; i++) json_array_append_new(rows, json_row(report, &report->rows[i]));
    json_object_set_new(o, "rows", rows);
    for (int i = 0; i < report->table->n_claims; i++)
        json_array_append_new(claims, json_claim(report, &report->table->claims[i]));
    json_object_set_new(o, "claims", claims);
    for (int i = 0; i < report->table->n_notes; i++)
        if (repro_note_shown(report, &report->table->notes[i]))
            json_array_append_new(notes, base_json_text(report->table->notes[i].text));
    json_object_set_new(o, "notes", notes);
    json_object_set_new(o, "trainings", json_trained(report));
    return o;
}

/* What is of the run, and not of one of its tables. */
static void json_run(json_t *o, const repro_book *book) {
    json_t *todo = json_array();
    for (int i = 0; i < book->n_todo; i++)
        json_array_append_new(todo, json_pack("{s:s, s:o}", "network", book->todo[i].label, "command",
                                              base_json_text(book->todo[i].command)));
    json_object_set(o, "conditions", book->conditions);
    json_object_set_new(o, "commands_for_the_rest", todo);
    json_object_set_new(o, "cells", json_integer(book->cells));
    json_object_set_new(o, "cells_reused", json_integer(book->reused));
    json_object_set_new(o, "cells_failed", json_integer(book->failed));
    json_object_set_new(o, "seconds", json_real(book->seconds));
}

DEIT_INTERNAL json_t *repro_report_json(const repro_report *report) {
    json_t *o = json_report(report);
    json_run(o, report->book);
    return o;
}

DEIT_INTERNAL base_status repro_write_json(const repro_book *book, base_text *out) {
    json_t *o;
    if (book->n == 1) {
        o = repro_report_json(book->report[0]);
    } else {
        json_t *tables = json_array();
        for (int i = 0; i < book->n; i++) json_array_append_new(tables, json_report(book->report[i]));
        o = json_pack("{s:O?, s:o}", "conditions", book->conditions, "tables", tables);
        json_run(o, book);
    }
    char *text = o ? json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(o);
    if (!text) return base_fail("out of memory");
    base_text_printf(out, "%s\n", text);
    free(text);
    return BASE_OK;
}
