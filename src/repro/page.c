/* page: one text in three dresses - for a terminal, as Markdown, as a web page that needs nothing beside it. */
#include "repro/internal.h"

#include <string.h>

/* signs: those that would mean something there, beside what begins a tag or an entity. */
static void page_markdown(base_text *out, const char *text, size_t size, const char *signs) {
    for (size_t i = 0; i < size && text[i]; i++)
        base_text_printf(out,
                         text[i] == '<'           ? "&lt;"
                         : text[i] == '&'         ? "&amp;"
                         : strchr(signs, text[i]) ? "\\%c"
                                                  : "%c",
                         text[i]);
}

static void page_part(repro_page *page, const char *text, size_t size) {
    if (page->dress == REPRO_AS_HTML)
        base_text_html(page->out, text, size);
    else if (page->dress == REPRO_AS_MARKDOWN)
        page_markdown(page->out, text, size, "");
    else
        base_text_add(page->out, text, size);
}

/* In a fence of Markdown all signs stand for themselves. */
static void page_code(repro_page *page, const char *text, size_t size) {
    if (page->dress == REPRO_AS_HTML)
        base_text_html(page->out, text, size);
    else
        base_text_add(page->out, text, size);
}

static void page_text(repro_page *page, const char *text) {
    page_part(page, text, strlen(text));
}

/* ---- The page itself --------------------------------------------------------------------------------------------- */

/* Colours: a pair for light and for dark; s1 to s6 are series of plots, told apart by shape too. */
static const char page_style[] =
    ":root{color-scheme:light dark;--ground:#fff;--ink:#1b1f24;--soft:#57606a;--line:#d5dae0;--band:#f4f6f8;"
    "--good:#1a7f37;--bad:#b42318;--s1:#1f5fbf;--s2:#b35900;--s3:#1a7f37;--s4:#8250df;--s5:#b42318;--s6:#57606a}\n"
    "@media (prefers-color-scheme:dark){:root{--ground:#0f1318;--ink:#e6e9ed;--soft:#9aa4af;--line:#313943;"
    "--band:#171d24;--good:#4fc46a;--bad:#ff8a7a;--s1:#79b0ff;--s2:#f2a65a;--s3:#5fd07c;--s4:#c9a6ff;--s5:#ff8a7a;"
    "--s6:#aab4bf}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;padding:1rem;max-width:80rem;background:var(--ground);"
    "color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}\n"
    "h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0 1rem}h2{font-size:1.25rem;line-height:1.3;"
    "margin:2.5rem 0 .75rem}h3{font-size:1rem;"
    "margin:1.5rem 0 .5rem}\n"
    "nav{display:flex;flex-wrap:wrap;gap:.25rem 1rem}a{color:var(--s1)}\n"
    ".wide{overflow-x:auto;margin:1rem 0;border:1px solid var(--line);border-radius:6px}\n"
    "table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums;width:100%}\n"
    "th,td{padding:.3rem .6rem;text-align:right;white-space:nowrap}th{color:var(--soft);font-weight:600}\n"
    "td.left,th.left{text-align:left}thead tr:first-child th{text-align:center}thead tr:first-child th.left{text-align:"
    "left}\n"
    "tbody th{color:var(--ink);font-weight:400}tbody tr:nth-child(odd)>*{background:var(--band)}tbody tr "
    "td{background:var(--ground)}\n"
    "td:first-child,th:first-child{position:sticky;left:0;background:var(--ground)}"
    "th.group,td.group{border-left:1px solid var(--line)}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem .75rem;margin:.5rem 0;font-size:.9375rem}"
    "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
    "dt.good{color:var(--good);font-weight:600}dt.bad{color:var(--bad);font-weight:600}\n"
    "summary{cursor:pointer;color:var(--soft)}pre{overflow-x:auto;padding:.75rem;background:var(--band);border:1px "
    "solid var(--line);border-radius:6px;"
    "font-size:.8125rem}\n"
    "figure{margin:1rem 0;display:flex;flex-wrap:wrap;gap:1rem}svg{display:block;flex:1 1 20rem;max-width:36rem;height:"
    "auto;min-width:0}\n"
    "@media (max-width:40rem){body{padding:.75rem}dl{grid-template-columns:1fr;gap:0}dd{margin:0 0 .4rem}"
    "th,td{padding:.25rem "
    ".4rem}td:first-child,th:first-child{min-width:6rem;max-width:9rem;white-space:normal;overflow-wrap:anywhere}}\n";

