/* claim: what the paper says of its cells, held against what is measured, with a 95% interval where there are several
 * values a cell. Cells that the same trainings stand behind (two heads of a network; how often two networks differ from
 * a third; a network before and after fine-tuning) are compared seed by seed, for what one training has of luck is in
 * both. Elsewhere the values' variance is
 * taken to be the same in all cells of a column and pooled over it: three seeds a cell say little of a cell alone, but
 * much of a column. (Of a table they would say too much: convolutional teachers vary seven times less than their
 * students in the column beside them. Of disagreements it is that of the table, which shows each pair of networks
 * twice.) Speeds are compared as ratios, so their logarithms are pooled. */
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

/* Adds a cell's squared deviations from its mean; counts its degrees of freedom. */
static void claim_pool_cell(const repro_cell *cell, repro_kind kind, double *squares, int *df) {
    double mean = 0;
    if (!claim_varies(cell)) return;
    for (int i = 0; i < cell->n; i++) mean += claim_scaled(kind, cell->values[i]) / cell->n;
    for (int i = 0; i < cell->n; i++) {
        double d = claim_scaled(kind, cell->values[i]) - mean;
        *squares += d * d;
    }
    *df += cell->n - 1;
}

static bool claim_same(const repro_cell *a, const repro_cell *b) {
    return a->n == b->n && !memcmp(a->values, b->values, a->n * sizeof *a->values);
}

/* The columns whose cells' variance is pooled: one, or all that show the disagreements of the same networks. */
static bool claim_together(const repro_report *report, int a, int b) {
    return a == b ||
           (report->table->columns[a].kind == REPRO_FRACTION && report->table->columns[b].kind == REPRO_FRACTION);
}

/* Whether the values of a cell stand in one before it, too: rows of one network share their samples, and two networks
 * disagree with each other alike. */
static bool claim_seen(const repro_report *report, repro_scale scale, int row, int column) {
    const repro_cell *cell = &report->rows[row].cell[scale][column];
    for (int i = 0; i <= row; i++)
        for (int c = 0; c < (i < row ? report->table->n_columns : column); c++) {
            const repro_cell *other = &report->rows[i].cell[scale][c];
            if (claim_together(report, c, column) && other->values && claim_same(other, cell)) return true;
        }
    return false;
}

/* The variance of a column's cells, pooled; *df 0: no cell has two values. */
static double claim_pooled(const repro_report *report, repro_scale scale, int column, int *df) {
    double squares = 0;
    *df = 0;
    for (int i = 0; i < report->n; i++)
        for (int c = 0; c < report->table->n_columns; c++) {
            const repro_cell *cell = &report->rows[i].cell[scale][c];
            if (claim_together(report, c, column) && cell->values && cell->n > 1 && !claim_seen(report, scale, i, c))
                claim_pool_cell(cell, report->table->columns[c].kind, &squares, df);
        }
    return *df ? squares / *df : 0;
}

DEIT_INTERNAL double repro_interval(const repro_report *report, repro_scale scale, int column, const repro_cell *cell) {
    int df;
    double variance = claim_pooled(report, scale, column, &df);
    return df && claim_varies(cell) ? claim_t(df) * sqrt(variance / cell->n) : NAN;
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

/* Whether two cells' values come in pairs: of a seed each, with a training in common. */
static bool claim_paired(const repro_cell *a, const repro_cell *b) {
    if (a->n != b->n || a->n < 2 || !a->origins || !b->origins) return false;
    for (int i = 0; i < a->n; i++) {
        bool shared = false;
        const char *const *of_a = a->origins[i].trained, *const *of_b = b->origins[i].trained;
        for (int k = 0; k < REPRO_MAX_NEEDS && of_a[k]; k++)
            for (int l = 0; l < REPRO_MAX_NEEDS && of_b[l]; l++) shared |= !strcmp(of_a[k], of_b[l]);
        if (!shared || a->origins[i].seed != b->origins[i].seed) return false;
    }
    return true;
}

/* Half the 95% interval of the mean difference of such pairs, by their own variance: those of a table vary a
 * fiftyfold, so they are not pooled. */
static double claim_half_paired(const repro_cell *a, const repro_cell *b) {
    double mean = 0, squares = 0;
    for (int i = 0; i < a->n; i++) mean += (a->values[i] - b->values[i]) / a->n;
    for (int i = 0; i < a->n; i++) squares += pow(a->values[i] - b->values[i] - mean, 2);
    return claim_t(a->n - 1) * sqrt(squares / (a->n - 1) / a->n);
}

static const repro_cell *claim_cell(const repro_report *report, repro_scale scale, const repro_term *term) {
    for (int i = 0; i < report->n; i++)
        if (report->rows[i].row == &report->table->rows[term->row]) return &report->rows[i].cell[scale][term->column];
    return NULL; /* --only left the row out */
}

static double claim_mean(const repro_cell *cell, repro_kind kind) {
    double sum = 0;
    for (int i = 0; i < cell->n; i++) sum += claim_scaled(kind, cell->values[i]);
    return sum / cell->n;
}

static double claim_unscaled(repro_kind kind, double difference) {
    return kind == REPRO_SPEED ? 100 * (exp(difference) - 1) : difference;
}

static repro_judgement claim_pair(const repro_report *report, const repro_claim *claim, int t) {
    repro_judgement j = {.greater = claim->term[t], .less = claim->term[t + 1], .low = NAN, .high = NAN};
    const repro_cell *a = claim_cell(report, claim->scale, &j.greater), *b = claim_cell(report, claim->scale, &j.less);
    if (!a || !b || isnan(a->value) || isnan(b->value)) {
        const repro_cell *missing = a && isnan(a->value) ? a : b;
        j.left_out = !a || !b;
        j.missing = j.left_out ? "rows were left out" : missing->why;
        return j;
    }
    repro_kind kind = report->table->columns[j.greater.column].kind;
    j.paired = claim_paired(a, b);
    double difference = claim_mean(a, kind) - claim_mean(b, kind),
           half = j.paired ? claim_half_paired(a, b)
                           : claim_half(report, claim->scale, (repro_term[]){j.greater, j.less},
                                        (const repro_cell *[]){a, b});
    j.n_greater = a->n, j.n_less = b->n;
    j.difference = claim_unscaled(kind, difference);
    bool known = !isnan(half);
    if (!known) half = 0;
    double low = claim_unscaled(kind, difference - half), high = claim_unscaled(kind, difference + half),
           least = isnan(claim->within) ? 0 : -claim->within;
    if (known) j.low = low, j.high = high;
    j.verdict = low > least ? REPRO_HOLDS : high < least || !known ? REPRO_FAILS : REPRO_UNDECIDED;
    /* Given weights have one accuracy; a training or a sample of speed is one draw, and another may turn it round. */
    if (!known && (claim->scale == REPRO_DESK || kind == REPRO_SPEED)) j.verdict = REPRO_UNDECIDED;
    return j;
}

/* Whether `a` decides rather than `b`: one pair that fails, or that is not known, is enough. */
static bool claim_decides(const repro_judgement *a, const repro_judgement *b) {
    static const int weight[] = {[REPRO_FAILS] = 3, [REPRO_UNKNOWN] = 2, [REPRO_UNDECIDED] = 1, [REPRO_HOLDS] = 0};
    if (a->verdict != b->verdict) return weight[a->verdict] > weight[b->verdict];
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
