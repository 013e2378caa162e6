/* The position grid at another resolution. */
#include "model/internal.h"
#include <math.h>

/* The weights of four samples at a fraction t behind the second: of bicubic convolution with a = -0.75, or of a line
 * between the middle ones. */
static void grid_weights(double t, model_interpolation how, double w[4]) {
    const double a = -0.75;
    if (how == MODEL_BILINEAR) {
        w[0] = w[3] = 0, w[1] = 1 - t, w[2] = t;
        return;
    }
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

DEIT_INTERNAL void model_resize_grid(const float *in, int from, float *out, int to, int dim, model_interpolation how) {
    double scale = (double)from / to;
    for (int r = 0; r < to; r++)
        for (int c = 0; c < to; c++) {
            double y = (r + 0.5) * scale - 0.5, x = (c + 0.5) * scale - 0.5, wy[4], wx[4];
            int top = (int)floor(y), left = (int)floor(x);
            grid_weights(y - top, how, wy);
            grid_weights(x - left, how, wx);
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
