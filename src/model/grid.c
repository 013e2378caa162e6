/* The position grid at another resolution. */
#include "model/internal.h"
#include <math.h>

/* The four weights of bicubic convolution with a = -0.75 at a fraction t behind the second sample. */
static void grid_weights(double t, double w[4]) {
    const double a = -0.75;
    for (int k = 0; k < 4; k++) {
        double d = fabs(t - (k - 1));
        if (d <= 1)
            w[k] = ((a + 2) * d - (a + 3)) * d * d + 1;
        else
            w[k] = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    }
}

static int grid_clamp(int i, int n) {
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

DEIT_INTERNAL void model_resize_grid(const float *in, int from, float *out, int to, int dim) {
    double scale = (double)from / to;
    for (int r = 0; r < to; r++)
        for (int c = 0; c < to; c++) {
            double y = (r + 0.5) * scale - 0.5, x = (c + 0.5) * scale - 0.5, wy[4], wx[4];
            int top = (int)floor(y), left = (int)floor(x);
            grid_weights(y - top, wy);
            grid_weights(x - left, wx);
            for (int d = 0; d < dim; d++) {
                double sum = 0;
                for (int i = 0; i < 4; i++)
                    for (int j = 0; j < 4; j++)
                        sum +=
                            wy[i] * wx[j] *
                            in[((int64_t)grid_clamp(top - 1 + i, from) * from + grid_clamp(left - 1 + j, from)) * dim +
                               d];
                out[((int64_t)r * to + c) * dim + d] = (float)sum;
            }
        }
}
