/* Curves of runs: one self-contained page, the charts as SVG. */
#include "train/internal.h"

#include <math.h>
#include <string.h>

enum {
    CURVES_WIDTH = 640,
    CURVES_HEIGHT = 300,
    CURVES_LEFT = 56,
    CURVES_BOTTOM = 28,
    CURVES_TOP = 12,
    CURVES_RIGHT = 12
};

static const char *const curves_colours[] = {"#1f6fb4", "#d9541e", "#2a8f3c", "#8e44ad",
                                             "#b8860b", "#c2185b", "#00838f", "#555555"};
enum { CURVES_COLOURS = sizeof curves_colours / sizeof *curves_colours };

static const char *curves_colour(int run) {
    return curves_colours[run % CURVES_COLOURS];
}

/* ---- A chart ----------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *title;
    const char *solid, *dashed; /* keys of the log; dashed may be NULL */
    bool zero;                  /* the axis begins at 0 */
    double x0, x1, y0, y1;      /* epochs, values */
} curves_chart;

static void curves_extend(curves_chart *chart, const train_log *logs, int n, const char *key) {
    for (int i = 0; key && i < n; i++) {
        const json_t *line;
        size_t k;
        json_array_foreach(logs[i].epochs, k, line) {
            const json_t *value = json_object_get(line, key);
            if (!json_is_number(value)) continue;
            double x = train_log_number(line, "epoch") + 1, y = json_number_value(value);
            chart->x0 = fmin(chart->x0, x), chart->x1 = fmax(chart->x1, x);
            chart->y0 = fmin(chart->y0, y), chart->y1 = fmax(chart->y1, y);
        }
    }
}

static double curves_x(const curves_chart *chart, double x) {
    return CURVES_LEFT + (x - chart->x0) / (chart->x1 - chart->x0) * (CURVES_WIDTH - CURVES_LEFT - CURVES_RIGHT);
}
static double curves_y(const curves_chart *chart, double y) {
    return CURVES_HEIGHT - CURVES_BOTTOM -
           (y - chart->y0) / (chart->y1 - chart->y0) * (CURVES_HEIGHT - CURVES_BOTTOM - CURVES_TOP);
}

static void curves_axes(const curves_chart *chart, base_text *text) {
    double dy = base_nice_step(chart->y1 - chart->y0, 5), dx = fmax(1, base_nice_step(chart->x1 - chart->x0, 8));
    double first_y = ceil(chart->y0 / dy) * dy, first_x = ceil(chart->x0 / dx) * dx;
    for (int k = 0; k <= (int)((chart->y1 - first_y) / dy + 1e-6); k++) {
        double y = first_y + k * dy, at = curves_y(chart, y);
        base_text_printf(text, "<line class=\"g\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", CURVES_LEFT,
                         CURVES_WIDTH - CURVES_RIGHT, at, at);
        base_text_printf(text, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n", CURVES_LEFT - 6, at + 4,
                         fabs(y) < dy * 1e-6 ? 0 : y);
    }
    for (int k = 0; k <= (int)((chart->x1 - first_x) / dx + 1e-6); k++)
        base_text_printf(text, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n",
                         curves_x(chart, first_x + k * dx), CURVES_HEIGHT - 10, first_x + k * dx);
}

/* A line through the epochs that have the key, with a point each that tells its value. */
static void curves_line(const curves_chart *chart, const train_log *log, int run, const char *key, bool dashed,
                        base_text *text) {
    const json_t *line;
    size_t k;
    base_text_printf(text, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s points=\"", curves_colour(run),
                     dashed ? " stroke-dasharray=\"5 4\"" : "");
    for (int pass = 0; pass < 2; pass++) {
        json_array_foreach(log->epochs, k, line) {
            const json_t *value = json_object_get(line, key);
            if (!json_is_number(value)) continue;
            double epoch = train_log_number(line, "epoch") + 1, y = json_number_value(value);
            if (pass) {
                base_text_printf(text, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>",
                                 curves_x(chart, epoch), curves_y(chart, y), curves_colour(run));
                base_text_html(text, log->name, SIZE_MAX);
                base_text_printf(text, ", epoch %.0f: %s %.6g</title></circle>\n", epoch, key, y);
            } else {
                base_text_printf(text, "%.1f,%.1f ", curves_x(chart, epoch), curves_y(chart, y));
            }
        }
        if (!pass) base_text_printf(text, "\"/>\n");
    }
}

