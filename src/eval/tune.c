/* tune: the micro-batch with which a network runs fastest on this machine: found by trying, and remembered between
 * runs. */
#include "eval/internal.h"
#include "version.h"

#include <stdlib.h>
#include <string.h>

enum { TUNE_ROUNDS = 7, TUNE_FEWEST = 3 };
static const double tune_shortest = 0.05; /* seconds a sample */
static const double tune_longest = 5;     /* seconds after which the fewest rounds must do */
static const double tune_gain = 1.01;     /* what is less faster than this is not faster */

typedef struct {
    const eval_speed_case *wanted;
    const base_context *context;
    eval_noise noise;
    model_net *best;
    bool changed; /* best is no longer the cost model's choice */
} tune_job;

/* ---- Trying ------------------------------------------------------------------------------------------------------ */

/* Seconds a pass of so many images; passes until they last long enough. */
static base_status tune_sample(const tune_job *job, model_net *net, int64_t images, double *seconds) {
    int passes = 0;
    eval_settle();
    double start = base_now();
    do {
        if (base_cancelled(job->context)) return base_fail_as(BASE_CANCELLED, "stopped");
        BASE_TRY(model_net_run(net, images, job->noise.images, job->noise.logits));
        passes++;
    } while (base_now() - start < tune_shortest);
    *seconds = (base_now() - start) / passes;
    return BASE_OK;
}

/* How many times as fast as the best the next one is: the median over rounds that run both in turn. Of the batch they
 * take what gives every worker the same work in both: a whole batch of ViT-L/16 lasts a minute. */
static base_status tune_compare(const tune_job *job, model_net *next, double *gain) {
    double ratio[TUNE_ROUNDS], before, after;
    int64_t most = next->micro_batch > job->best->micro_batch ? next->micro_batch : job->best->micro_batch,
            images = most * next->workers < job->wanted->batch ? most * next->workers : job->wanted->batch;
    BASE_TRY(tune_sample(job, job->best, images, &before)); /* warm up */
    BASE_TRY(tune_sample(job, next, images, &after));
    int n = 0;
    for (double start = base_now(); n < TUNE_ROUNDS; n++) {
        if (n >= TUNE_FEWEST && base_now() - start > tune_longest) break;
        BASE_TRY(tune_sample(job, job->best, images, &before));
        BASE_TRY(tune_sample(job, next, images, &after));
        ratio[n] = before / after;
    }
    *gain = base_spread_of(ratio, n).median;
    return BASE_OK;
}

static base_status tune_net(const tune_job *job, int64_t micro_batch, model_net **net) {
    const eval_speed_case *c = job->wanted;
    model_options options = {.precision = c->precision,
                             .schedule = c->schedule,
                             .batch = c->batch,
                             .micro_batch = micro_batch,
                             .threads = c->threads,
                             .share = job->best ? job->best->plan : NULL,
                             .beside = eval_noise_beside(&job->noise, c),
                             .cancel = job->context ? job->context->cancel : NULL};
    return model_net_new(net, c->config, NULL, &options);
}

/* Doubles (or halves) the best micro-batch as long as that makes it faster. */
static base_status tune_climb(tune_job *job, bool up) {
    for (;;) {
        int64_t now = job->best->micro_batch, wanted = up ? 2 * now : now / 2;
        model_net *next;
        if (wanted < 1) return BASE_OK;
        base_status status = tune_net(job, wanted, &next);
        if (status) return status == BASE_ERROR && up ? BASE_OK : status; /* more than memory holds */
        double gain = 0;
        if (next->micro_batch != now) status = tune_compare(job, next, &gain); /* equal: a worker's share is all */
        bool better = !status && gain > tune_gain;
        model_net_free(better ? job->best : next);
        if (!better) return status;
        job->best = next, job->changed = true;
    }
}

