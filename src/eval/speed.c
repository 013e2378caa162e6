/* speed: images a second of networks, measured in turn, each pass between two runs of the GEMM peak; and the
 * milliseconds of one image alone. */
#include "eval/internal.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { SPEED_PEAK_SIZE = 2048, SPEED_LEAST = 6 }; /* LEAST: fewer samples have no 95% interval of the median */
static const double speed_shortest = 0.02; /* seconds: a shorter sample would measure the clock and the scheduler */
static const double speed_interval = 0.03; /* of the median: what is narrower is steady */
static const double speed_room = 0.6;      /* of the free memory, for networks measured in turn */

/* One way to run a network: passes of `batch` images. */
typedef struct {
    model_net *net; /* NULL: not measured */
    int64_t batch, passes;
    double seconds; /* of one sample, which is so many passes; from the warm-up */
} speed_way;

typedef struct {
    const eval_speed_case *wanted;
    speed_way way, alone;
    size_t packed, activations; /* bytes of both ways: of its own; of the arena */
    eval_speed *result;
} speed_job;

/* What all cases share: the peak's product, and buffers of the largest case. */
typedef struct {
    nn_peak *peak[2]; /* by precision */
    double last_peak; /* FLOP/s, of the product that ran last */
    int last;         /* its precision; negative: something else ran since */
    eval_noise noise;
    nn_room *room; /* one arena for all networks, which run in turn */
    double memory; /* bytes that the networks of a group may fill */
    const base_context *context;
    int samples;        /* a case, at least */
    double seconds;     /* left for all cases that are not measured yet */
    double done, total; /* samples, for the progress */
} speed_bench;

DEIT_INTERNAL void eval_settle(void) {
    struct timespec pause = {.tv_nsec = 2000000};
    nanosleep(&pause, NULL);
}

static double speed_peak(speed_bench *bench, nn_dtype precision) {
    eval_settle();
    bench->last = (int)precision;
    return bench->last_peak = nn_peak_sample(bench->peak[precision]);
}

/* ---- Images of noise --------------------------------------------------------------------------------------------- */

static int64_t noise_pixels(const eval_speed_case *c) {
    return c->batch * 3 * c->config->image * c->config->image;
}

static int64_t noise_logits(const eval_speed_case *c) {
    return c->batch * c->config->classes;
}

DEIT_INTERNAL base_status eval_noise_room(eval_noise *noise, const eval_speed_case *cases, int n) {
    int64_t pixels = 0, logits = 0, batch = 0;
    for (int i = 0; i < n; i++) {
        if (noise_pixels(&cases[i]) > pixels) pixels = noise_pixels(&cases[i]), batch = cases[i].batch;
        if (noise_logits(&cases[i]) > logits) logits = noise_logits(&cases[i]);
    }
    base_machine machine;
    base_machine_read(&machine);
    if ((double)pixels * sizeof(float) > 0.8 * (double)machine.memory_free)
        return base_fail("a batch of %lld: its images need %.1f GB, %.1f GB are free; use a smaller batch",
                         (long long)batch, (double)pixels * sizeof(float) * 1e-9, (double)machine.memory_free * 1e-9);
    noise->images = base_malloc((size_t)pixels * sizeof(float));
    noise->logits = base_malloc((size_t)logits * sizeof(float));
    return noise->images && noise->logits ? BASE_OK : BASE_ERROR;
}

DEIT_INTERNAL size_t eval_noise_beside(const eval_noise *noise, const eval_speed_case *c) {
    int64_t left = noise_pixels(c) - noise->filled;
    return (size_t)((left > 0 ? left : 0) + noise_logits(c)) * sizeof(float);
}

DEIT_INTERNAL void eval_noise_fill(eval_noise *noise, const eval_speed_case *c) {
    enum { PERIOD = 4099 }; /* a prime, so that no two rows of an image are alike */
    float period[PERIOD];
    base_random random = base_random_stream(0, 0, 0, 0);
    for (int i = 0; i < PERIOD; i++) period[i] = (float)base_random_normal(&random);
    for (; noise->filled < noise_pixels(c); noise->filled++)
        noise->images[noise->filled] = period[noise->filled % PERIOD];
}

