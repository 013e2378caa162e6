/* model: deit.h's models - loading, answering, timing. */
#include "api/internal.h"
#include "data/data.h"
#include "eval/eval.h"
#include "version.h"

#include <string.h>

struct deit_model {
    model_config config;
    model_net *net;
    int64_t parameters;
    double gflop;
    const volatile int *cancel;
    image_worker *worker;
    float *input, *logits; // [batch, 3, image, image], [batch, classes]
};

/* ---- What both halves use ---------------------------------------------------------------------------------------- */

DEIT_INTERNAL deit_status api_status(base_status status) {
    switch (status) {
    case BASE_OK: return DEIT_OK;
    case BASE_USAGE: return DEIT_USAGE;
    case BASE_CANCELLED: return DEIT_CANCELLED;
    default: return DEIT_FAILED;
    }
}

DEIT_INTERNAL base_status api_threads(int threads) {
    enum { MOST = 4096 };
    if (threads >= 0 && threads <= MOST) return BASE_OK;
    return base_fail_as(BASE_USAGE, "threads: expected 0 (every core) to %d, found %d", MOST, threads);
}

static void model_set(int *member, int value) {
    if (value) *member = value;
}

/* What describes a vit, given for a network that has a name of its own. */
static base_status model_check_named(const char *name, const deit_vit *vit) {
    const struct {
        const char *member;
        int value;
    } own[] = {{"patch", vit->patch},
               {"dim", vit->dim},
               {"depth", vit->depth},
               {"heads", vit->heads},
               {"distilled", vit->distilled}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i].value)
            return base_fail_as(BASE_USAGE,
                                "vit.%s: expected 0, found %d: it describes the network \"vit\"; %s is defined by its "
                                "name",
                                own[i].member, own[i].value, name);
    return BASE_OK;
}

DEIT_INTERNAL base_status api_config(model_config *config, const char *name, const deit_vit *vit, int image,
                                     int classes) {
    if (!name) return base_fail_as(BASE_USAGE, "expected the name of a network, found NULL");
    if (strcmp(name, "vit")) {
        BASE_TRY(model_find(name, config));
        BASE_TRY(model_check_named(name, vit));
    } else {
        *config = model_vit();
        model_set(&config->patch, vit->patch);
        model_set(&config->dim, vit->dim);
        model_set(&config->depth, vit->depth);
        model_set(&config->heads, vit->heads);
        config->distilled = vit->distilled != 0;
    }
    model_set(&config->image, image);
    model_set(&config->classes, classes);
    return config->family->check(config) ? BASE_USAGE : BASE_OK;
}

/* ---- About the library ------------------------------------------------------------------------------------------- */

const char *deit_error(void) {
    return base_message();
}
const char *deit_version(void) {
    return DEIT_COMMIT;
}
const char *deit_build(void) {
    return *DEIT_FLAGS ? DEIT_COMPILER ": " DEIT_FLAGS : DEIT_COMPILER;
}
const char *deit_onednn(void) {
    return nn_onednn_version();
}
const char *deit_isa(void) {
    return nn_isa_name();
}

const char *deit_model_name(int index) {
    const model_config *config = index < 0 ? NULL : model_at(index);
    return config ? config->name : NULL;
}

const char *deit_imagenet_name(int index) {
    return index < 0 || index > 999 ? NULL : data_imagenet_name(index);
}

/* ---- Loading ----------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL void api_log_line(void *user, base_log_level level, const char *line) {
    const api_log *log = user;
    if (log->line) log->line(log->user, level == BASE_LOG_WARNING, line);
}

static base_status model_options_of(model_options *out, const deit_options *options) {
    if (options->precision < DEIT_F32 || options->precision > DEIT_BF16)
        return base_fail_as(BASE_USAGE, "precision: expected DEIT_F32 or DEIT_BF16, found %d", options->precision);
    if (options->schedule < DEIT_THROUGHPUT || options->schedule > DEIT_LATENCY)
        return base_fail_as(BASE_USAGE, "schedule: expected DEIT_THROUGHPUT or DEIT_LATENCY, found %d",
                            options->schedule);
    if (options->head < DEIT_HEAD_MEAN || options->head > DEIT_HEAD_DIST)
        return base_fail_as(BASE_USAGE, "head: expected one of DEIT_HEAD_MEAN, CLASS, DIST, found %d", options->head);
    BASE_TRY(api_threads(options->threads));
    if (options->batch < 0) return base_fail_as(BASE_USAGE, "batch: expected 0 or more, found %d", options->batch);
    *out = (model_options){.precision = options->precision == DEIT_BF16 ? NN_BF16 : NN_F32,
                           .schedule = options->schedule == DEIT_LATENCY ? MODEL_LATENCY : MODEL_THROUGHPUT,
                           .batch = options->batch,
                           .threads = options->threads,
                           .head = (model_head)options->head,
                           .features = options->features != 0,
                           .cancel = options->cancel};
    return BASE_OK;
}

/* data: the file's bytes, or NULL: the file at path, or initial values. */
static base_status model_load(deit_model *model, const char *path, const void *data, size_t size,
                              const deit_options *options) {
    api_log log = {options->log, options->user};
    base_context context = {.log = api_log_line, .user = &log, .cancel = options->cancel};
    model_weights_options how = {.loose = options->loose != 0,
                                 .loosen = "loose = 1 in the options",
                                 .seed = options->seed,
                                 .part = options->part,
                                 .parts = "part ="};
    model_options run;
    model_weights *weights;
    BASE_TRY(model_options_of(&run, options));
    BASE_TRY(model_size(&model->config, &model->parameters, &model->gflop));
    BASE_TRY(data ? model_weights_open_memory(&weights, &model->config, data, size, &how, &context)
                  : model_weights_open(&weights, &model->config, path, &how, &context));
    base_status status = model_net_new(&model->net, &model->config, weights, &run);
    model_weights_close(weights);
    return status;
}