static void curves_draw(curves_chart *chart, const train_log *logs, int n, base_text *text) {
    chart->x0 = chart->y0 = HUGE_VAL, chart->x1 = chart->y1 = -HUGE_VAL;
    curves_extend(chart, logs, n, chart->solid);
    curves_extend(chart, logs, n, chart->dashed);
    if (chart->x0 > chart->x1) return;
    if (chart->zero) chart->y0 = fmin(chart->y0, 0);
    if (chart->x0 == chart->x1) chart->x0 -= 0.5, chart->x1 += 0.5;
    double room = chart->y1 > chart->y0 ? 0.05 * (chart->y1 - chart->y0) : fmax(fabs(chart->y1) * 0.05, 1e-9);
    chart->y1 += room;
    if (!chart->zero) chart->y0 -= room;
    base_text_printf(text, "<figure><figcaption>%s</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\">\n",
                     chart->title, CURVES_WIDTH, CURVES_HEIGHT);
    curves_axes(chart, text);
    for (int i = 0; i < n; i++) {
        curves_line(chart, &logs[i], i, chart->solid, false, text);
        if (chart->dashed) curves_line(chart, &logs[i], i, chart->dashed, true, text);
    }
    base_text_printf(text, "</svg></figure>\n");
}

/* ---- The page ---------------------------------------------------------------------------------------------------- */

/* A cell of the table; empty where the line has no such number. */
static void curves_number(base_text *text, const json_t *line, const char *key, int digits) {
    double value = train_log_number(line, key);
    base_text_printf(text, "<td>");
    if (!isnan(value)) base_text_printf(text, "%.*f", digits, value);
}

static void curves_table(const train_log *logs, int n, base_text *text) {
    bool average = train_log_averaged(logs, n);
    base_text_printf(text,
                     "<table><tr><th>run<th>epochs<th>best top-1<th>at epoch<th>top-1<th>top-5%s<th>test loss"
                     "<th>train loss<th>images/s<th>time%s</tr>\n",
                     average ? "<th>average's top-1" : "", n > 1 ? "<th>options" : "");
    for (int i = 0; i < n; i++) {
        const json_t *best = train_log_best(&logs[i]),
                     *last = json_array_get(logs[i].epochs, json_array_size(logs[i].epochs) - 1);
        char time[32];
        base_text_printf(text, "<tr><td><i style=\"background:%s\"></i>", curves_colour(i));
        base_text_html(text, logs[i].name, SIZE_MAX);
        base_text_printf(text, "<td>%.0f", train_log_number(last, "epoch") + 1);
        curves_number(text, best, "test_acc1", 2);
        base_text_printf(text, "<td>%.0f", train_log_number(best, "epoch") + 1);
        curves_number(text, last, "test_acc1", 2);
        curves_number(text, last, "test_acc5", 2);
        if (average) curves_number(text, last, "test_ema_acc1", 2);
        curves_number(text, last, "test_loss", 4);
        curves_number(text, last, "train_loss", 4);
        curves_number(text, last, "images_per_s", 0);
        double seconds = train_log_number(last, "seconds");
        base_text_printf(text, "<td>%s", isnan(seconds) ? "" : train_time_text(seconds, time));
        base_text differences = {0};
        if (n > 1) train_log_differences(logs, n, i, &differences);
        if (n > 1) base_text_printf(text, "<td>");
        if (differences.data) base_text_html(text, differences.data, SIZE_MAX);
        base_text_free(&differences);
        base_text_printf(text, "</tr>\n");
    }
    base_text_printf(text, "</table>\n");
}

DEIT_INTERNAL void train_log_page(const train_log *logs, int n, base_text *text) {
    base_text_printf(
        text,
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>deit log</title>\n<style>\n"
        "body{font:15px sans-serif;margin:2em auto;max-width:1320px;padding:0 1em;color:#222;background:#fff}\n"
        "main{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0;flex:1 1 560px}figcaption{font-weight:bold}\n"
        "svg{width:100%%;height:auto}svg text{font-size:12px;fill:#666}.g{stroke:#ddd}\n"
        "table{border-collapse:collapse;margin-top:1em}td,th{text-align:left;padding:.3em .8em;border-bottom:1px solid "
        "#ddd}\ni{display:inline-block;width:.8em;height:.8em;margin-right:.5em}\n"
        "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}svg text{fill:#999}.g{stroke:#333}"
        "td,th{border-color:#333}}\n</style>\n<h1>deit log</h1>\n<main>\n");
    curves_chart charts[] = {
        {.title = train_log_averaged(logs, n) ? "Test top-1, %, and of the average of the weights (dashed)"
                                              : "Test top-1, %",
         .solid = "test_acc1",
         .dashed = train_log_averaged(logs, n) ? "test_ema_acc1" : NULL},
        {.title = "Loss: test, and in training (dashed)", .solid = "test_loss", .dashed = "train_loss"},
        {.title = "Test top-5, %", .solid = "test_acc5"},
        {.title = "Learning rate", .solid = "train_lr", .zero = true}};
    for (size_t i = 0; i < sizeof charts / sizeof *charts; i++) curves_draw(&charts[i], logs, n, text);
    base_text_printf(text, "</main>\n");
    curves_table(logs, n, text);
    base_text_printf(text, "</html>\n");
}
