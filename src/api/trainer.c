/* trainer: training of deit.h, a step at a time on the caller's batches. */
#include "api/internal.h"
#include "train/train.h"

#include <string.h>

struct deit_trainer {
    model_config config;
    int batch;
    nn_params *params;
    nn_plan *plan; // images [B, 3, H, W], targets [B, K] -> loss [1], gradients into params
    train_adamw *adamw;
    train_adamw_options options;
};

/* The network, its loss and the way back. */
static base_status trainer_graph(nn_graph **out, const model_config *config, int batch) {
    *out = NULL;
    nn_graph *graph = nn_graph_new(batch);
    if (!graph) return BASE_ERROR;
    nn_graph_trains(graph);
    nn_value logits[MODEL_MAX_HEADS], x = nn_input(graph, 3, (int64_t[]){3, config->image, config->image});
    nn_value targets = nn_input(graph, 1, (int64_t[]){config->classes});
    int heads = config->family->build(config, graph, x, logits);
    nn_value answer = heads == 2 ? nn_average(graph, logits[0], logits[1]) : logits[0];
    nn_value loss = nn_cross_entropy(graph, answer, targets);
    nn_output(graph, loss);
    nn_backward(graph, loss);
    base_status status = nn_graph_status(graph);
    if (status)
        nn_graph_free(graph);
    else
        *out = graph;
    return status;
}

static base_status trainer_load(deit_trainer *trainer, const char *path, const deit_train_options *options) {
    model_weights *weights;
    model_weights_options how = {.loose = options->loose != 0, .seed = options->seed};
    BASE_TRY(model_weights_open(&weights, &trainer->config, path, &how, NULL));
    nn_source source = model_weights_source(weights);
    base_status status = BASE_OK;
    for (int i = 0; i < trainer->params->count && !status; i++) {
        const nn_param *param = &trainer->params->params[i];
        status = source.read(source.user, i, param, trainer->params->values + param->offset);
    }
    model_weights_close(weights);
    return status;
}

static base_status trainer_set(deit_trainer *trainer, const char *name, const deit_train_options *options) {
    BASE_TRY(api_config(&trainer->config, name, &options->vit, options->image, options->classes));
    if (options->batch < 1) return base_fail_as(BASE_USAGE, "batch: expected at least 1, found %d", options->batch);
    trainer->batch = options->batch;
    train_adamw_options preset = train_adamw_defaults();
    double decay = options->weight_decay != 0 ? options->weight_decay : preset.weight_decay;
    trainer->options = (train_adamw_options){.lr = options->lr != 0 ? options->lr : preset.lr,
                                             .beta1 = options->beta1 != 0 ? options->beta1 : preset.beta1,
                                             .beta2 = options->beta2 != 0 ? options->beta2 : preset.beta2,
                                             .eps = options->eps != 0 ? options->eps : preset.eps,
                                             .weight_decay = decay < 0 ? 0 : decay};
    return BASE_OK;
}

static base_status trainer_make(deit_trainer *trainer, const char *weights, const deit_train_options *options) {
    nn_graph *graph;
    BASE_TRY(trainer_graph(&graph, &trainer->config, trainer->batch));
    base_status status = nn_params_new(&trainer->params, graph, true);
    if (!status) status = trainer_load(trainer, weights, options);
    if (!status) status = train_adamw_new(&trainer->adamw, trainer->params);
    if (status) {
        nn_graph_free(graph);
        return status;
    }
    nn_plan_options plan = {.threads = api_threads(options->threads), .params = trainer->params};
    return nn_plan_new(&trainer->plan, graph, &plan);
}

deit_trainer *deit_trainer_open(const char *name, const char *weights, const deit_train_options *options) {
    static const deit_train_options none;
    if (!options) options = &none;
    deit_trainer *trainer = base_calloc(1, sizeof *trainer);
    if (!trainer) return NULL;
    base_status status = trainer_set(trainer, name, options);
    if (!status) status = trainer_make(trainer, weights, options);
    if (!status) return trainer;
    deit_trainer_close(trainer);
    return NULL;
}

void deit_trainer_close(deit_trainer *trainer) {
    if (!trainer) return;
    nn_plan_free(trainer->plan);
    train_adamw_free(trainer->adamw);
    nn_params_free(trainer->params);
    base_free(trainer);
}

deit_status deit_trainer_step(deit_trainer *trainer, const float *images, const float *targets, double lr,
                              float *loss) {
    float mean = 0;
    const float *inputs[] = {images, targets};
    float *outputs[] = {&mean};
    base_status status = nn_plan_refresh(trainer->plan, nn_params_source(trainer->params));
    if (!status) status = nn_run(trainer->plan, trainer->batch, inputs, outputs);
    if (status) return api_status(status);
    train_adamw_options options = trainer->options;
    if (lr != 0) options.lr = lr;
    train_adamw_step(trainer->adamw, &options);
    if (loss) *loss = mean;
    return DEIT_OK;
}

deit_status deit_trainer_save(deit_trainer *trainer, const char *path) {
    const nn_params *params = trainer->params;
    const char *const metadata[] = {"format", "pt", "model", trainer->config.name, NULL};
    store_tensor *tensors = base_calloc((size_t)params->count, sizeof *tensors);
    if (!tensors) return DEIT_FAILED;
    for (int i = 0; i < params->count; i++) {
        const nn_param *param = &params->params[i];
        tensors[i] = store_tensor_of(param->name, STORE_F32, param->ndim, param->dim, params->values + param->offset);
    }
    base_status status = store_write_safetensors(path, tensors, NULL, (size_t)params->count, metadata);
    base_free(tensors);
    return api_status(status);
}