static base_status tune_try(eval_speed_case *wanted, const base_context *context) {
    tune_job job = {.wanted = wanted, .context = context};
    base_log(context, BASE_LOG_INFO, "%s: looking for the best micro-batch", wanted->config->name);
    base_status status = eval_noise_room(&job.noise, wanted, 1);
    if (!status) status = tune_net(&job, 0, &job.best);
    if (!status) eval_noise_fill(&job.noise, wanted);
    if (!status) status = tune_climb(&job, true);
    if (!status && !job.changed) status = tune_climb(&job, false);
    if (!status) wanted->micro_batch = job.best->micro_batch;
    model_net_free(job.best);
    eval_noise_free(&job.noise);
    return status;
}

/* ---- Remembering ------------------------------------------------------------------------------------------------- */

/* The file has a line a case: version, processor, ..., micro-batch, between tabs. */
static char *tune_path(void) {
    char *folder = base_cache_folder();
    if (!folder) return NULL;
    char *path = base_path_join(folder, "micro_batch.tsv");
    base_free(folder);
    return path;
}

static void tune_key(const eval_speed_case *c, char key[512]) {
    const model_config *m = c->config;
    base_machine machine;
    base_machine_read(&machine);
    snprintf(key, 512, "%s %s\t%s %x\t%s\t%d\t%s %d %d %d %d %d %d\t%d\t%s\t%lld\t", DEIT_COMMIT, nn_onednn_version(),
             machine.cpu, machine.signature, nn_isa_name(), c->threads > 0 ? c->threads : machine.cores, m->name,
             m->patch, m->dim, m->depth, m->heads, m->distilled, m->classes, m->image,
             c->precision == NN_BF16 ? "bf16" : "f32", (long long)c->batch);
}

/* The micro-batch on the key's line; 0: there is none that makes sense. */
static int64_t tune_find(const char *text, const char *key) {
    for (const char *line = text, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        if (strncmp(line, key, strlen(key)) != 0) continue;
        char *after;
        long long found = strtoll(line + strlen(key), &after, 10);
        if (after == end && found >= 1 && found <= 65536) return found;
    }
    return 0;
}

/* The lines of this version that are another case's, and the case's own. */
static base_status tune_write(const char *path, const char *text, const char *key, int64_t micro_batch) {
    base_text out = {0};
    size_t version = strcspn(key, "\t") + 1;
    for (const char *line = text, *end; line && (end = strchr(line, '\n')); line = end + 1)
        if (!strncmp(line, key, version) && strncmp(line, key, strlen(key)) != 0)
            base_text_add(&out, line, (size_t)(end + 1 - line));
    base_text_printf(&out, "%s%lld\n", key, (long long)micro_batch);
    base_status status = out.failed ? base_fail("out of memory") : base_write_file(path, out.data, out.size);
    base_text_free(&out);
    return status;
}

static base_status tune_keep(const char *path, const char *text, const char *key, int64_t micro_batch) {
    char *folder = base_strdup(path);
    if (!folder) return BASE_ERROR;
    *strrchr(folder, '/') = 0;
    base_status status = base_make_folders(folder);
    base_free(folder);
    return status ? status : tune_write(path, text, key, micro_batch);
}

DEIT_INTERNAL base_status eval_tune(eval_speed_case *wanted, const base_context *context) {
    char key[512], *path = tune_path(), *text = NULL;
    size_t size;
    tune_key(wanted, key);
    if (path && base_path_exists(path) && base_read_file(path, 1 << 20, &text, &size)) text = NULL;
    wanted->micro_batch = tune_find(text, key);
    base_status status = BASE_OK;
    if (!wanted->micro_batch) {
        status = tune_try(wanted, context);
        if (!status && !path)
            base_log(context, BASE_LOG_WARNING, "the micro-batch found is not remembered: there is no home folder");
        else if (!status && tune_keep(path, text, key, wanted->micro_batch))
            base_log(context, BASE_LOG_WARNING, "the micro-batch found is not remembered: %s", base_message());
    }
    base_free(text);
    base_free(path);
    return status;
}
