/* speed: images a second of networks, measured in turn, each pass between two runs of the GEMM peak. */
#include "eval/eval.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { SPEED_PEAK_SIZE = 2048 };
static const double speed_shortest = 0.02; /* seconds: a shorter sample would measure the clock and the scheduler */

typedef struct {
    const eval_speed_case *wanted;
    model_net *net;
    int64_t passes; /* in one sample */
    double seconds; /* of one sample, from the warm-up */
    eval_speed *result;
} speed_job;

/* What all cases share: the peak's product, and buffers of the largest case. */
typedef struct {
    nn_peak *peak;
    double last_peak; /* FLOP/s, of the product that ran last */
    float *images, *logits;
    const base_context *context;
    double done, total; /* samples, for the progress */
} speed_bench;

/* Threads of an OpenMP team spin for a while after their last work; this lets them fall asleep before the next one's is
 * timed. */
static void speed_settle(void) {
    struct timespec pause = {.tv_nsec = 2000000};
    nanosleep(&pause, NULL);
}

static double speed_peak(speed_bench *bench) {
    speed_settle();
    return bench->last_peak = nn_peak_sample(bench->peak);
}

/* Seconds for `passes` passes. */
static base_status speed_run(speed_bench *bench, const speed_job *job, int64_t passes, double *seconds) {
    speed_settle();
    double start = base_now();
    for (int64_t i = 0; i < passes; i++) {
        if (base_cancelled(bench->context)) return BASE_CANCELLED;
        BASE_TRY(model_net_run(job->net, job->wanted->batch, bench->images, bench->logits));
    }
    *seconds = base_now() - start;
    return BASE_OK;
}

static base_status speed_sample(speed_bench *bench, speed_job *job) {
    eval_speed *result = job->result;
    base_progress(bench->context, job->wanted->config->name, bench->done, bench->total, "samples", NULL);
    double before = bench->last_peak, seconds;
    BASE_TRY(speed_run(bench, job, job->passes, &seconds));
    double peak = (before + speed_peak(bench)) / 2, rate = (double)(job->wanted->batch * job->passes) / seconds;
    int n = result->images_per_s.n++;
    result->sample[n] = rate;
    result->sample_percent[n] = 100 * rate * job->net->gflop * 1e9 / peak;
    result->sample_peak[n] = peak * 1e-9;
    bench->done++;
    return BASE_OK;
}

static base_spread speed_spread(const double *sample, int n) {
    double sorted[EVAL_SPEED_SAMPLES];
    memcpy(sorted, sample, (size_t)n * sizeof *sorted);
    return base_spread_of(sorted, n);
}

DEIT_INTERNAL void eval_speed_summarise(eval_speed *result) {
    int n = result->images_per_s.n;
    result->images_per_s = speed_spread(result->sample, n);
    result->percent_of_peak = speed_spread(result->sample_percent, n);
    result->peak_gflops = speed_spread(result->sample_peak, n).median;
    result->ms_per_image = 1000 / result->images_per_s.median;
}

/* ---- Groups that memory can hold --------------------------------------------------------------------------------- */

/* Bytes a network will take, about: packed weights, and some tens of megabytes a thread for activations and scratch. */
static base_status speed_estimate(const eval_speed_case *c, double *bytes) {
    int64_t parameters;
    double gflop;
    BASE_TRY(model_size(c->config, &parameters, &gflop));
    base_machine machine;
    base_machine_read(&machine);
    int threads = c->threads > 0 ? c->threads : machine.cores;
    *bytes = (double)parameters * (c->precision == NN_BF16 ? 2 : 4) * 1.1 + 48e6 * threads;
    return BASE_OK;
}

/* How many of the n cases can stand in memory together: at least one (whose plan then says how much memory lacks). */
static base_status speed_group(const eval_speed_case *cases, int n, int *size) {
    base_machine machine;
    base_machine_read(&machine);
    double all = 0, bytes;
    for (*size = 0; *size < n; ++*size) {
        BASE_TRY(speed_estimate(&cases[*size], &bytes));
        all += bytes;
        if (*size && all > 0.6 * (double)machine.memory_free) break;
    }
    return BASE_OK;
}

static base_status speed_build(speed_job *job) {
    const eval_speed_case *c = job->wanted;
    model_options options = {
        .precision = c->precision, .schedule = c->schedule, .batch = c->batch, .threads = c->threads};
    BASE_TRY(model_net_new(&job->net, c->config, NULL, &options)); /* noise: initial values would take longer to make */
    size_t packed, activations;
    nn_plan_memory(job->net->plan, &packed, &activations);
    eval_speed *r = job->result;
    r->gflop_per_image = job->net->gflop;
    r->workers = job->net->workers, r->threads = job->net->threads;
    r->batch = c->batch, r->micro_batch = job->net->micro_batch;
    r->memory = packed + activations;
    return BASE_OK;
}

