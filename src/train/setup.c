/* What a run works with: data, network, teacher, optimizer, evaluation; and what it will cost. */
#include "train/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- The network ------------------------------------------------------------------------------------------------- */

/* Flags that describe a vit, given for a network that has a name of its own. */
static base_status setup_check_named(const train_options *o) {
    static const char *const own[] = {"patch", "dim", "depth", "heads", "distilled"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        const train_option *option = train_option_find(own[i]);
        char text[80];
        if (strcmp(train_option_text(o, option, text), option->preset))
            return base_fail_as(BASE_USAGE, "--%s describes --model vit; %s is defined by its name", own[i], o->model);
    }
    return BASE_OK;
}

DEIT_INTERNAL base_status train_network(const train_options *o, int classes, model_config *config) {
    if (strcmp(o->model, "vit")) {
        BASE_TRY(model_find(o->model, config));
        BASE_TRY(setup_check_named(o));
    } else {
        *config = model_vit();
        config->patch = (int)o->patch, config->dim = (int)o->dim, config->depth = (int)o->depth;
        config->heads = (int)o->heads, config->distilled = o->distilled > 0;
    }
    if (o->input_size) config->image = (int)o->input_size;
    config->crop = o->eval_crop_ratio;
    config->classes = classes;
    config->drop = o->drop, config->drop_path = o->drop_path;
    return config->family->check(config) ? BASE_USAGE : BASE_OK;
}

/* ---- Data -------------------------------------------------------------------------------------------------------- */

static base_status setup_data(train_session *s) {
    const train_options *o = s->options;
    if (!*o->data_path) return base_fail_as(BASE_USAGE, "expected --data-path PATH");
    data_options train = {.path = o->data_path, .split = o->train_split},
                 test = {.path = o->data_path, .split = *o->test_split ? o->test_split : "val"};
    BASE_TRY(data_open(&s->test, &test, s->context));
    BASE_TRY(data_open(&s->train, &train, s->context));
    BASE_TRY(data_check_same(s->train, s->test));
    return o->eval > 0 ? BASE_OK : data_hold(s->train, s->context);
}

static data_training setup_training(const train_session *s) {
    const train_options *o = s->options;
    data_training training = {.augment = data_augment_official(),
                              .classes = s->config.classes,
                              .seed = (uint64_t)o->seed,
                              .epoch = s->state.epoch,
                              .step = s->state.pass,
                              .passes = o->accumulate};
    data_augment *a = &training.augment;
    a->aa = o->aa, a->color_jitter = o->color_jitter;
    a->interpolation = (data_interpolation)o->train_interpolation;
    a->reprob = o->reprob, a->remode = (data_erase_mode)o->remode, a->recount = (int)o->recount;
    a->three_augment = o->three_augment > 0, a->src = o->simple_crop > 0, a->no_aug = !o->augment;
    a->mixup = o->mixup, a->cutmix = o->cutmix, a->mixup_prob = o->mixup_prob;
    a->mixup_switch_prob = o->mixup_switch_prob, a->mixup_mode = (data_mix_mode)o->mixup_mode;
    for (int i = 0; i < 2; i++) a->cutmix_minmax[i] = o->cutmix_minmax[i] > 0 ? o->cutmix_minmax[i] : 0;
    a->smoothing = o->smoothing, a->repeated_aug = o->repeated_aug > 0;
    return training;
}

static base_status setup_passes(train_session *s) {
    const train_options *o = s->options;
    data_training training = setup_training(s);
    BASE_TRY(data_augment_check(&training.augment, o->batch_size));
    s->passes = data_epoch_batches(data_count(s->train), o->batch_size, &training);
    if (s->passes) return BASE_OK;
    return base_fail("%s: its %lld images an epoch are less than one step, --batch-size %lld times --accumulate %lld: "
                     "make the step smaller",
                     data_path(s->train),
                     (long long)(data_epoch_samples(data_count(s->train), &training) * o->accumulate),
                     (long long)o->batch_size, (long long)o->accumulate);
}

DEIT_INTERNAL base_status train_session_load(train_session *s) {
    data_training training = setup_training(s);
    data_loader_options loading = {.batch = s->options->batch_size,
                                   .threads = (int)s->options->num_workers,
                                   .transform = eval_transform(&s->config),
                                   .max_bad = s->options->max_bad,
                                   .training = &training};
    loading.transform.fit = (image_fit)s->options->fit;
    return data_loader_open(&s->loader, s->train, &loading, &s->steady);
}

/* ---- Networks ---------------------------------------------------------------------------------------------------- */

