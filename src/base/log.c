/* log: lines and progress to the caller's callbacks; statistics of repeats; the nearest name. */
#include "base/base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

DEIT_INTERNAL void base_log(const base_context *context, base_log_level level, const char *format, ...) {
    if (!context || !context->log) return;
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length >= 0) context->log(context->user, level, line);
}

DEIT_INTERNAL void base_progress(const base_context *context, const char *what, double done, double total,
                                 const char *unit, const char *note) {
    if (context && context->progress) context->progress(context->user, what, done, total, unit, note);
}

DEIT_INTERNAL bool base_cancelled(const base_context *context) {
    return context && context->cancel && *context->cancel;
}

static int log_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The largest k such that the k-th smallest and k-th largest of n samples hold the median between them with 95%
 * confidence: P(Binomial(n, 1/2) < k) <= 0.025. At least 1, which is all there is for n < 6. */
static int log_median_rank(int n) {
    double below = 0, term = exp(-n * log(2.0));                         // term = C(n, k) / 2^n
    if (term == 0) return (int)fmax(1, floor(0.5 * n - 0.98 * sqrt(n))); // the normal approximation
    int k = 0;
    while (below + term <= 0.025) {
        below += term;
        term *= (double)(n - k) / (k + 1);
        k++;
    }
    return k < 1 ? 1 : k;
}

DEIT_INTERNAL base_spread base_spread_of(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, log_compare);
    int k = log_median_rank(n);
    return (base_spread){.median = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2,
                         .min = v[0],
                         .max = v[n - 1],
                         .low = v[k - 1],
                         .high = v[n - k],
                         .n = n};
}

/* Levenshtein's distance, one row at a time; words of 128 letters and more are nobody's typing error. */
static int log_distance(const char *a, const char *b) {
    enum { LONGEST = 128 };
    int row[LONGEST], n = (int)strlen(b);
    if (n >= LONGEST) return LONGEST;
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 0; a[i]; i++) {
        int corner = row[0];
        row[0] = i + 1;
        for (int j = 0; j < n; j++) {
            int change = corner + (a[i] != b[j]), best = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;
            corner = row[j + 1];
            row[j + 1] = change < best ? change : best;
        }
    }
    return row[n];
}

DEIT_INTERNAL const char *base_nearest(const char *word, const char *const *names, int n) {
    const char *nearest = NULL;
    int best = 0, length = (int)strlen(word);
    for (int i = 0; i < n; i++) {
        int distance = log_distance(word, names[i]);
        if (!nearest || distance < best) nearest = names[i], best = distance;
    }
    return nearest && (best <= 2 || best <= length / 3) ? nearest : NULL;
}
