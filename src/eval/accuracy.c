/* accuracy: a network over a data set. */
#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    eval_result *result;
    int classes;
    const data_set *set;
    const data_real *real; // NULL: none
    int64_t batches, right1, right5, real_right;
    double loss; // sum of the batches' means
} accuracy_sums;

/* How many classes come before the label: those with a larger logit, or an equal one and a smaller index. Comparisons
 * with what is not a number are false, so such a label is never right. */
static int accuracy_rank(const float *logits, int classes, int label) {
    if (isnan(logits[label])) return classes;
    int before = 0;
    for (int c = 0; c < classes; c++)
        before += logits[c] > logits[label] || (c < label && logits[c] == logits[label]) || isnan(logits[c]);
    return before;
}

/* -log softmax(logits)[label] */
static double accuracy_loss(const float *logits, int classes, int label) {
    double most = (double)logits[0], sum = 0;
    for (int c = 1; c < classes; c++)
        if ((double)logits[c] > most) most = (double)logits[c];
    for (int c = 0; c < classes; c++) sum += exp((double)logits[c] - most);
    return log(sum) + most - (double)logits[label];
}

/* ReaL: right if the best class is in the file's list; files with an empty list do not count. */
static void accuracy_real(accuracy_sums *sums, int64_t item, const float *logits) {
    int file = data_val_index(sums->set, item);
    if (file < 0 || !data_real_count(sums->real, file)) return;
    eval_class best;
    eval_top(logits, sums->classes, 1, &best);
    sums->result->real_images++;
    sums->real_right += data_real_right(sums->real, file, best.index);
}

/* logits: [batch->n, classes] */
static void accuracy_add(accuracy_sums *sums, const data_batch *batch, const float *logits) {
    double loss = 0;
    for (int64_t i = 0; i < batch->n; i++, logits += sums->classes) {
        int label = batch->labels[i], rank = accuracy_rank(logits, sums->classes, label);
        sums->right1 += rank < 1;
        sums->right5 += rank < 5;
        loss += accuracy_loss(logits, sums->classes, label);
        if (sums->real) accuracy_real(sums, batch->items[i], logits);
    }
    sums->loss += loss / (double)batch->n;
    sums->batches++;
    sums->result->images += batch->n;
}

static void accuracy_finish(accuracy_sums *sums, double seconds) {
    eval_result *r = sums->result;
    double n = (double)r->images;
    r->top1 = 100 * (double)sums->right1 / n;
    r->top5 = 100 * (double)sums->right5 / n;
    r->loss = sums->loss / (double)sums->batches;
    r->real = r->real_images ? 100 * (double)sums->real_right / (double)r->real_images : -1;
    r->images_per_s = n / seconds;
}

static void accuracy_progress(const accuracy_sums *sums, const data_loader *loader, const base_context *context) {
    char note[64];
    const eval_result *r = sums->result;
    snprintf(note, sizeof note, "top-1 %.2f", 100 * (double)sums->right1 / (double)r->images);
    base_progress(context, "eval", (double)(r->images + data_loader_bad(loader)), (double)data_count(sums->set),
                  "images", note);
}

static base_status accuracy_run(accuracy_sums *sums, model_net *net, data_loader *loader, float *logits,
                                const base_context *context) {
    data_batch batch;
    double start = base_now();
    for (;;) {
        BASE_TRY(data_loader_next(loader, &batch));
        if (!batch.n) break;
        BASE_TRY(model_net_run(net, batch.n, batch.images, logits));
        accuracy_add(sums, &batch, logits);
        accuracy_progress(sums, loader, context);
        if (base_cancelled(context)) return base_fail_as(BASE_CANCELLED, "stopped");
    }
    sums->result->bad = data_loader_bad(loader);
    sums->result->loader_seconds = data_loader_seconds(loader);
    if (!sums->result->images) return base_fail("%s: none of its files could be read", data_path(sums->set));
    accuracy_finish(sums, base_now() - start);
    return BASE_OK;
}

/* Some file must have a place in real.json, whose classes are ImageNet's. */
static base_status accuracy_check_real(const data_set *set, const char *path) {
    for (int64_t i = 0; i < data_count(set); i++) {
        if (data_val_index(set, i) < 0) continue;
        if (data_classes(set) == DATA_IMAGENET_CLASSES) return BASE_OK;
        return base_fail("%s: %s is of ImageNet's 1000 classes, and this has %d", data_path(set), path,
                         data_classes(set));
    }
    return base_fail("%s: no file is named ILSVRC2012_val_NNNNNNNN, so %s says nothing about it; without that file the "
                     "other accuracies are measured",
                     data_path(set), path);
}

/* Up to 32 pixels the authors neither resize nor crop. */
DEIT_INTERNAL image_transform eval_transform(const model_config *config) {
    image_transform transform = {.size = config->image,
                                 .crop = config->image > 32 ? config->crop : 0,
                                 .filter = config->interpolation == MODEL_BICUBIC ? IMAGE_BICUBIC : IMAGE_BILINEAR};
    memcpy(transform.mean, config->mean, sizeof transform.mean);
    memcpy(transform.std, config->std, sizeof transform.std);
    return transform;
}

static base_status accuracy_open_real(const data_set *set, const char *path, data_real **real) {
    BASE_TRY(accuracy_check_real(set, path));
    return data_real_open(real, path);
}

DEIT_INTERNAL base_status eval_accuracy(eval_result *result, model_net *net, data_set *set, const eval_options *options,
                                        const base_context *context) {
    *result = (eval_result){.real = -1};
    const model_config *config = &net->config;
    data_loader_options loading = {.batch = options->batch > 0 ? options->batch : EVAL_BATCH,
                                   .threads = options->loader_threads,
                                   .transform = eval_transform(config),
                                   .max_bad = options->max_bad};
    loading.transform.fit = options->fit;
    data_real *real = NULL;
    data_loader *loader = NULL;
    float *logits = NULL;
    accuracy_sums sums = {.result = result, .classes = config->classes, .set = set};
    BASE_TRY(data_check_classes(set, config->classes, config->name));
    base_status status = options->real ? accuracy_open_real(set, options->real, &real) : BASE_OK;
    sums.real = real;
    if (!status && !(logits = base_malloc((size_t)loading.batch * (size_t)config->classes * sizeof *logits)))
        status = BASE_ERROR;
    if (!status) status = data_loader_open(&loader, set, &loading, context);
    if (!status) status = accuracy_run(&sums, net, loader, logits, context);
    data_loader_close(loader);
    base_free(logits);
    data_real_close(real);
    return status;
}