/* begun: a checkpoint follows, so that the values do not matter, and the --finetune file may be gone. */
static base_status setup_net(train_session *s, bool begun) {
    const train_options *o = s->options;
    bool finetune = *o->finetune != 0, evaluation = o->train_mode < 0 ? finetune : !o->train_mode;
    train_net_options options = {.batch = o->batch_size,
                                 .threads = (int)o->threads,
                                 .precision = o->precision ? NN_BF16 : NN_F32,
                                 .evaluation = evaluation,
                                 .mean = evaluation,
                                 .recompute = o->recompute > 0,
                                 .freeze = o->freeze,
                                 .distillation = (train_distillation)o->distillation_type,
                                 .alpha = o->distillation_alpha,
                                 .tau = o->distillation_tau};
    model_weights *weights;
    model_weights_options how = {.loose = true, .seed = (uint64_t)o->seed};
    BASE_TRY(model_weights_open(&weights, &s->config, finetune && !begun ? o->finetune : NULL, &how, s->context));
    base_status status = train_net_new(&s->net, &s->config, weights, &options);
    model_weights_close(weights);
    return status;
}

static base_status setup_teacher(train_session *s) {
    const train_options *o = s->options;
    model_config config;
    if (!*o->teacher_path)
        return base_fail_as(BASE_USAGE, "--distillation-type %s: expected --teacher-path FILE",
                            o->distillation_type == TRAIN_DISTIL_SOFT ? "soft" : "hard");
    BASE_TRY(strcmp(o->teacher_model, "vit") ? model_find(o->teacher_model, &config)
                                             : model_weights_config(o->teacher_path, &config));
    config.image = (int)(o->teacher_resolution ? o->teacher_resolution : s->config.image);
    config.classes = s->config.classes;
    BASE_TRY(config.family->check(&config));
    model_options run = {.precision = s->net->options.precision, .batch = o->batch_size, .threads = (int)o->threads};
    BASE_TRY(train_teacher_new(&s->teacher, &config, o->teacher_path, &s->config, &run, s->context));
    s->teacher_logits = base_malloc((size_t)o->batch_size * (size_t)config.classes * sizeof(float));
    return s->teacher_logits ? BASE_OK : BASE_ERROR;
}

/* Evaluation answers with the weights of the moment: the plan is refreshed each time. */
static base_status setup_eval(train_session *s) {
    const train_options *o = s->options;
    model_options run = {.precision = o->precision ? NN_BF16 : NN_F32,
                         .batch = o->batch_size + o->batch_size / 2, // the official script's
                         .threads = (int)o->threads,
                         .head = (model_head)o->head};
    return model_net_new(&s->eval, &s->config, NULL, &run);
}

static base_status setup_optimizer(train_session *s) {
    const nn_params *params = s->net->params;
    bool statistics = false;
    for (int i = 0; i < params->count; i++) statistics |= params->params[i].buffer;
    if (statistics && s->options->accumulate > 1 &&
        !(s->statistics = base_malloc((size_t)params->size * sizeof(float))))
        return BASE_ERROR;
    BASE_TRY(train_optimizer_new(&s->optimizer, (train_rule)s->options->opt, s->net->params, s->net->options.threads));
    if (s->options->model_ema <= 0) return BASE_OK;
    if (!(s->ema = base_malloc((size_t)(params->size + 1) * sizeof(float)))) return BASE_ERROR;
    memcpy(s->ema, params->values, (size_t)params->size * sizeof(float));
    return BASE_OK;
}

/* --data may name another place, and not other data. */
static base_status setup_same_data(train_session *s) {
    int64_t images = data_count(s->train), tests = data_count(s->test);
    if (s->state.images && (s->state.images != images || s->state.tests != tests) && s->options->eval <= 0)
        return base_fail("%s: the run was begun with %lld images to train on and %lld to test, %s has %lld and %lld: "
                         "go on with the same data, or begin another run",
                         s->folder.path, (long long)s->state.images, (long long)s->state.tests, s->options->data_path,
                         (long long)images, (long long)tests);
    if (s->state.pass > s->passes && s->options->eval <= 0)
        return base_fail("%s: stands at pass %lld of an epoch that has %lld now: the data or --batch-size changed",
                         s->folder.path, (long long)s->state.pass, (long long)s->passes);
    s->state.images = images, s->state.tests = tests;
    int64_t all = s->state.step * s->options->accumulate;    // passes of the run
    if (s->state.pass && s->state.epoch_seconds <= 0 && all) // a checkpoint of an older version
        s->state.epoch_seconds = s->state.seconds * (double)s->state.pass / (double)all;
    return BASE_OK;
}