DEIT_INTERNAL void repro_page_begin(repro_page *page, const char *title) {
    if (page->dress != REPRO_AS_HTML) return;
    base_text_printf(page->out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                                "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    page_text(page, title);
    base_text_printf(page->out, "</title>\n<style>\n%s%s</style>\n</head>\n<body>\n", page_style, repro_plot_style());
}

static void page_close(repro_page *page) {
    if (page->open && page->dress == REPRO_AS_HTML) base_text_printf(page->out, "</dl>\n");
    page->open = false;
}

DEIT_INTERNAL void repro_page_end(repro_page *page) {
    page_close(page);
    if (page->dress == REPRO_AS_HTML) base_text_printf(page->out, "</body>\n</html>\n");
}

DEIT_INTERNAL void repro_page_gap(repro_page *page) {
    page_close(page);
    if (page->dress != REPRO_AS_HTML) base_text_printf(page->out, "\n");
}

DEIT_INTERNAL void repro_page_title(repro_page *page, int level, const char *id, const char *title) {
    page_close(page);
    page->level = level;
    if (page->dress == REPRO_AS_HTML) {
        base_text_printf(page->out, "<h%d id=\"", level);
        base_text_html(page->out, id, SIZE_MAX);
        base_text_printf(page->out, "\">");
    }
    if (page->dress == REPRO_AS_MARKDOWN) base_text_printf(page->out, "%.*s ", level, "##");
    page_text(page, title);
    if (page->dress == REPRO_AS_HTML)
        base_text_printf(page->out, "</h%d>\n", level);
    else
        base_text_printf(page->out, "\n\n");
}

DEIT_INTERNAL void repro_page_heading(repro_page *page, const char *text) {
    int level = page->level + 1;
    page_close(page);
    base_text_printf(page->out, "\n");
    if (page->dress == REPRO_AS_HTML) base_text_printf(page->out, "<h%d>", level);
    if (page->dress == REPRO_AS_MARKDOWN) base_text_printf(page->out, "%.*s ", level, "###");
    page_text(page, text);
    if (page->dress == REPRO_AS_HTML) base_text_printf(page->out, "</h%d>", level);
    base_text_printf(page->out, page->dress == REPRO_AS_MARKDOWN ? "\n\n" : "\n");
}

/* ---- Lists ------------------------------------------------------------------------------------------------------- */

static void page_pad(base_text *out, int n) {
    for (; n > 0; n--) base_text_add(out, " ", 1);
}

static void page_item(repro_page *page, int wide, const char *label, const char *text) {
    base_text *out = page->out;
    if (page->dress == REPRO_AS_HTML) {
        if (!page->open) base_text_printf(out, "<dl>\n");
        const char *kind = !strcmp(label, "holds")           ? " class=\"good\""
                           : !strcmp(label, "DOES NOT HOLD") ? " class=\"bad\""
                                                             : "";
        base_text_printf(out, "<dt%s>", kind);
        page_text(page, label);
        base_text_printf(out, "</dt><dd>");
        page_text(page, text);
        base_text_printf(out, "</dd>\n");
    } else if (page->dress == REPRO_AS_MARKDOWN) {
        base_text_printf(out, *label ? "- **" : "- ");
        page_text(page, label);
        base_text_printf(out, *label ? "** " : "");
        page_text(page, text);
        base_text_printf(out, "\n");
    } else {
        base_text_printf(out, "%s", label);
        page_pad(out, wide - base_text_width(label));
        base_text_printf(out, "%s\n", text);
    }
    page->open = true;
}

DEIT_INTERNAL void repro_page_item(repro_page *page, int wide, const char *label, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    base_text text = {0};
    base_text_vprintf(&text, format, arguments);
    va_end(arguments);
    page_item(page, wide, label, text.data ? text.data : "");
    page->out->failed |= text.failed;
    base_text_free(&text);
}

/* ---- Grids ------------------------------------------------------------------------------------------------------- */

static int page_group_end(const repro_grid *grid, int column) {
    do column++;
    while (column < grid->n_columns && !grid->columns[column].group);
    return column;
}

/* Space before a column: two between groups. */
static int page_gap(const repro_grid *grid, int column) {
    return column == 0 ? 0 : grid->columns[column].group ? 2 : 1;
}

static int page_sum(const int *width, int from, int to) {
    int sum = 0;
    for (int k = from; k < to; k++) sum += width[k] + (k > from);
    return sum;
}

static void page_widths(const repro_grid *grid, int width[REPRO_GRID_COLUMNS]) {
    for (int c = 0; c < grid->n_columns; c++) {
        width[c] = base_text_width(grid->columns[c].name);
        for (int i = 0; i < grid->n; i++)
            if (base_text_width(grid->cell[i][c]) > width[c]) width[c] = base_text_width(grid->cell[i][c]);
    }
    for (int c = 0; c < grid->n_columns; c = page_group_end(grid, c)) { /* a group's title may be the widest */
        int end = page_group_end(grid, c), lacks = base_text_width(grid->columns[c].group) - page_sum(width, c, end);
        if (lacks > 0) width[end - 1] += lacks;
    }
}

static void page_cell(base_text *out, const char *text, int width, bool left) {
    int pad = width - base_text_width(text);
    if (!left) page_pad(out, pad);
    base_text_printf(out, "%s", text);
    if (left) page_pad(out, pad);
}

/* Spaces at the end of the line are taken back. */
static void page_line_end(base_text *out) {
    while (out->size && !out->failed && out->data[out->size - 1] == ' ') out->data[--out->size] = 0;
    base_text_printf(out, "\n");
}

static void page_text_grid(base_text *out, const repro_grid *grid) {
    int width[REPRO_GRID_COLUMNS] = {0};
    page_widths(grid, width);
    bool groups = false;
    for (int c = 0; c < grid->n_columns; c++) groups |= grid->columns[c].group && *grid->columns[c].group;
    for (int c = 0; groups && c < grid->n_columns; c = page_group_end(grid, c)) {
        const char *group = grid->columns[c].group;
        int end = page_group_end(grid, c), sum = page_sum(width, c, end), left = (sum - base_text_width(group)) / 2;
        page_pad(out, page_gap(grid, c) + left);
        base_text_printf(out, "%s", group);
        page_pad(out, sum - left - base_text_width(group));
    }
    if (groups) page_line_end(out);
    for (int i = -1; i < grid->n; i++) {
        for (int c = 0; c < grid->n_columns; c++) {
            page_pad(out, page_gap(grid, c));
            page_cell(out, i < 0 ? grid->columns[c].name : grid->cell[i][c], width[c], grid->columns[c].left);
        }
        page_line_end(out);
    }
}

static void page_markdown_grid(base_text *out, const repro_grid *grid) {
    const char *group = "";
    for (int c = 0; c < grid->n_columns; c++) {
        if (grid->columns[c].group) group = grid->columns[c].group;
        const char *join = !*group ? "" : *group == '%' ? " " : ", "; /* "% of peak" */
        base_text_printf(out, "| ");
        page_markdown(out, group, SIZE_MAX, "|");
        base_text_printf(out, "%s", join);
        page_markdown(out, grid->columns[c].name, SIZE_MAX, "|");
        base_text_printf(out, " ");
    }
    base_text_printf(out, "|\n");
    for (int c = 0; c < grid->n_columns; c++) base_text_printf(out, grid->columns[c].left ? "|:---" : "|---:");
    base_text_printf(out, "|\n");
    for (int i = 0; i < grid->n; i++) {
        for (int c = 0; c < grid->n_columns; c++) {
            base_text_printf(out, "| ");
            page_markdown(out, grid->cell[i][c], SIZE_MAX, "*~_|");
            base_text_printf(out, " ");
        }
        base_text_printf(out, "|\n");
    }
}

static void page_html_class(base_text *out, const repro_grid *grid, int c) {
    bool group = c && grid->columns[c].group;
    if (grid->columns[c].left || group)
        base_text_printf(out, " class=\"%s%s%s\"", grid->columns[c].left ? "left" : "",
                         grid->columns[c].left && group ? " " : "", group ? "group" : "");
}

static void page_html_grid(base_text *out, const repro_grid *grid, const char *title) {
    base_text_printf(out, "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"");
    base_text_html(out, title, SIZE_MAX);
    base_text_printf(out, "\"><table>\n<thead>\n<tr>");
    for (int c = 0; c < grid->n_columns; c = page_group_end(grid, c)) {
        const char *group = grid->columns[c].group;
        bool any = group && *group; // columns without a group have no heading here
        base_text_printf(out, any ? "<th scope=\"colgroup\" colspan=\"%d\"" : "<td colspan=\"%d\"",
                         page_group_end(grid, c) - c);
        page_html_class(out, grid, c);
        base_text_printf(out, ">");
        base_text_html(out, group, SIZE_MAX);
        base_text_printf(out, any ? "</th>" : "</td>");
    }
    base_text_printf(out, "</tr>\n");
    for (int i = -1; i < grid->n; i++) {
        base_text_printf(out, "<tr>");
        for (int c = 0; c < grid->n_columns; c++) {
            const char *tag = i < 0 || !c ? "th" : "td"; /* of a row, its name */
            base_text_printf(out, "<%s%s", tag, i < 0 ? " scope=\"col\"" : !c ? " scope=\"row\"" : "");
            page_html_class(out, grid, c);
            base_text_printf(out, ">");
            base_text_html(out, i < 0 ? grid->columns[c].name : grid->cell[i][c], SIZE_MAX);
            base_text_printf(out, "</%s>", tag);
        }
        base_text_printf(out, i < 0 ? "</tr>\n</thead>\n<tbody>\n" : "</tr>\n");
    }
    base_text_printf(out, "</tbody>\n</table></div>\n");
}

DEIT_INTERNAL void repro_page_grid(repro_page *page, const repro_grid *grid, const char *title) {
    page_close(page);
    if (page->dress == REPRO_AS_TEXT)
        page_text_grid(page->out, grid);
    else if (page->dress == REPRO_AS_MARKDOWN)
        page_markdown_grid(page->out, grid);
    else
        page_html_grid(page->out, grid, title);
}

/* ---- Commands ---------------------------------------------------------------------------------------------------- */

/* How far a word reaches: in quotes a space is none, and no line may end. */
static size_t page_word(const char *at) {
    bool quoted = false;
    size_t n = 0;
    for (; at[n] && (quoted || at[n] != ' '); n++) {
        if (!quoted && at[n] == '\\' && at[n + 1])
            n++; // a quote that begins nothing
        else
            quoted ^= at[n] == '\'';
    }
    return n;
}

/* A command, over several lines where it is long. */
static void page_command(repro_page *page, const char *command, const char *indent) {
    enum { WIDTH = 110 };
    size_t used = strlen(indent);
    base_text_printf(page->out, "%s", indent);
    for (const char *at = command; *at;) {
        size_t size = page_word(at);
        if (used + size > WIDTH) base_text_printf(page->out, "\\\n%s    ", indent), used = strlen(indent) + 4;
        page_code(page, at, size);
        base_text_printf(page->out, at[size] ? " " : "\n");
        used += size + 1;
        at += size + (at[size] == ' ');
    }
}

DEIT_INTERNAL void repro_page_details(repro_page *page, const char *title) {
    page_close(page);
    if (page->dress == REPRO_AS_HTML)
        base_text_printf(page->out, "<details><summary>%s</summary>\n<pre tabindex=\"0\">", title);
    else
        base_text_printf(page->out, "\n<details><summary>%s</summary>\n\n```sh\n", title);
}

DEIT_INTERNAL void repro_page_lines(repro_page *page, const char *const *lines, int n) {
    for (int i = 0; i < n; i++) {
        page_code(page, lines[i], strlen(lines[i]));
        base_text_printf(page->out, "\n");
    }
}

DEIT_INTERNAL void repro_page_details_end(repro_page *page) {
    base_text_printf(page->out, page->dress == REPRO_AS_HTML ? "</pre></details>\n" : "```\n</details>\n");
}

DEIT_INTERNAL void repro_page_commands(repro_page *page, const char *const *commands, int n) {
    static const char *const before[] = {"", "```sh\n", "<pre tabindex=\"0\">"}, *const after[] = {"", "```\n",
                                                                                                   "</pre>\n"};
    page_close(page);
    base_text_printf(page->out, "%s", before[page->dress]);
    for (int i = 0; i < n; i++)
        if (commands[i]) page_command(page, commands[i], page->dress == REPRO_AS_TEXT ? "  " : "");
    base_text_printf(page->out, "%s", after[page->dress]);
}