DEIT_INTERNAL void eval_noise_free(eval_noise *noise) {
    base_free(noise->images);
    base_free(noise->logits);
}

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

/* Seconds for `passes` passes. */
static base_status speed_run(const speed_bench *bench, const speed_way *way, int64_t passes, double *seconds) {
    eval_settle();
    double start = base_now();
    for (int64_t i = 0; i < passes; i++) {
        if (base_cancelled(bench->context)) return base_fail_as(BASE_CANCELLED, "stopped");
        BASE_TRY(model_net_run(way->net, way->batch, bench->noise.images, bench->noise.logits));
    }
    *seconds = base_now() - start;
    return BASE_OK;
}

static base_status speed_warm(const speed_bench *bench, speed_way *way) {
    BASE_TRY(speed_run(bench, way, 1, &way->seconds));
    way->passes = 1;
    if (way->seconds >= speed_shortest) return BASE_OK;
    BASE_TRY(speed_run(bench, way, 1, &way->seconds)); /* the first pass was slower: it touched its memory first */
    way->passes = (int64_t)ceil(speed_shortest / way->seconds);
    way->seconds *= (double)way->passes;
    return BASE_OK;
}

static base_status speed_sample(speed_bench *bench, speed_job *job) {
    eval_speed *result = job->result;
    base_progress(bench->context, "bench", bench->done, bench->total, "samples", job->wanted->config->name);
    nn_dtype precision = job->wanted->precision;
    double before = bench->last == (int)precision ? bench->last_peak : speed_peak(bench, precision), seconds;
    BASE_TRY(speed_run(bench, &job->way, job->way.passes, &seconds));
    double peak = (before + speed_peak(bench, precision)) / 2,
           rate = (double)(job->way.batch * job->way.passes) / seconds;
    int n = result->images_per_s.n++;
    result->sample[n] = rate;
    result->sample_percent[n] = 100 * rate * result->gflop_per_image * 1e9 / peak;
    result->sample_peak[n] = peak * 1e-9;
    if (job->wanted->schedule == MODEL_LATENCY && job->way.batch == 1 && !job->alone.net)
        result->sample_alone[n] = 1000 / rate, result->ms_alone.n = n + 1;
    bench->done++;
    return BASE_OK;
}

static base_status speed_sample_alone(const speed_bench *bench, const speed_job *job) {
    double seconds;
    BASE_TRY(speed_run(bench, &job->alone, job->alone.passes, &seconds));
    job->result->sample_alone[job->result->ms_alone.n++] = 1000 * seconds / (double)job->alone.passes;
    return BASE_OK;
}

/* A round: every network in turn with the peak of its precision before and after it, then every network's image alone.
 */
static base_status speed_round(speed_bench *bench, speed_job *jobs, int n) {
    for (int i = 0; i < n; i++) BASE_TRY(speed_sample(bench, &jobs[i]));
    for (int i = 0; i < n; i++) {
        if (!jobs[i].alone.net) continue;
        bench->last = -1;
        BASE_TRY(speed_sample_alone(bench, &jobs[i]));
    }
    return BASE_OK;
}

static base_spread speed_spread(const double *sample, int n) {
    double sorted[EVAL_SPEED_SAMPLES];
    if (!n) return (base_spread){0};
    memcpy(sorted, sample, (size_t)n * sizeof *sorted);
    return base_spread_of(sorted, n);
}

static bool speed_is_steady(const base_spread *spread) {
    return spread->n >= SPEED_LEAST && spread->high - spread->low < speed_interval * spread->median;
}

DEIT_INTERNAL void eval_speed_summarise(eval_speed *result) {
    int n = result->images_per_s.n;
    result->images_per_s = speed_spread(result->sample, n);
    result->percent_of_peak = speed_spread(result->sample_percent, n);
    result->peak_gflops = speed_spread(result->sample_peak, n).median;
    result->ms_alone = speed_spread(result->sample_alone, result->ms_alone.n);
    result->steady =
        speed_is_steady(&result->images_per_s) && (!result->ms_alone.n || speed_is_steady(&result->ms_alone));
}

