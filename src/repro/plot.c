/* plot: a report's rows as points, in SVG without scripts: one panel for what is published, one for what is measured
 * with the paper's networks, one at desk scale. Series differ in colour and in shape; every point is named. */
#include "repro/internal.h"

#include <math.h>
#include <string.h>

enum {
    PLOT_WIDTH = 440,
    PLOT_HEIGHT = 430,
    PLOT_LEFT = 58,
    PLOT_RIGHT = 12,
    PLOT_TOP = 66,
    PLOT_BOTTOM = 46,
    PLOT_SERIES = 6,
    PLOT_TEXT = 12, /* size of the names */
};

static const char plot_style[] =
    "svg text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1b1f24}"
    "svg .soft{fill:#57606a}svg .title{font-weight:600;font-size:14px}svg .axis{stroke:#57606a;fill:none}"
    "svg .rule{stroke:#d5dae0;fill:none}svg .join{fill:none;stroke-width:1.5;opacity:.55}svg "
    ".bar{stroke-width:1.2;opacity:.8}svg .lead{stroke:"
    "#57606a;stroke-width:.7}svg .ground{fill:#fff}\n"
    ".s0{fill:#1f5fbf;stroke:#1f5fbf}.s1{fill:#b35900;stroke:#b35900}.s2{fill:#1a7f37;stroke:#1a7f37}"
    ".s3{fill:#8250df;stroke:#8250df}.s4{fill:#b42318;stroke:#b42318}.s5{fill:#57606a;stroke:#57606a}\n"
    "@media (prefers-color-scheme:dark){svg text{fill:#e6e9ed}svg .soft{fill:#9aa4af}svg .axis{stroke:#9aa4af}"
    "svg .rule{stroke:#313943}svg .lead{stroke:#9aa4af}svg .ground{fill:#0f1318}"
    ".s0{fill:#79b0ff;stroke:#79b0ff}.s1{fill:#f2a65a;stroke:#f2a65a}.s2{fill:#5fd07c;stroke:#5fd07c}"
    ".s3{fill:#c9a6ff;stroke:#c9a6ff}.s4{fill:#ff8a7a;stroke:#ff8a7a}.s5{fill:#aab4bf;stroke:#aab4bf}}\n";

DEIT_INTERNAL const char *repro_plot_style(void) {
    return plot_style;
}

/* ---- Points ------------------------------------------------------------------------------------------------------ */

typedef struct {
    double x, y;   /* in the columns' units */
    double half;   /* of y's 95% interval; 0: none is known */
    double px, py; /* in the panel */
    int series;
    const char *name;
} plot_point;

typedef struct {
    const repro_report *report;
    const repro_plot *plot;
    char title[160];
    int n, n_series;
    plot_point point[REPRO_MAX_ROWS];
    const char *series[PLOT_SERIES];
    double x0, x1, y0, y1; /* the axes' ends; of log x: logarithms */
} plot_panel;

static int plot_series(plot_panel *panel, const repro_row *row) {
    const char *name = panel->plot->series < 0 ? "" : row->text[panel->plot->series];
    for (int i = 0; i < panel->n_series; i++)
        if (!strcmp(panel->series[i], name)) return i;
    if (panel->n_series == PLOT_SERIES) return PLOT_SERIES - 1;
    panel->series[panel->n_series] = name;
    return panel->n_series++;
}

static bool plot_has_series(const plot_panel *panel, int series) {
    for (int i = 0; i < panel->n; i++)
        if (panel->point[i].series == series) return true;
    return false;
}

/* A row's coordinate: measured where it is, else the number that stands in the file. */
static double plot_value(const repro_result *r, int scale, int column, bool *measured) {
    double value = scale < 0 ? NAN : r->cell[scale][column].value;
    *measured |= !isnan(value);
    return isnan(value) ? r->row->published[column] : value;
}

/* Whether a point belongs to a panel: one of its coordinates was measured; at desk scale both, where they can be. A
 * speed that was published is of another machine: it does not stand among those of this one. */
static bool plot_belongs(const repro_table *table, const repro_plot *plot, int scale, bool x, bool y) {
    repro_kind kind = table->columns[plot->x].kind;
    if (scale == REPRO_DESK) return y && (x || kind < REPRO_SPEED);
    return scale < 0 || (kind == REPRO_SPEED ? x : x || y);
}

