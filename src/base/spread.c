/* spread: the median of repeats and how sure it is; the steps of a chart. */
#include "base/base.h"

#include <math.h>
#include <stdlib.h>

static int spread_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The largest k such that the k-th smallest and k-th largest of n samples hold the median between them with 95%
 * confidence: P(Binomial(n, 1/2) < k) <= 0.025. At least 1, which is all there is for n < 6. */
static int spread_rank(int n) {
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
    qsort(v, (size_t)n, sizeof *v, spread_compare);
    int k = spread_rank(n);
    return (base_spread){.median = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2,
                         .min = v[0],
                         .max = v[n - 1],
                         .low = v[k - 1],
                         .high = v[n - k],
                         .n = n};
}

DEIT_INTERNAL double base_nice_step(double range, int parts) {
    double raw = range / parts, power = pow(10, floor(log10(raw))), times = raw / power;
    return power * (times < 1.5 ? 1 : times < 3.5 ? 2 : times < 7.5 ? 5 : 10);
}