static base_status speed_prepare(speed_bench *bench, speed_job *job) {
    base_progress(bench->context, job->wanted->config->name, bench->done, bench->total, "samples", "warm-up");
    if (base_cancelled(bench->context)) return BASE_CANCELLED;
    BASE_TRY(speed_build(job));
    BASE_TRY(speed_run(bench, job, 1, &job->seconds));
    job->passes = 1;
    if (job->seconds >= speed_shortest) return BASE_OK;
    BASE_TRY(speed_run(bench, job, 1, &job->seconds)); /* the first pass was slower: it touched its memory first */
    job->passes = (int64_t)ceil(speed_shortest / job->seconds);
    job->seconds *= (double)job->passes;
    return BASE_OK;
}

/* Round by round: at least `samples` rounds, then as many as end within `seconds`. */
static base_status speed_rounds(speed_bench *bench, speed_job *jobs, int n, int samples, double seconds) {
    double start = base_now(), round = 0;
    for (int i = 0; i < n; i++) round += jobs[i].seconds;
    speed_peak(bench); /* warms up */
    speed_peak(bench);
    for (int r = 0; r < EVAL_SPEED_SAMPLES && (r < samples || base_now() - start + round < seconds); r++) {
        double begin = base_now();
        if (r >= samples) bench->total += n;
        for (int i = 0; i < n; i++) BASE_TRY(speed_sample(bench, &jobs[i]));
        round = base_now() - begin;
    }
    for (int i = 0; i < n; i++) eval_speed_summarise(jobs[i].result);
    return BASE_OK;
}

static base_status speed_measure_group(speed_bench *bench, const eval_speed_case *cases, int n, int samples,
                                       double seconds, eval_speed *results) {
    speed_job *jobs = base_calloc((size_t)n, sizeof *jobs);
    if (!jobs) return BASE_ERROR;
    base_status status = BASE_OK;
    for (int i = 0; i < n && !status; i++) {
        jobs[i].wanted = &cases[i], jobs[i].result = &results[i];
        status = speed_prepare(bench, &jobs[i]);
    }
    if (!status) status = speed_rounds(bench, jobs, n, samples, seconds);
    for (int i = 0; i < n; i++) model_net_free(jobs[i].net);
    base_free(jobs);
    return status;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static base_status speed_check(const eval_speed_case *cases, int n) {
    for (int i = 0; i < n; i++) {
        if (cases[i].batch < 1)
            return base_fail_as(BASE_USAGE, "batch %lld: expected 1 or more", (long long)cases[i].batch);
        if (cases[i].precision != cases[0].precision || cases[i].threads != cases[0].threads)
            return base_fail("cases measured together must have one precision and one number of threads");
    }
    if (cases[0].precision == NN_BF16 && !nn_has_bf16())
        return base_fail("bf16: this CPU has no bf16 instructions (oneDNN uses %s here); use f32", nn_isa_name());
    return BASE_OK;
}

static base_status speed_open(speed_bench *bench, const eval_speed_case *cases, int n) {
    int64_t pixels = 0, logits = 0;
    for (int i = 0; i < n; i++) {
        const model_config *config = cases[i].config;
        int64_t p = cases[i].batch * 3 * config->image * config->image, l = cases[i].batch * config->classes;
        pixels = p > pixels ? p : pixels, logits = l > logits ? l : logits;
    }
    base_machine machine;
    base_machine_read(&machine);
    if ((double)pixels * sizeof(float) > 0.8 * (double)machine.memory_free)
        return base_fail("a batch of %lld: its images need %.1f GB, %.1f GB are free; use a smaller batch",
                         (long long)cases[0].batch, (double)pixels * sizeof(float) * 1e-9,
                         (double)machine.memory_free * 1e-9);
    BASE_TRY(nn_peak_new(&bench->peak, SPEED_PEAK_SIZE, cases[0].precision,
                         cases[0].threads > 0 ? cases[0].threads : machine.cores));
    bench->images = base_malloc((size_t)pixels * sizeof(float));
    bench->logits = base_malloc((size_t)logits * sizeof(float));
    if (!bench->images || !bench->logits) return BASE_ERROR;
    base_random random = base_random_stream(0, 0, 0, 0);
    enum { PERIOD = 4099 }; /* a prime, so that no two rows of an image are alike */
    float noise[PERIOD];
    for (int i = 0; i < PERIOD; i++) noise[i] = (float)base_random_normal(&random);
    for (int64_t i = 0; i < pixels; i++) bench->images[i] = noise[i % PERIOD];
    return BASE_OK;
}

DEIT_INTERNAL base_status eval_speed_measure(const eval_speed_case *cases, int n, int samples, double seconds,
                                             eval_speed *results, const base_context *context) {
    memset(results, 0, (size_t)n * sizeof *results);
    if (n < 1) return BASE_OK;
    if (samples < 1) samples = 1;
    if (samples > EVAL_SPEED_SAMPLES) samples = EVAL_SPEED_SAMPLES;
    BASE_TRY(speed_check(cases, n));
    speed_bench bench = {.context = context, .total = (double)n * samples};
    base_status status = speed_open(&bench, cases, n);
    for (int at = 0, size; at < n && !status; at += size) {
        status = speed_group(cases + at, n - at, &size);
        if (!status) status = speed_measure_group(&bench, cases + at, size, samples, seconds * size / n, results + at);
    }
    nn_peak_free(bench.peak);
    base_free(bench.images);
    base_free(bench.logits);
    return status;
}
