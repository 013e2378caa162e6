/* profile: the time of each step of a network's pass. */
#include "eval/eval.h"

#include <stdlib.h>
#include <string.h>

enum { PROFILE_PEAK_SIZE = 2048 };

typedef struct {
    model_net *net;
    float *images, *logits;
    nn_peak *peak;
    double *seconds, *peaks, *rates; /* [steps, passes]; [passes]; [passes] */
} profile_run;

/* One pass: the seconds of each step for one graph batch. */
static base_status profile_pass(profile_run *run, int pass, int passes) {
    nn_plan *plan = run->net->plan;
    int64_t batch = run->net->options.batch, batches = (batch + run->net->micro_batch - 1) / run->net->micro_batch;
    BASE_TRY(nn_profile_start(plan));
    double start = base_now();
    base_status status = model_net_run(run->net, batch, run->images, run->logits);
    run->rates[pass] = (double)batch / (base_now() - start);
    for (int i = 0; i < nn_step_count(plan); i++) {
        nn_step step;
        nn_step_at(plan, i, &step);
        run->seconds[i * passes + pass] = step.seconds / (double)batches;
    }
    nn_profile_stop(plan);
    run->peaks[pass] = nn_peak_sample(run->peak) * 1e-9;
    return status;
}

static base_status profile_open(profile_run *run, eval_profile *profile, int passes) {
    const model_config *config = &run->net->config;
    size_t batch = (size_t)run->net->options.batch, pixels = batch * 3 * (size_t)config->image * (size_t)config->image;
    profile->n = nn_step_count(run->net->plan);
    profile->steps = base_calloc((size_t)profile->n, sizeof *profile->steps);
    run->images = base_malloc(pixels * sizeof(float));
    run->logits = base_malloc(batch * (size_t)config->classes * sizeof(float));
    run->seconds = base_calloc((size_t)(profile->n + 2) * (size_t)passes, sizeof(double));
    if (!profile->steps || !run->images || !run->logits || !run->seconds) return BASE_ERROR;
    run->peaks = run->seconds + profile->n * passes, run->rates = run->peaks + passes;
    base_random random = base_random_stream(0, 0, 0, 0);
    for (size_t i = 0; i < pixels; i++) run->images[i] = (float)(2 * base_random_uniform(&random) - 1);
    return nn_peak_new(&run->peak, PROFILE_PEAK_SIZE, run->net->options.precision,
                       run->net->workers * run->net->threads);
}

static base_status profile_passes(profile_run *run, eval_profile *profile, int passes, const base_context *context) {
    BASE_TRY(model_net_run(run->net, run->net->options.batch, run->images, run->logits));
    for (int pass = 0; pass < passes; pass++) {
        if (base_cancelled(context)) return base_fail_as(BASE_CANCELLED, "stopped");
        BASE_TRY(profile_pass(run, pass, passes));
    }
    for (int i = 0; i < profile->n; i++) {
        nn_step_at(run->net->plan, i, &profile->steps[i]);
        profile->steps[i].seconds = base_spread_of(run->seconds + i * passes, passes).median;
        profile->seconds += profile->steps[i].seconds;
    }
    profile->peak_gflops = base_spread_of(run->peaks, passes).median / run->net->workers;
    profile->images_per_s = base_spread_of(run->rates, passes).median;
    return BASE_OK;
}

DEIT_INTERNAL base_status eval_profile_measure(eval_profile *profile, model_net *net, int passes,
                                               const base_context *context) {
    memset(profile, 0, sizeof *profile);
    profile_run run = {.net = net};
    base_status status = profile_open(&run, profile, passes);
    if (!status) status = profile_passes(&run, profile, passes, context);
    nn_peak_free(run.peak);
    base_free(run.images);
    base_free(run.logits);
    base_free(run.seconds);
    if (status) eval_profile_free(profile);
    return status;
}

DEIT_INTERNAL void eval_profile_free(eval_profile *profile) {
    base_free(profile->steps);
    profile->steps = NULL;
}