static double plot_half(const repro_report *report, const repro_result *r, int scale, int column) {
    const repro_cell *cell = scale < 0 ? NULL : &r->cell[scale][column];
    bool ratio = report->table->columns[column].kind == REPRO_SPEED; /* whose interval is one */
    double half =
        cell && cell->n && cell->origins && !ratio ? repro_interval(report, (repro_scale)scale, column, cell) : NAN;
    return isnan(half) ? 0 : half;
}

/* The points of a scale, or (-1) as published. False: there are none. */
static bool plot_gather(plot_panel *panel, const repro_report *report, const repro_plot *plot, int scale) {
    *panel = (plot_panel){.report = report, .plot = plot};
    bool all_y = true, no_y = true, bars = false;
    for (int i = 0; i < report->n; i++) plot_series(panel, report->rows[i].row); /* alike in all panels */
    for (int i = 0; i < report->n; i++) {
        const repro_result *r = &report->rows[i];
        bool x_measured = false, y_measured = false;
        double x = plot_value(r, scale, plot->x, &x_measured), y = plot_value(r, scale, plot->y, &y_measured);
        if (isnan(x) || isnan(y) || (plot->log && x <= 0)) continue;
        if (!plot_belongs(report->table, plot, scale, x_measured, y_measured)) continue;
        double half = plot_half(report, r, scale, plot->y);
        all_y &= y_measured, no_y &= !y_measured, bars |= half > 0;
        panel->point[panel->n++] = (plot_point){.x = x,
                                                .y = y,
                                                .half = half,
                                                .series = plot_series(panel, r->row),
                                                .name = r->row->text[plot->names < 0 ? 0 : plot->names]};
    }
    char here[128];
    snprintf(here, sizeof here,
             all_y  ? "Measured here"
             : no_y ? "Measured here (%.80s as published)"
                    : "Measured here (%.80s partly as published)",
             report->table->columns[plot->y].title);
    snprintf(panel->title, sizeof panel->title, "%s%s",
             scale < 0             ? "As published"
             : scale == REPRO_DESK ? "Small networks"
                                   : here,
             bars ? "; bars: 95% intervals" : "");
    return panel->n > 0;
}

/* ---- Axes -------------------------------------------------------------------------------------------------------- */

static double plot_along(const plot_panel *panel, double x) {
    double at = ((panel->plot->log ? log10(x) : x) - panel->x0) / (panel->x1 - panel->x0);
    return PLOT_LEFT + at * (PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT);
}
static double plot_up(const plot_panel *panel, double y) {
    double at = (y - panel->y0) / (panel->y1 - panel->y0);
    return PLOT_HEIGHT - PLOT_BOTTOM - at * (PLOT_HEIGHT - PLOT_TOP - PLOT_BOTTOM);
}

/* Room on both sides, and a range even where all points are at one place. */
static void plot_widen(double *low, double *high) {
    double room = *high > *low ? 0.09 * (*high - *low) : 0.5;
    *low -= room, *high += room;
}

static void plot_place(plot_panel *panel) {
    panel->x0 = panel->y0 = INFINITY, panel->x1 = panel->y1 = -INFINITY;
    for (int i = 0; i < panel->n; i++) {
        double x = panel->plot->log ? log10(panel->point[i].x) : panel->point[i].x, y = panel->point[i].y,
               half = panel->point[i].half;
        panel->x0 = fmin(panel->x0, x), panel->x1 = fmax(panel->x1, x);
        panel->y0 = fmin(panel->y0, y - half), panel->y1 = fmax(panel->y1, y + half);
    }
    plot_widen(&panel->x0, &panel->x1), plot_widen(&panel->y0, &panel->y1);
    for (int i = 0; i < panel->n; i++)
        panel->point[i].px = plot_along(panel, panel->point[i].x),
        panel->point[i].py = plot_up(panel, panel->point[i].y);
}

/* How many multiples of a step lie in a range, and the first. */
static int plot_multiples(double low, double high, double step, double *first) {
    *first = ceil(low / step) * step;
    return (int)floor((high - *first) / step + 1e-9) + 1;
}