static base_status model_buffers(deit_model *model) {
    size_t batch = (size_t)model->net->options.batch, side = (size_t)model->config.image;
    model->input = base_malloc(batch * 3 * side * side * sizeof *model->input);
    model->logits = base_malloc(batch * (size_t)model->net->width * sizeof *model->logits);
    return model->input && model->logits ? image_worker_new(&model->worker) : BASE_ERROR;
}

static deit_model *model_open(const char *name, const char *path, const void *data, size_t size,
                              const deit_options *options) {
    static const deit_options none;
    if (!options) options = &none;
    deit_model *model = base_calloc(1, sizeof *model);
    if (!model) return NULL;
    model->cancel = options->cancel;
    base_status status = api_config(&model->config, name, &options->vit, options->image, options->classes);
    if (!status) status = model_load(model, path, data, size, options);
    if (!status) status = model_buffers(model);
    if (!status) return model;
    deit_close(model);
    return NULL;
}

deit_model *deit_open(const char *name, const char *weights, const deit_options *options) {
    return model_open(name, weights, NULL, 0, options);
}

deit_model *deit_open_memory(const char *name, const void *weights, size_t size, const deit_options *options) {
    if (!weights) {
        base_fail_as(BASE_USAGE, "expected the bytes of a file, found NULL");
        return NULL;
    }
    return model_open(name, NULL, weights, size, options);
}

void deit_close(deit_model *model) {
    if (!model) return;
    model_net_free(model->net);
    image_worker_free(model->worker);
    base_free(model->input);
    base_free(model->logits);
    base_free(model);
}

void deit_describe(const deit_model *model, deit_info *info) {
    const model_config *config = &model->config;
    *info = (deit_info){.name = config->name,
                        .classes = config->classes,
                        .image = config->image,
                        .crop = config->crop,
                        .bicubic = config->interpolation == MODEL_BICUBIC,
                        .parameters = model->parameters,
                        .gflop = model->gflop,
                        .workers = model->net->workers,
                        .threads = model->net->threads,
                        .width = model->net->width};
    memcpy(info->mean, config->mean, sizeof info->mean);
    memcpy(info->std, config->std, sizeof info->std);
}

/* ---- Answering --------------------------------------------------------------------------------------------------- */

static bool model_stopped(const deit_model *model) {
    return model->cancel && *model->cancel;
}

deit_status deit_forward(deit_model *model, size_t n, const float *input, float *logits) {
    size_t image = 3 * (size_t)model->config.image * (size_t)model->config.image,
           step = (size_t)model->net->options.batch;
    for (size_t done = 0; done < n; done += step) {
        if (model_stopped(model)) return api_status(base_fail_as(BASE_CANCELLED, "stopped"));
        size_t now = n - done < step ? n - done : step;
        base_status status =
            model_net_run(model->net, (int64_t)now, input + done * image, logits + done * (size_t)model->net->width);
        if (status) return api_status(status);
    }
    return DEIT_OK;
}

