/* claim: what the paper says of its cells, held against what is measured, with a 95% interval where there are several
 * values a cell. Cells that the same trainings stand behind (two heads of a network; how often two networks differ from
 * a third; a network before and after fine-tuning) are compared seed by seed, for what one training has of luck is in
 * both. Elsewhere the values' variance is taken to be the same in all cells of a column and pooled over it: three seeds
 * a cell say little of a cell alone, but much of a column. (Of disagreements it is that of the table, which shows each
 * pair of networks twice.) Cells of the same networks count once in the degrees of freedom. Equal seeds begin alike,
 * which this leaves out: differences vary less than it takes them to.
 *
 * Speeds are compared as ratios of what the table shows. Samples of one process are alike, so what varies is the round:
 * a process of its own. The variance is that of the two rounds' medians, pooled over all networks of the run, but for
 * what all of them share. */
#include "repro/internal.h"

#include <math.h>
#include <string.h>

DEIT_INTERNAL const char *repro_verdict_name(repro_verdict verdict) {
    static const char *const names[] = {"not measured", "holds", "does not hold", "undecided"};
    return names[verdict];
}

/* The quantile of Student's t that 95% of it lie within; df at least 1. */
static double claim_t(int df) {
    static const double exact[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228};
    const double z = 1.959964;
    if (df < 1) return NAN;
    if (df <= 10) return exact[df - 1];
    double z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
    return z + (z3 + z) / (4.0 * df) + (5 * z5 + 16 * z3 + 3 * z) / (96.0 * df * df) +
           (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384.0 * df * df * df);
}

static double claim_scaled(repro_kind kind, double value) {
    return kind == REPRO_SPEED ? log(value) : value;
}

/* Whether another seed could have given another value: a network never disagrees with itself. */
static bool claim_varies(const repro_cell *cell) {
    bool any = false;
    for (int i = 0; i < cell->n; i++) any |= cell->values[i] != cell->values[0] || cell->values[i] != 0;
    return any;
}

/* The sum of a cell's squared deviations from its mean. */
static double claim_squares(const repro_cell *cell, repro_kind kind) {
    double mean = 0, squares = 0;
    for (int i = 0; i < cell->n; i++) mean += claim_scaled(kind, cell->values[i]) / cell->n;
    for (int i = 0; i < cell->n; i++) squares += pow(claim_scaled(kind, cell->values[i]) - mean, 2);
    return squares;
}

static bool claim_same(const repro_cell *a, const repro_cell *b) {
    return a->n == b->n && !memcmp(a->values, b->values, a->n * sizeof *a->values);
}

/* The columns whose cells' variance is pooled: one, or all that show the disagreements of the same networks. */
static bool claim_together(const repro_report *report, int a, int b) {
    return a == b ||
           (report->table->columns[a].kind == REPRO_FRACTION && report->table->columns[b].kind == REPRO_FRACTION);
}

/* Whether the same trainings stand behind two cells: two heads of a network have one luck. */
static bool claim_same_networks(const repro_cell *a, const repro_cell *b) {
    if (a->n != b->n || !a->origins || !b->origins) return false;
    for (int i = 0; i < a->n; i++) {
        const char *const *of_a = a->origins[i].trained, *const *of_b = b->origins[i].trained;
        if (!of_a[0]) return false;
        for (int k = 0; k < REPRO_MAX_NEEDS && (of_a[k] || of_b[k]); k++)
            if (!of_a[k] || !of_b[k] || strcmp(of_a[k], of_b[k]) != 0) return false;
    }
    return true;
}

/* The variance of a column's cells, pooled, and its degrees of freedom; 0: no cell has two values. Values that stand in
 * a cell before, too, are left out: two networks disagree with each other alike. */
static double claim_pooled(const repro_report *report, repro_scale scale, int column, int *df) {
    const repro_cell *pooled[REPRO_MAX_ROWS * REPRO_MAX_COLUMNS];
    double squares = 0;
    int n = 0, all = 0;
    *df = 0;
    for (int i = 0; i < report->n; i++)
        for (int c = 0; c < report->table->n_columns; c++) {
            const repro_cell *cell = &report->rows[i].cell[scale][c];
            bool twin = false, networks = false;
            if (!claim_together(report, c, column) || !cell->values || cell->n < 2 || !claim_varies(cell)) continue;
            for (int k = 0; k < n; k++)
                twin |= claim_same(pooled[k], cell), networks |= claim_same_networks(pooled[k], cell);
            if (twin) continue;
            pooled[n++] = cell;
            squares += claim_squares(cell, report->table->columns[c].kind);
            all += cell->n - 1;
            if (!networks) *df += cell->n - 1;
        }
    return all ? squares / all : 0;
}