DEIT_INTERNAL base_status train_session_open(train_session *s, bool resume) {
    const train_options *o = s->options;
    const double begun = base_cpu_now();
    if (strstr(o->finetune, "://") || strstr(o->teacher_path, "://"))
        return base_fail_as(BASE_USAGE, "%s: expected a file; 'deit weights fetch' gets public weights",
                            strstr(o->finetune, "://") ? o->finetune : o->teacher_path);
    if (o->start_epoch >= o->epochs + o->cooldown_epochs && o->eval <= 0)
        return base_fail_as(BASE_USAGE, "--start-epoch %lld: the last epoch of --epochs %lld is %lld; nothing is left",
                            (long long)o->start_epoch, (long long)o->epochs,
                            (long long)(o->epochs + o->cooldown_epochs - 1));
    s->schedule = train_schedule_of(o);
    s->state = (train_state){.epoch = o->start_epoch, .best_epoch = -1};
    const size_t held = base_memory_held();
    if (*o->output_dir) BASE_TRY(train_folder_open(&s->folder, o->output_dir, resume));
    BASE_TRY(setup_data(s));
    s->data_bytes = base_memory_held() - held;
    BASE_TRY(train_network(o, data_classes(s->train), &s->config));
    if (o->eval <= 0) BASE_TRY(setup_passes(s));
    BASE_TRY(setup_net(s, resume && train_checkpoint_any(s->folder.path)));
    BASE_TRY(setup_optimizer(s));
    if (o->distillation_type && o->eval <= 0) BASE_TRY(setup_teacher(s));
    BASE_TRY(setup_eval(s));
    if (resume) BASE_TRY(train_checkpoint_load(s->folder.path, s->net, s->optimizer, s->ema, &s->state, s->context));
    s->cpu_before = s->state.cpu_seconds - begun;
    return setup_same_data(s);
}

DEIT_INTERNAL void train_session_close(train_session *s) {
    data_loader_close(s->loader);
    model_net_free(s->eval);
    train_teacher_free(s->teacher);
    train_optimizer_free(s->optimizer);
    train_net_free(s->net);
    base_free(s->ema);
    base_free(s->statistics);
    base_free(s->teacher_logits);
    data_close(s->train);
    data_close(s->test);
    train_folder_close(&s->folder);
}

/* ---- What it costs ----------------------------------------------------------------------------------------------- */

/* What a batch's pictures take, all cores at it: the first of a loader of their own. */
static base_status setup_time_pictures(train_session *s, double *seconds) {
    double start = base_now();
    data_batch batch;
    BASE_TRY(train_session_load(s));
    base_status status = data_loader_next(s->loader, &batch);
    *seconds = base_now() - start;
    data_loader_close(s->loader);
    s->loader = NULL;
    return status;
}

/* Times one pass and one evaluation batch on grey images, after one of each to warm up, and a batch's pictures, which
 * the same cores make; leaves no trace in the weights (batch norm moves its running statistics). */
static base_status setup_time(train_session *s) {
    const nn_params *params = s->net->params;
    int64_t batch = s->options->batch_size, test = s->eval->options.batch, classes = s->config.classes,
            pixels = 3 * (int64_t)s->config.image * s->config.image;
    float *images = base_calloc((size_t)(test * pixels), sizeof *images),
          *rows = base_calloc((size_t)(test * classes), sizeof *rows),
          *kept = base_malloc((size_t)(params->size + 1) * sizeof *kept), loss;
    base_status status = images && rows && kept ? BASE_OK : BASE_ERROR;
    if (!status) memcpy(kept, params->values, (size_t)params->size * sizeof *kept);
    for (int i = 0; i < 2 && !status; i++) {
        double start = base_now();
        if (s->teacher) status = train_teacher_run(s->teacher, batch, images, s->teacher_logits);
        if (!status) status = train_net_gradients(s->net, images, rows, s->teacher_logits, false, 0, 0, &loss);
        s->pass_seconds = base_now() - start;
        if (!status) status = model_net_run(s->eval, test, images, rows);
        s->test_seconds = (base_now() - start - s->pass_seconds) * (double)data_count(s->test) / (double)test;
        memset(rows, 0, (size_t)(test * classes) * sizeof *rows);
    }
    double pictures = 0;
    if (!status) status = setup_time_pictures(s, &pictures);
    s->pass_seconds += pictures;
    if (kept) memcpy(params->values, kept, (size_t)params->size * sizeof *kept);
    base_free(images);
    base_free(rows);
    base_free(kept);
    return status;
}

DEIT_INTERNAL bool train_evaluates(const train_options *o, int64_t epoch) {
    return (epoch + 1) % o->val_interval == 0 || epoch + 1 >= o->epochs + o->cooldown_epochs;
}

