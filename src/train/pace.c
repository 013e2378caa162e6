/* The speed of a training step: forward, backward and AdamW, on random images. */
#include "train/internal.h"

#include <string.h>

typedef struct {
    train_net *net;
    train_optimizer *optimizer;
    nn_peak *peak;
    float *images, *targets;
} pace;

static void pace_close(pace *t) {
    train_net_free(t->net);
    train_optimizer_free(t->optimizer);
    nn_peak_free(t->peak);
    base_free(t->images);
    base_free(t->targets);
}

static base_status pace_open(pace *t, const model_config *config, const train_net_options *options) {
    enum { PEAK = 2048 };
    model_weights *weights;
    model_weights_options how = {.loose = true};
    BASE_TRY(model_weights_open(&weights, config, NULL, &how, NULL));
    base_status status = train_net_new(&t->net, config, weights, options);
    model_weights_close(weights);
    if (status) return status;
    int64_t pixels = options->batch * 3 * config->image * config->image, classes = config->classes;
    BASE_TRY(train_optimizer_new(&t->optimizer, TRAIN_ADAMW, t->net->params, t->net->options.threads));
    BASE_TRY(nn_peak_new(&t->peak, PEAK, options->precision, t->net->options.threads));
    t->images = base_malloc((size_t)pixels * sizeof *t->images);
    t->targets = base_calloc((size_t)(options->batch * classes), sizeof *t->targets);
    if (!t->images || !t->targets) return BASE_ERROR;
    base_random random = base_random_stream(0, 0, 0, 0);
    for (int64_t i = 0; i < pixels; i++) t->images[i] = (float)(2 * base_random_uniform(&random) - 1);
    for (int64_t b = 0; b < options->batch; b++) t->targets[b * classes + b % classes] = 1;
    return BASE_OK;
}

static base_status pace_step(const pace *t, double *seconds) {
    train_step_options o = train_adamw_defaults();
    float loss;
    double start = base_now();
    BASE_TRY(train_net_gradients(t->net, t->images, t->targets, NULL, false, 0, 0, &loss));
    train_optimizer_step(t->optimizer, &o, 1);
    *seconds = base_now() - start;
    return BASE_OK;
}

static base_status pace_steps(const pace *t, int steps, train_speed *speed, const base_context *context) {
    double images[TRAIN_SPEED_STEPS], percent[TRAIN_SPEED_STEPS], peaks[TRAIN_SPEED_STEPS], seconds;
    double batch = (double)t->net->options.batch, flops = 3 * t->net->gflop * 1e9 * batch;
    BASE_TRY(pace_step(t, &seconds)); // to warm up
    nn_peak_sample(t->peak);
    for (int i = 0; i < steps; i++) {
        base_progress(context, t->net->config.name, i, steps, "steps", NULL);
        if (base_cancelled(context)) return base_fail_as(BASE_CANCELLED, "stopped");
        double before = nn_peak_sample(t->peak);
        BASE_TRY(pace_step(t, &seconds));
        double peak = (before + nn_peak_sample(t->peak)) / 2;
        images[i] = batch / seconds, percent[i] = 100 * flops / seconds / peak, peaks[i] = peak * 1e-9;
    }
    speed->images_per_s = base_spread_of(images, steps);
    speed->percent_of_peak = base_spread_of(percent, steps);
    speed->peak_gflops = base_spread_of(peaks, steps).median;
    return BASE_OK;
}

DEIT_INTERNAL base_status train_speed_measure(const model_config *config, const train_net_options *options, int steps,
                                              train_speed *speed, const base_context *context) {
    pace t = {0};
    *speed = (train_speed){.steps = steps};
    if (steps < 1 || steps > TRAIN_SPEED_STEPS)
        return base_fail_as(BASE_USAGE, "--repeats: expected 1 to %d steps, found %d", TRAIN_SPEED_STEPS, steps);
    base_status status = pace_open(&t, config, options);
    if (!status) {
        size_t packed, activations;
        nn_plan_memory(t.net->plan, &packed, &activations);
        int64_t numbers = 4 * t.net->params->size; // weights, gradients, two moments
        numbers += options->batch * (3LL * config->image * config->image + 2LL * config->classes);
        speed->memory = packed + activations + (size_t)numbers * sizeof(float);
        speed->gflop_per_image = t.net->gflop, speed->threads = t.net->options.threads;
        status = pace_steps(&t, steps, speed, context);
    }
    pace_close(&t);
    return status;
}