/* Prepares image number `index` of the caller's: out: [3, image, image]. */
static base_status model_prepare(const deit_model *model, const deit_image *image, size_t index, float *out) {
    image_transform transform = eval_transform(&model->config);
    if (transform.fit == IMAGE_FIT_NONE) transform.fit = IMAGE_FIT_RESIZE;
    char name[32];
    snprintf(name, sizeof name, "image %zu", index);
    if (!image->width) return image_eval(model->worker, &transform, image->data, image->size, name, out);
    if (image->width < 0 || image->height < 1)
        return base_fail_as(BASE_USAGE, "%s: %d x %d is no size", name, image->width, image->height);
    size_t bytes = 3 * (size_t)image->width * (size_t)image->height;
    if (image->size < bytes)
        return base_fail_as(BASE_USAGE, "%s: %d x %d pixels take %zu bytes, found %zu", name, image->width,
                            image->height, bytes, image->size);
    return image_eval_pixels(model->worker, &transform, image->data, image->width, image->height, name, out);
}

/* Images first .. first + n - 1, n at most the batch, into model->input and through the network. */
static base_status model_batch(deit_model *model, const deit_image *images, size_t first, size_t n, float *logits) {
    size_t size = 3 * (size_t)model->config.image * (size_t)model->config.image;
    for (size_t i = 0; i < n; i++)
        BASE_TRY(model_prepare(model, &images[first + i], first + i, model->input + i * size));
    return model_net_run(model->net, (int64_t)n, model->input, logits);
}

deit_status deit_logits(deit_model *model, size_t n, const deit_image *images, float *logits) {
    size_t step = (size_t)model->net->options.batch, width = (size_t)model->net->width;
    for (size_t done = 0; done < n; done += step) {
        if (model_stopped(model)) return api_status(base_fail_as(BASE_CANCELLED, "stopped"));
        base_status status = model_batch(model, images, done, n - done < step ? n - done : step, logits + done * width);
        if (status) return api_status(status);
    }
    return DEIT_OK;
}

static void model_best(const deit_model *model, const float *logits, int k, deit_class *best) {
    enum { MODEL_MOST = 64 };
    eval_class found[MODEL_MOST];
    eval_top(logits, model->config.classes, k < MODEL_MOST ? k : MODEL_MOST, found);
    for (int i = 0; i < k && i < MODEL_MOST; i++) best[i] = (deit_class){found[i].index, found[i].probability};
}

deit_status deit_classify(deit_model *model, size_t n, const deit_image *images, int k, deit_class *best) {
    if (model->net->options.features)
        return api_status(
            base_fail_as(BASE_USAGE, "this handle was opened for features: open one without to classify"));
    if (k < 1 || k > 64 || k > model->config.classes)
        return api_status(base_fail_as(BASE_USAGE, "k: expected 1 to %d, found %d",
                                       model->config.classes < 64 ? model->config.classes : 64, k));
    size_t step = (size_t)model->net->options.batch, classes = (size_t)model->config.classes;
    for (size_t done = 0; done < n; done += step) {
        if (model_stopped(model)) return api_status(base_fail_as(BASE_CANCELLED, "stopped"));
        size_t now = n - done < step ? n - done : step;
        base_status status = model_batch(model, images, done, now, model->logits);
        if (status) return api_status(status);
        for (size_t i = 0; i < now; i++)
            model_best(model, model->logits + i * classes, k, best + (done + i) * (size_t)k);
    }
    return DEIT_OK;
}

/* ---- Speed ------------------------------------------------------------------------------------------------------- */

deit_status deit_bench(const char *name, const deit_options *options, double seconds, deit_speed *speed) {
    static const deit_options none;
    if (!options) options = &none;
    model_config config;
    model_options run;
    base_status status = api_config(&config, name, &options->vit, options->image, options->classes);
    if (!status) status = model_options_of(&run, options);
    if (!status && !(seconds >= 0 && seconds <= 1e6))
        status = base_fail_as(BASE_USAGE, "seconds: expected 0 to 1e6, found %g", seconds);
    if (status) return api_status(status);
    api_log log = {options->log, options->user};
    base_context context = {.log = api_log_line, .user = &log, .cancel = options->cancel};
    int64_t batch = run.batch ? run.batch : run.schedule == MODEL_LATENCY ? 1 : 32;
    eval_speed_case one = {.config = &config,
                           .precision = run.precision,
                           .schedule = run.schedule,
                           .batch = batch,
                           .threads = run.threads};
    eval_speed *result = base_calloc(1, sizeof *result);
    if (!result) return DEIT_FAILED;
    status = eval_speed_measure(&one, 1, 5, seconds, result, &context);
    if (!status)
        *speed = (deit_speed){.images_per_s = result->images_per_s.median,
                              .min = result->images_per_s.min,
                              .max = result->images_per_s.max,
                              .samples = result->images_per_s.n,
                              .percent_of_peak = result->percent_of_peak.median,
                              .peak_gflops = result->peak_gflops,
                              .workers = result->workers,
                              .threads = result->threads,
                              .batch = (int)result->batch};
    base_free(result);
    return api_status(status);
}