DEIT_INTERNAL double train_session_left(const train_session *s) {
    const train_options *o = s->options;
    int64_t epochs = o->epochs + o->cooldown_epochs, evaluations = 0;
    for (int64_t epoch = s->state.epoch; epoch < epochs; epoch++) evaluations += train_evaluates(o, epoch);
    double passes = (double)((epochs - s->state.epoch) * s->passes - s->state.pass);
    double tests = (double)(s->ema ? 2 * evaluations : evaluations); // of the weights, and of their average
    return passes * s->pass_seconds + tests * s->test_seconds;
}

DEIT_INTERNAL char *train_time_text(double seconds, char text[32]) {
    long long t = (long long)(seconds + 0.5);
    if (t >= 100 * 3600LL)
        snprintf(text, 32, "%lld days", (t + 43200) / 86400);
    else if (t >= 3600)
        snprintf(text, 32, "%lld:%02lld:%02lld", t / 3600, t / 60 % 60, t % 60);
    else
        snprintf(text, 32, "%lld:%02lld", t / 60, t % 60);
    return text;
}

static void setup_say_memory(const train_session *s) {
    size_t packed, arena, eval_packed, eval_arena;
    double arrays = 2 + (s->optimizer->second ? 2 : 1) + (s->ema ? 1 : 0), size = 4.0 * (double)s->net->params->size;
    nn_plan_memory(s->net->plan, &packed, &arena);
    nn_plan_memory(s->eval->plan, &eval_packed, &eval_arena);
    double state = arrays * size, training = (double)(packed + arena), evaluation = (double)(eval_packed + eval_arena),
           teacher = s->teacher ? (double)train_teacher_memory(s->teacher) : 0,
           pictures = (double)s->data_bytes + data_loader_bytes(s->options->batch_size, s->config.image) +
                      data_loader_bytes(s->eval->options.batch, s->config.image);
    char last[32] = "";
    if (s->teacher) snprintf(last, sizeof last, ", teacher %.2f", teacher * 1e-9);
    base_log(s->context, BASE_LOG_INFO,
             "memory: %.2f GB (weights, gradients and optimizer %.2f, training %.2f, evaluation %.2f%s, pictures %.2f)",
             (state + training + evaluation + teacher + pictures) * 1e-9, state * 1e-9, training * 1e-9,
             evaluation * 1e-9, last, pictures * 1e-9);
}

/* RECIPE: what people trip over. */
static void setup_warn(const train_session *s) {
    const train_options *o = s->options;
    if (!s->folder.path) base_log(s->context, BASE_LOG_WARNING, "without --output-dir nothing is kept");
    int64_t images = o->batch_size * o->accumulate;
    if (s->config.dim >= 768 && !*o->finetune && images <= 512)
        base_log(s->context, BASE_LOG_WARNING,
                 "%s trained with %lld images a step loses up to 3 points: the recipe takes 1024 (--accumulate %lld)",
                 s->config.name, (long long)images, (long long)((1024 + o->batch_size - 1) / o->batch_size));
    if (s->config.dim >= 768 && !*o->finetune && o->warmup_epochs > 5)
        base_log(s->context, BASE_LOG_WARNING,
                 "%s after %g epochs of warm-up lost 2 points in others' hands: the recipe takes 5", s->config.name,
                 o->warmup_epochs);
    if (*o->teacher_path && !o->distillation_type)
        base_log(s->context, BASE_LOG_WARNING, "--teacher-path is not read without --distillation-type");
    if (o->warmup_epochs >= (double)o->epochs)
        base_log(s->context, BASE_LOG_WARNING,
                 "--warmup-epochs %g: the rate does not rise to its full value in %lld epochs", o->warmup_epochs,
                 (long long)o->epochs);
}

DEIT_INTERNAL base_status train_session_say(train_session *s) {
    const train_options *o = s->options;
    int64_t left = o->epochs + o->cooldown_epochs - s->state.epoch;
    char time[32];
    BASE_TRY(setup_time(s));
    setup_warn(s);
    base_log(s->context, BASE_LOG_INFO,
             "%s: %.1f M parameters to train, %.2f GFLOP an image forward; %s, %d threads, %s", s->config.name,
             (double)s->net->trained * 1e-6, s->net->gflop, nn_isa_name(), s->net->options.threads,
             o->precision ? "bf16" : "f32");
    base_log(s->context, BASE_LOG_INFO, "data: %lld images of %d classes to train on, %lld to test",
             (long long)data_count(s->train), s->config.classes, (long long)data_count(s->test));
    setup_say_memory(s);
    base_log(s->context, BASE_LOG_INFO, "time: about %s: %lld epochs of %lld steps, %.3g s a step, %lld images each",
             train_time_text(train_session_left(s), time), (long long)left, (long long)(s->passes / o->accumulate),
             s->pass_seconds * (double)o->accumulate, (long long)(o->batch_size * o->accumulate));
    return BASE_OK;
}