static void plot_tick_x(const plot_panel *panel, base_text *out, double x) {
    double at = plot_along(panel, x);
    base_text_printf(out,
                     "<path class=\"rule\" d=\"M%.1f %dV%d\"/><text class=\"soft\" x=\"%.1f\" y=\"%d\" "
                     "text-anchor=\"middle\">%g</text>\n",
                     at, PLOT_TOP, PLOT_HEIGHT - PLOT_BOTTOM, at, PLOT_HEIGHT - PLOT_BOTTOM + 16, x);
}

static void plot_ticks_x(const plot_panel *panel, base_text *out) {
    bool log = panel->plot->log && panel->x1 - panel->x0 > 1; /* of less than a decade 1, 2, 5 are too few */
    if (!log) {
        double x0 = panel->plot->log ? pow(10, panel->x0) : panel->x0,
               x1 = panel->plot->log ? pow(10, panel->x1) : panel->x1, step = base_nice_step(x1 - x0, 5), first;
        int n = plot_multiples(x0, x1, step, &first);
        for (int i = 0; i < n; i++) plot_tick_x(panel, out, first + i * step);
        return;
    }
    static const double steps[] = {1, 2, 5};
    for (int decade = (int)floor(panel->x0); decade <= (int)panel->x1 + 1; decade++)
        for (int k = 0; k < 3; k++) {
            double x = steps[k] * pow(10, decade), at = log10(x);
            if (at >= panel->x0 && at <= panel->x1) plot_tick_x(panel, out, x);
        }
}

static void plot_axes(const plot_panel *panel, base_text *out) {
    const repro_column *columns = panel->report->table->columns;
    plot_ticks_x(panel, out);
    double step = base_nice_step(panel->y1 - panel->y0, 5), first;
    int n = plot_multiples(panel->y0, panel->y1, step, &first);
    for (int i = 0; i < n; i++) {
        double y = first + i * step, at = plot_up(panel, y);
        base_text_printf(out,
                         "<path class=\"rule\" d=\"M%d %.1fH%d\"/><text class=\"soft\" x=\"%d\" y=\"%.1f\" "
                         "text-anchor=\"end\">%g</text>\n",
                         PLOT_LEFT, at, PLOT_WIDTH - PLOT_RIGHT, PLOT_LEFT - 5, at + 4, fabs(y) < step / 2 ? 0 : y);
    }
    base_text_printf(out, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n", PLOT_LEFT, PLOT_TOP, PLOT_HEIGHT - PLOT_BOTTOM,
                     PLOT_WIDTH - PLOT_RIGHT);
    base_text_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (PLOT_WIDTH + PLOT_LEFT) / 2,
                     PLOT_HEIGHT - 10);
    base_text_html(out, columns[panel->plot->x].title, SIZE_MAX);
    base_text_printf(out, "%s</text>\n<text transform=\"translate(13 %d) rotate(-90)\" text-anchor=\"middle\">",
                     panel->plot->log ? " (logarithmic)" : "", (PLOT_HEIGHT + PLOT_TOP - PLOT_BOTTOM) / 2);
    base_text_html(out, columns[panel->plot->y].title, SIZE_MAX);
    base_text_printf(out, "%s</text>\n", columns[panel->plot->y].kind == REPRO_ACCURACY ? ", %" : "");
}

/* ---- Marks and the legend ---------------------------------------------------------------------------------------- */

static void plot_mark(base_text *out, int series, double x, double y) {
    static const char *const shapes[PLOT_SERIES] = {"m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
                                                    "m-4 -4h8v8h-8z",
                                                    "m0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
                                                    "m0 -5l5 9h-10z",
                                                    "m0 5l5 -9h-10z",
                                                    "m-5 -1.5h10v3h-10z"};
    base_text_printf(out, "<path class=\"s%d\" d=\"M%.1f %.1f%s\"/>\n", series, x, y, shapes[series]);
}

/* The 95% interval of y. */
static void plot_bar(const plot_panel *panel, const plot_point *p, base_text *out) {
    if (p->half > 0)
        base_text_printf(out, "<path class=\"bar s%d\" style=\"fill:none\" d=\"M%.1f %.1fh6m-3 0V%.1fm-3 0h6\"/>\n",
                         p->series, p->px - 3, plot_up(panel, p->y + p->half), plot_up(panel, p->y - p->half));
}

