/* nearest: which name was meant. */
#include "base/base.h"

#include <string.h>

/* Levenshtein's distance, one row at a time; words of 128 letters and more are nobody's typing error. */
static int nearest_distance(const char *a, const char *b) {
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
        int distance = nearest_distance(word, names[i]);
        if (!nearest || distance < best) nearest = names[i], best = distance;
    }
    return nearest && (best <= 2 || best <= length / 3) ? nearest : NULL;
}
