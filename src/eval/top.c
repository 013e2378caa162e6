/* top: the best classes of one image's logits. */
#include "eval/eval.h"

#include <math.h>

/* Before b in the order of the answers: the larger logit, of equal ones the smaller index; what is not a number is
 * last. */
static bool top_before(const float *logits, int a, int b) {
    if (isnan(logits[b])) return !isnan(logits[a]) || a < b;
    return logits[a] > logits[b] || (a < b && logits[a] == logits[b]);
}

DEIT_INTERNAL void eval_top(const float *logits, int classes, int k, eval_class *best) {
    int n = 0; // best[0 .. n-1]: the best so far, in order
    for (int c = 0; c < classes; c++) {
        int at = n < k ? n++ : k;
        for (; at > 0 && top_before(logits, c, best[at - 1].index); at--)
            if (at < k) best[at] = best[at - 1];
        if (at < k) best[at].index = c;
    }
    double sum = 0, most = n ? (double)logits[best[0].index] : 0;
    for (int c = 0; c < classes; c++) sum += exp((double)logits[c] - most);
    for (int i = 0; i < n; i++) best[i].probability = (float)(exp((double)logits[best[i].index] - most) / sum);
    for (int i = n; i < k; i++) best[i] = (eval_class){-1, 0};
}