/* ---- Networks that memory can hold together ---------------------------------------------------------------------- */

/* What a case holds: its two networks share weights where formats agree, and the first worker's part of the arena. */
static void speed_memory(speed_job *job) {
    const eval_speed_case *c = job->wanted;
    size_t alone = 0, packed = 0;
    nn_plan_memory(job->way.net->plan, &job->packed, &job->activations);
    if (job->alone.net) nn_plan_memory(job->alone.net->plan, &packed, &alone);
    size_t worker = job->activations / (size_t)job->way.net->workers;
    job->packed += packed;
    if (alone > worker) job->activations += alone - worker;
    job->result->memory = job->packed + job->activations + (size_t)(noise_pixels(c) + noise_logits(c)) * sizeof(float);
}

static base_status speed_build(const speed_bench *bench, speed_job *job) {
    const eval_speed_case *c = job->wanted;
    model_options options = {.precision = c->precision,
                             .schedule = c->schedule,
                             .batch = c->batch,
                             .micro_batch = c->micro_batch,
                             .threads = c->threads,
                             .room = bench->room,
                             .beside = eval_noise_beside(&bench->noise, c),
                             .cancel = bench->context ? bench->context->cancel : NULL};
    BASE_TRY(model_net_new(&job->way.net, c->config, NULL, &options)); /* noise: initial values take longer to make */
    model_net *net = job->way.net;
    job->way.batch = c->batch;
    eval_speed *r = job->result;
    r->gflop_per_image = net->gflop;
    r->workers = net->workers, r->threads = net->threads;
    r->batch = c->batch, r->micro_batch = net->micro_batch;
    if (c->alone) {
        options.schedule = MODEL_LATENCY, options.batch = job->alone.batch = 1, options.share = net->plan;
        BASE_TRY(model_net_new(&job->alone.net, c->config, NULL, &options));
    }
    speed_memory(job);
    return BASE_OK;
}

static base_status speed_prepare(speed_bench *bench, speed_job *job) {
    char note[96];
    snprintf(note, sizeof note, "warm-up of %s", job->wanted->config->name);
    base_progress(bench->context, "bench", bench->done, bench->total, "samples", note);
    if (base_cancelled(bench->context)) return base_fail_as(BASE_CANCELLED, "stopped");
    BASE_TRY(speed_build(bench, job));
    eval_noise_fill(&bench->noise, job->wanted);
    BASE_TRY(speed_warm(bench, &job->way));
    return job->alone.net ? speed_warm(bench, &job->alone) : BASE_OK;
}

static void speed_close(speed_job *job) {
    model_net_free(job->alone.net);
    model_net_free(job->way.net);
}

/* Makes networks ready until they fill their part of the memory, or the next one does not fit any more: that one begins
 * the next group, where it says itself what is wrong if it fails again. */
static base_status speed_open_group(speed_bench *bench, speed_job *jobs, const eval_speed_case *cases, int n,
                                    eval_speed *results, int *size) {
    size_t packed = 0, arena = 0;
    for (*size = 0; *size < n && (!*size || (double)(packed + arena) < bench->memory); ++*size) {
        speed_job *job = &jobs[*size];
        job->wanted = &cases[*size], job->result = &results[*size];
        base_status status = speed_prepare(bench, job);
        if (status) {
            speed_close(job);
            return status == BASE_ERROR && *size ? BASE_OK : status;
        }
        packed += job->packed, arena = job->activations > arena ? job->activations : arena;
    }
    return BASE_OK;
}

/* ---- Rounds ------------------------------------------------------------------------------------------------------ */

static bool speed_all_steady(const speed_job *jobs, int n) {
    for (int i = 0; i < n; i++)
        if (!jobs[i].result->steady) return false;
    return true;
}