static double plot_text_width(const char *text) {
    return 0.58 * PLOT_TEXT * base_text_width(text);
}

static void plot_legend(const plot_panel *panel, base_text *out) {
    double x = PLOT_LEFT, y = 40;
    if (panel->plot->series < 0) return;
    for (int s = 0; s < panel->n_series; s++) {
        if (!plot_has_series(panel, s)) continue;
        double width = 14 + plot_text_width(panel->series[s]) + 14;
        if (x + width > PLOT_WIDTH && x > PLOT_LEFT) x = PLOT_LEFT, y += 16;
        plot_mark(out, s, x + 5, y - 4);
        base_text_printf(out, "<text x=\"%.1f\" y=\"%.1f\">", x + 14, y);
        base_text_html(out, panel->series[s], SIZE_MAX);
        base_text_printf(out, "</text>\n");
        x += width;
    }
}

static void plot_joins(const plot_panel *panel, base_text *out) {
    for (int s = 0; s < panel->n_series && panel->plot->series >= 0; s++) {
        int n = 0;
        for (int i = 0; i < panel->n; i++) {
            if (panel->point[i].series != s) continue;
            if (!n++) base_text_printf(out, "<path class=\"join s%d\" style=\"fill:none\" d=\"", s);
            base_text_printf(out, "%s%.1f %.1f", n > 1 ? "L" : "M", panel->point[i].px, panel->point[i].py);
        }
        if (n) base_text_printf(out, "\"/>\n");
    }
}

/* ---- Names: where they hide the least ---------------------------------------------------------------------------- */

typedef struct {
    double x, y, width, height; /* x, y: the upper left */
} plot_box;

static double plot_overlap(const plot_box *a, const plot_box *b) {
    double w = fmin(a->x + a->width, b->x + b->width) - fmax(a->x, b->x),
           h = fmin(a->y + a->height, b->y + b->height) - fmax(a->y, b->y);
    return w > 0 && h > 0 ? w * h : 0;
}

/* How bad a name's place is: what it hides, what leaves the panel, how far it is from its point. */
static double plot_badness(const plot_panel *panel, const plot_box *box, const plot_box *placed, int n, double far) {
    double bad = far;
    for (int i = 0; i < n; i++) bad += 6 * plot_overlap(box, &placed[i]);
    for (int i = 0; i < panel->n; i++) {
        const plot_point *p = &panel->point[i];
        plot_box mark = {p->px - 6, p->py - 6, 12, 12};
        bad += 4 * plot_overlap(box, &mark);
        for (int k = i + 1; k < panel->n; k++) { /* the line to the next point of the series */
            if (panel->point[k].series != p->series) continue;
            for (int t = 1; t < 20; t++) {
                plot_box dot = {p->px + t / 20.0 * (panel->point[k].px - p->px) - 1,
                                p->py + t / 20.0 * (panel->point[k].py - p->py) - 1, 2, 2};
                bad += 1.5 * plot_overlap(box, &dot);
            }
            break;
        }
    }
    double left = PLOT_LEFT - box->x, right = box->x + box->width - PLOT_WIDTH + 2, above = PLOT_TOP - box->y,
           below = box->y + box->height - (PLOT_HEIGHT - PLOT_BOTTOM);
    return bad + 100 * (fmax(left, 0) + fmax(right, 0) + fmax(above, 0) + fmax(below, 0));
}

static void plot_name(const plot_panel *panel, const plot_point *p, plot_box *placed, int n, base_text *out) {
    double width = plot_text_width(p->name), best = INFINITY;
    plot_box at = {0};
    for (int distance = 9; distance <= 45; distance += 9)
        for (int direction = 0; direction < 16; direction++) {
            double angle = direction * M_PI / 8, dx = cos(angle), dy = sin(angle);
            plot_box box = {p->px + distance * dx - width * (1 - dx) / 2,
                            p->py + distance * dy - PLOT_TEXT * (1 - dy) / 2 - 1, width, PLOT_TEXT + 1};
            double bad = plot_badness(panel, &box, placed, n, 1.2 * distance + (direction % 4 ? 2 : 0));
            if (bad < best) best = bad, at = box;
        }
    placed[n] = at;
    double cx = fmax(at.x, fmin(p->px, at.x + at.width)), cy = fmax(at.y, fmin(p->py, at.y + at.height));
    if (hypot(cx - p->px, cy - p->py) > 14)
        base_text_printf(out, "<path class=\"lead\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", p->px, p->py, cx, cy);
    base_text_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", at.x + width / 2,
                     at.y + PLOT_TEXT - 1.5);
    base_text_html(out, p->name, SIZE_MAX);
    base_text_printf(out, "</text>\n");
}