DEIT_INTERNAL double repro_interval(const repro_report *report, repro_scale scale, int column, const repro_cell *cell) {
    int df = cell->n - 1;
    double variance = df > 0 ? claim_squares(cell, REPRO_FRACTION) / df : 0;
    if (report->table->columns[column].kind != REPRO_FRACTION) variance = claim_pooled(report, scale, column, &df);
    return df > 0 && claim_varies(cell) ? claim_t(df) * sqrt(variance / cell->n) : NAN;
}

/* Half the 95% interval of the difference of two means; NAN where no cell has two values. Between columns, whose
 * variances differ, by Welch and Satterthwaite. */
static double claim_half(const repro_report *report, repro_scale scale, const repro_term term[2],
                         const repro_cell *const cell[2]) {
    double part[2], all = 0, spread = 0;
    int df[2];
    for (int k = 0; k < 2; k++) {
        part[k] = claim_pooled(report, scale, term[k].column, &df[k]) / cell[k]->n, all += part[k];
        if (df[k]) spread += part[k] * part[k] / df[k];
    }
    if (!df[0] || !df[1]) return NAN;
    if (claim_together(report, term[0].column, term[1].column)) return claim_t(df[0]) * sqrt(all);
    return claim_t(spread > 0 ? (int)(all * all / spread) : 1) * sqrt(all);
}

/* ---- Pairs ------------------------------------------------------------------------------------------------------- */

/* Which of b's values is of the seed of a's i-th and has a training in common with it; -1: none. */
static int claim_partner(const repro_cell *a, int i, const repro_cell *b) {
    const char *const *of_a = a->origins[i].trained;
    for (int j = 0; j < b->n; j++) {
        const char *const *of_b = b->origins[j].trained;
        if (a->origins[i].seed != b->origins[j].seed) continue;
        for (int k = 0; k < REPRO_MAX_NEEDS && of_a[k]; k++)
            for (int l = 0; l < REPRO_MAX_NEEDS && of_b[l]; l++)
                if (!strcmp(of_a[k], of_b[l])) return j;
    }
    return -1;
}

/* The number of pairs, and the mean and the variance of their differences: where all values of a cell have partners,
 * and two at least. 0: they do not come in pairs. Not pooled: pairs of a table differ four to ten times in variance. */
static int claim_pairs(const repro_cell *a, const repro_cell *b, repro_kind kind, double *mean, double *variance) {
    int n = 0, fewer = a->n < b->n ? a->n : b->n;
    double sum = 0, squares = 0;
    for (int i = 0; i < a->n && a->origins && b->origins; i++) {
        int j = claim_partner(a, i, b);
        if (j < 0) continue;
        double d = claim_scaled(kind, a->values[i]) - claim_scaled(kind, b->values[j]);
        sum += d, squares += d * d, n++;
    }
    if (n < 2 || n < fewer) return 0;
    *mean = sum / n, *variance = fmax(squares - sum * sum / n, 0) / (n - 1);
    return n;
}

/* ---- Speeds ------------------------------------------------------------------------------------------------------ */

/* The variance of a round's logarithm, pooled over the networks of the run that have two. What all of them share, such
 * as a clock that was slower in the second round, is in both sides of a ratio and no part of it. */
static double claim_round_variance(const repro_book *book, int *df) {
    double sum = 0, squares = 0;
    int n = 0;
    for (int i = 0; i < book->n_nets; i++) {
        const repro_net *net = &book->nets[i];
        if (net->rounds < 2) continue;
        double d = log(net->round[0] / net->round[1]);
        sum += d, squares += d * d, n++;
    }
    *df = n - 1;
    return n > 1 ? 0.5 * fmax(squares - sum * sum / n, 0) / (n - 1) : 0;
}

/* ---- Judging ----------------------------------------------------------------------------------------------------- */

static const repro_result *claim_row(const repro_report *report, const repro_term *term) {
    for (int i = 0; i < report->n; i++)
        if (report->rows[i].row == &report->table->rows[term->row]) return &report->rows[i];
    return NULL; /* --only left the row out */
}

/* Whether a cell says something of the paper's; else the judgement says why not. */
static bool claim_may(const repro_report *report, repro_scale scale, const repro_result *r, int column,
                      repro_judgement *j) {
    const repro_cell *cell = &r->cell[scale][column];
    if (isnan(cell->value)) {
        j->missing = cell->why;
        return false;
    }
    j->otherwise =
        scale == REPRO_PAPER && report->table->columns[column].kind > REPRO_SPEED && repro_otherwise(report, r, column);
    if (j->otherwise) j->missing = REPRO_OTHERWISE;
    int64_t whole = scale == REPRO_PAPER && cell->images ? repro_whole(report->table, column) : 0;
    if (whole && cell->images != whole) j->otherwise = true, j->missing = "measured on a part of the pictures";
    return !j->otherwise;
}

static double claim_mean(const repro_cell *cell, repro_kind kind) {
    double sum = 0;
    for (int i = 0; i < cell->n; i++) sum += claim_scaled(kind, cell->values[i]);
    return sum / cell->n;
}