/* At least bench->samples rounds, then more until all are steady, while they end within `seconds`. */
static base_status speed_rounds(speed_bench *bench, speed_job *jobs, int n, double seconds) {
    double start = base_now(), round = 0;
    for (int i = 0; i < n; i++) round += jobs[i].way.seconds + jobs[i].alone.seconds;
    for (int k = 0; k < 4; k++) /* warms up */
        if (bench->peak[k / 2]) speed_peak(bench, (nn_dtype)(k / 2));
    for (int r = 0; r < EVAL_SPEED_SAMPLES; r++) {
        double begin = base_now();
        if (r >= bench->samples && (speed_all_steady(jobs, n) || begin - start + round > seconds)) break;
        if (r >= bench->samples) bench->total += n;
        base_status status = speed_round(bench, jobs, n);
        round = base_now() - begin;
        for (int i = 0; i < n; i++) eval_speed_summarise(jobs[i].result);
        if (status) return status;
    }
    return BASE_OK;
}

/* Measures the first *size of n cases, as many as memory holds together. */
static base_status speed_group(speed_bench *bench, const eval_speed_case *cases, int n, eval_speed *results,
                               int *size) {
    *size = 0;
    speed_job *jobs = base_calloc((size_t)n, sizeof *jobs);
    if (!jobs) return BASE_ERROR;
    base_status status = speed_open_group(bench, jobs, cases, n, results, size);
    double start = base_now();
    if (!status) status = speed_rounds(bench, jobs, *size, bench->seconds * *size / n);
    bench->seconds -= base_now() - start;
    for (int i = 0; i < *size; i++) speed_close(&jobs[i]);
    base_free(jobs);
    return status;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static base_status speed_check(const eval_speed_case *cases, int n) {
    for (int i = 0; i < n; i++) {
        if (cases[i].batch < 1)
            return base_fail_as(BASE_USAGE, "batch %lld: expected 1 or more", (long long)cases[i].batch);
        if (cases[i].threads != cases[0].threads)
            return base_fail("cases measured together must have one number of threads");
        if (cases[i].precision == NN_BF16 && !nn_has_bf16())
            return base_fail("bf16: this CPU has no bf16 instructions (oneDNN uses %s here); use f32", nn_isa_name());
    }
    return BASE_OK;
}

static base_status speed_open(speed_bench *bench, const eval_speed_case *cases, int n) {
    base_machine machine;
    base_machine_read(&machine);
    bench->memory = speed_room * (double)machine.memory_free;
    bench->room = nn_room_new();
    bench->last = -1;
    if (!bench->room) return BASE_ERROR;
    BASE_TRY(eval_noise_room(&bench->noise, cases, n));
    for (int i = 0; i < n; i++) {
        nn_peak **peak = &bench->peak[cases[i].precision];
        if (!*peak)
            BASE_TRY(nn_peak_new(peak, SPEED_PEAK_SIZE, cases[i].precision,
                                 cases[i].threads > 0 ? cases[i].threads : machine.cores));
    }
    return BASE_OK;
}

static void speed_end(speed_bench *bench) {
    for (int k = 0; k < 2; k++) nn_peak_free(bench->peak[k]);
    eval_noise_free(&bench->noise);
    nn_room_free(bench->room);
}

static base_status speed_groups(speed_bench *bench, const eval_speed_case *cases, int n, eval_speed *results) {
    for (int at = 0, size; at < n; at += size) BASE_TRY(speed_group(bench, cases + at, n - at, results + at, &size));
    return BASE_OK;
}

DEIT_INTERNAL base_status eval_speed_measure(const eval_speed_case *cases, int n, int samples, double seconds,
                                             eval_speed *results, const base_context *context) {
    memset(results, 0, (size_t)n * sizeof *results);
    if (n < 1) return BASE_OK;
    if (samples < 1) samples = 1;
    if (samples > EVAL_SPEED_SAMPLES) samples = EVAL_SPEED_SAMPLES;
    BASE_TRY(speed_check(cases, n));
    speed_bench bench = {.context = context, .samples = samples, .seconds = seconds, .total = (double)n * samples};
    base_status status = speed_open(&bench, cases, n);
    if (!status) status = speed_groups(&bench, cases, n, results);
    speed_end(&bench);
    return status;
}