/* ---- Panels ------------------------------------------------------------------------------------------------------ */

static void plot_draw(plot_panel *panel, base_text *out) {
    plot_box placed[REPRO_MAX_ROWS];
    plot_place(panel);
    base_text_printf(out, "<text class=\"title\" x=\"%d\" y=\"18\">", PLOT_LEFT);
    base_text_html(out, panel->title, SIZE_MAX);
    base_text_printf(out, "</text>\n");
    plot_legend(panel, out);
    plot_axes(panel, out);
    plot_joins(panel, out);
    for (int i = 0; i < panel->n; i++) plot_bar(panel, &panel->point[i], out);
    for (int i = 0; i < panel->n; i++) plot_mark(out, panel->point[i].series, panel->point[i].px, panel->point[i].py);
    for (int i = 0; i < panel->n; i++) plot_name(panel, &panel->point[i], placed, i, out);
}

/* The panels that have points: as published, then by scale. */
static int plot_panels(const repro_report *report, const repro_plot *plot, plot_panel panels[1 + REPRO_SCALES]) {
    int n = 0;
    for (int scale = -1; scale < REPRO_SCALES; scale++) n += plot_gather(&panels[n], report, plot, scale);
    return n;
}

DEIT_INTERNAL void repro_plot_page(const repro_report *report, const repro_plot *plot, base_text *out) {
    plot_panel panels[1 + REPRO_SCALES];
    int n = plot_panels(report, plot, panels);
    if (!n) return;
    base_text_printf(out, "<figure>\n");
    for (int i = 0; i < n; i++) {
        base_text_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", PLOT_WIDTH, PLOT_HEIGHT);
        base_text_html(out, report->table->title, SIZE_MAX);
        base_text_printf(out, ": ");
        base_text_html(out, panels[i].title, SIZE_MAX);
        base_text_printf(out, ", ");
        base_text_html(out, report->table->columns[plot->y].title, SIZE_MAX);
        base_text_printf(out, " by ");
        base_text_html(out, report->table->columns[plot->x].title, SIZE_MAX);
        base_text_printf(out, "\">\n");
        plot_draw(&panels[i], out);
        base_text_printf(out, "</svg>\n");
    }
    base_text_printf(out, "</figure>\n");
}

DEIT_INTERNAL void repro_write_svg(const repro_report *report, base_text *out) {
    const repro_table *table = report->table;
    plot_panel panels[1 + REPRO_SCALES];
    int wide = 1, high = 0;
    for (int i = 0; i < table->n_plots; i++) {
        int n = plot_panels(report, &table->plots[i], panels);
        wide = n > wide ? n : wide, high += n > 0;
    }
    int width = wide * PLOT_WIDTH, height = high * PLOT_HEIGHT;
    base_text_printf(out,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\">\n",
                     width, height, width, height);
    base_text_printf(out, "<style>\n%s</style>\n<title>", plot_style);
    base_text_html(out, table->title, SIZE_MAX);
    base_text_printf(out, "</title>\n<path class=\"ground\" d=\"M0 0H%dV%dH0z\"/>\n", width, height);
    for (int k = 0, line = 0; k < table->n_plots; k++) {
        int n = plot_panels(report, &table->plots[k], panels);
        for (int i = 0; i < n; i++) {
            base_text_printf(out, "<g transform=\"translate(%d %d)\">\n", i * PLOT_WIDTH, line * PLOT_HEIGHT);
            plot_draw(&panels[i], out);
            base_text_printf(out, "</g>\n");
        }
        line += n > 0;
    }
    base_text_printf(out, "</svg>\n");
}