static double claim_unscaled(repro_kind kind, double difference) {
    return kind == REPRO_SPEED ? 100 * (exp(difference) - 1) : difference;
}

/* Fills the difference of two cells, scaled, the numbers of values behind it, and half the interval; NAN: there is
 * none. */
static double claim_compare(const repro_report *report, repro_scale scale, const repro_result *const r[2],
                            repro_judgement *j, double *difference) {
    const repro_cell *a = &r[0]->cell[scale][j->greater.column], *b = &r[1]->cell[scale][j->less.column];
    repro_kind kind = report->table->columns[j->greater.column].kind;
    double variance;
    int df;
    j->n_greater = a->n, j->n_less = b->n;
    if (kind == REPRO_SPEED && scale == REPRO_PAPER) {
        *difference = log(a->value / b->value);
        j->rounds = r[0]->net && r[1]->net && r[0]->net->rounds && r[1]->net->rounds;
        if (!j->rounds) return NAN;
        j->n_greater = r[0]->net->rounds, j->n_less = r[1]->net->rounds;
        variance = claim_round_variance(report->book, &df);
        return df > 0 ? claim_t(df) * sqrt(variance / j->n_greater + variance / j->n_less) : NAN;
    }
    int pairs = claim_pairs(a, b, kind, difference, &variance);
    if (pairs) {
        j->paired = true, j->n_greater = j->n_less = pairs;
        return claim_t(pairs - 1) * sqrt(variance / pairs);
    }
    *difference = claim_mean(a, kind) - claim_mean(b, kind);
    return claim_half(report, scale, (repro_term[]){j->greater, j->less}, (const repro_cell *[]){a, b});
}

static bool claim_drawn(const repro_cell *cell) {
    for (int i = 0; i < cell->n && cell->origins; i++)
        if (cell->origins[i].drawn) return true;
    return false;
}

/* Of parameters, which are counted: nothing varies. */
static void claim_counted(const repro_result *const r[2], repro_judgement *j) {
    j->missing = "the network is not in this version";
    if (!r[0]->known || !r[1]->known) return;
    j->difference = 1e-6 * ((double)r[0]->params - (double)r[1]->params);
    j->verdict = j->difference > 0 ? REPRO_HOLDS : REPRO_FAILS;
}

static repro_judgement claim_pair(const repro_report *report, const repro_claim *claim, int t) {
    repro_judgement j = {.greater = claim->term[t], .less = claim->term[t + 1], .low = NAN, .high = NAN};
    const repro_result *r[] = {claim_row(report, &j.greater), claim_row(report, &j.less)};
    j.left_out = !r[0] || !r[1];
    repro_kind kind = report->table->columns[j.greater.column].kind;
    if (j.left_out) j.missing = "rows were left out";
    if (!j.left_out && kind == REPRO_PARAMS) claim_counted(r, &j);
    if (j.left_out || kind == REPRO_PARAMS || !claim_may(report, claim->scale, r[0], j.greater.column, &j) ||
        !claim_may(report, claim->scale, r[1], j.less.column, &j))
        return j;
    double difference = 0, half = claim_compare(report, claim->scale, r, &j, &difference);
    j.difference = claim_unscaled(kind, difference);
    bool known = !isnan(half);
    if (!known) half = 0;
    double low = claim_unscaled(kind, difference - half), high = claim_unscaled(kind, difference + half),
           least = isnan(claim->within) ? 0 : -claim->within;
    if (known) j.low = low, j.high = high;
    j.verdict = low > least ? REPRO_HOLDS : high < least || !known ? REPRO_FAILS : REPRO_UNDECIDED;
    /* Given weights have one accuracy; a training or a sample of speed is one draw, and another may turn it round. */
    bool drawn = claim->scale == REPRO_DESK || kind == REPRO_SPEED ||
                 claim_drawn(&r[0]->cell[claim->scale][j.greater.column]) ||
                 claim_drawn(&r[1]->cell[claim->scale][j.less.column]);
    if (!known && drawn) j.verdict = REPRO_UNDECIDED;
    return j;
}

/* Whether `a` decides rather than `b`: one pair that fails, or that is not known, is enough. */
static bool claim_decides(const repro_judgement *a, const repro_judgement *b) {
    static const int weight[] = {[REPRO_FAILS] = 3, [REPRO_UNKNOWN] = 2, [REPRO_UNDECIDED] = 1, [REPRO_HOLDS] = 0};
    if (a->verdict != b->verdict) return weight[a->verdict] > weight[b->verdict];
    if (!isnan(a->low) && !isnan(b->low)) return a->low < b->low;
    return a->difference < b->difference;
}

DEIT_INTERNAL repro_judgement repro_judge(const repro_report *report, const repro_claim *claim) {
    repro_judgement worst = claim_pair(report, claim, 0);
    for (int t = 1; t + 1 < claim->n; t++) {
        repro_judgement j = claim_pair(report, claim, t);
        if (claim_decides(&j, &worst)) worst = j;
    }
    return worst;
}
