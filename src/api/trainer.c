/* trainer: training of deit.h, a step at a time on the caller's batches. */
#include "api/internal.h"
#include "train/train.h"

struct deit_trainer {
    model_config config;
    train_net *net;
    train_optimizer *optimizer;
    train_step_options options;
};

static base_status trainer_set(deit_trainer *trainer, const char *name, const deit_train_options *options) {
    BASE_TRY(api_config(&trainer->config, name, &options->vit, options->image, options->classes));
    if (options->batch < 1) return base_fail_as(BASE_USAGE, "batch: expected at least 1, found %d", options->batch);
    BASE_TRY(api_threads(options->threads));
    train_step_options preset = train_adamw_defaults();
    double decay = options->weight_decay != 0 ? options->weight_decay : preset.weight_decay;
    trainer->options = (train_step_options){.lr = options->lr != 0 ? options->lr : preset.lr,
                                            .beta1 = options->beta1 != 0 ? options->beta1 : preset.beta1,
                                            .beta2 = options->beta2 != 0 ? options->beta2 : preset.beta2,
                                            .eps = options->eps != 0 ? options->eps : preset.eps,
                                            .weight_decay = decay < 0 ? 0 : decay};
    const train_step_options *o = &trainer->options;
    if (o->lr > 0 && o->lr < 1e6 && o->beta1 > 0 && o->beta1 < 1 && o->beta2 > 0 && o->beta2 < 1 && o->eps > 0 &&
        o->eps < 1 && o->weight_decay < 1e6)
        return BASE_OK;
    return base_fail_as(BASE_USAGE,
                        "expected lr, beta1, beta2, eps and weight_decay above 0, betas and eps below 1; found %g, %g, "
                        "%g, %g, %g",
                        o->lr, o->beta1, o->beta2, o->eps, o->weight_decay);
}

static base_status trainer_make(deit_trainer *trainer, const char *path, const deit_train_options *options) {
    model_weights *weights;
    model_weights_options how = {
        .loose = options->loose != 0, .loosen = "loose = 1 in the options", .seed = options->seed};
    base_machine machine;
    base_machine_read(&machine);
    int threads = options->threads ? options->threads : machine.cores;
    train_net_options net = {.batch = options->batch, .threads = threads, .mean = true};
    api_log log = {options->log, options->user};
    base_context context = {.log = api_log_line, .user = &log};
    BASE_TRY(model_weights_open(&weights, &trainer->config, path, &how, &context));
    base_status status = train_net_new(&trainer->net, &trainer->config, weights, &net);
    model_weights_close(weights);
    if (status) return status;
    return train_optimizer_new(&trainer->optimizer, TRAIN_ADAMW, trainer->net->params, net.threads);
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
    train_optimizer_free(trainer->optimizer);
    train_net_free(trainer->net);
    base_free(trainer);
}

deit_status deit_trainer_step(deit_trainer *trainer, const float *images, const float *targets, double lr,
                              float *loss) {
    float mean = 0;
    if (!(lr >= 0 && lr < 1e6))
        return api_status(base_fail_as(
            BASE_USAGE, "lr: expected a number above 0 and below 1e6, or 0 (that of the options), found %g", lr));
    base_status status = train_net_gradients(trainer->net, images, targets, NULL, false, 0, 0, &mean);
    if (status) return api_status(status);
    train_step_options options = trainer->options;
    if (lr != 0) options.lr = lr;
    train_optimizer_step(trainer->optimizer, &options, 1);
    if (loss) *loss = mean;
    return DEIT_OK;
}

deit_status deit_trainer_save(deit_trainer *trainer, const char *path) {
    const nn_params *params = trainer->net->params;
    for (int i = 0; i < params->count; i++) {
        const nn_param *param = &params->params[i];
        const float *values = params->values + param->offset;
        int64_t bad = nn_first_not_finite(values, param->count);
        if (bad >= 0)
            return api_status(base_fail("%s: not written: tensor %s: element %lld is %g, not a finite number; train "
                                        "again from good weights, with a lower lr",
                                        path, param->name, (long long)bad, (double)values[bad]));
    }
    return api_status(train_weights_write(path, &trainer->config, params, params->values));
}
