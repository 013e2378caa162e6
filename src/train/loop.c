/* The loop: steps, epochs, evaluation, checkpoints. */
#include "train/internal.h"

#include <math.h>
#include <string.h>

enum { LOOP_SAVE_SECONDS = 1800 };

/* What the loop itself needs to know beside the session. */
typedef struct {
    train_session *s;
    double lr;
    double begun, saved; // seconds: this epoch's training (in this process), the last checkpoint
    int64_t first_pass;  // of this epoch in this process
    train_result *result;
} loop_run;

/* ---- A step ------------------------------------------------------------------------------------------------------ */

/* Names the tensor that went bad first: a weight; else what the last pass computed; else a gradient of one before it.
 */
static base_status loop_not_finite(const loop_run *r, const char *what, double value) {
    const train_session *s = r->s;
    char first[160] = "", *last = s->folder.path ? base_path_join(s->folder.path, "last.safetensors") : NULL;
    bool kept = last && base_path_exists(last);
    base_free(last);
    const char *weight = train_net_bad(s->net, false), *gradient = weight ? NULL : train_net_bad(s->net, true);
    if (weight)
        snprintf(first, sizeof first, "weight %s", weight);
    else
        BASE_TRY(train_net_first_bad(s->net, s->batch.images, s->batch.targets, first));
    if (!*first && gradient) snprintf(first, sizeof first, "gradient of %s", gradient);
    return base_fail(
        "step %lld (epoch %lld): the %s is %g at learning rate %g%s%s%s%s: try a lower --lr, or --clip-grad 1",
        (long long)s->state.step + (s->state.pass < s->passes), (long long)s->state.epoch + 1, what, value, r->lr,
        *first ? "; first tensor that went bad: " : "", first, kept ? "; the last good checkpoint stays in " : "",
        kept ? s->folder.path : "");
}

/* The next batch of this epoch; what is left over of one before it (less than a step) is passed by. */
static base_status loop_batch(train_session *s) {
    data_batch *batch = &s->batch;
    for (;;) {
        BASE_TRY(data_loader_next(s->loader, batch));
        if (batch->epoch == s->state.epoch && batch->step == s->state.pass) return BASE_OK;
        if (batch->epoch >= s->state.epoch && batch->step < s->passes)
            return base_fail("the loader gave batch %lld of epoch %lld, expected %lld of %lld", (long long)batch->step,
                             (long long)batch->epoch, (long long)s->state.pass, (long long)s->state.epoch);
    }
}

/* How many images have their best logit where their target is largest. */
static int64_t loop_right(const float *logits, const float *targets, int64_t n, int classes) {
    int64_t right = 0;
    for (int64_t i = 0; i < n; i++, logits += classes, targets += classes) {
        int best = 0, wanted = 0;
        for (int k = 1; k < classes; k++) {
            best = logits[k] > logits[best] ? k : best;
            wanted = targets[k] > targets[wanted] ? k : wanted;
        }
        right += best == wanted;
    }
    return right;
}

static base_status loop_pass(const loop_run *r, bool add) {
    train_session *s = r->s;
    const data_batch *batch = &s->batch;
    float loss = 0;
    BASE_TRY(loop_batch(s));
    if (s->teacher) BASE_TRY(train_teacher_run(s->teacher, batch->n, batch->images, s->teacher_logits));
    uint64_t pass = (uint64_t)(s->state.epoch * s->passes + s->state.pass);
    base_status status = train_net_gradients(s->net, batch->images, batch->targets, s->teacher_logits, add,
                                             (uint64_t)s->options->seed, pass, &loss);
    if (status && train_net_bad(s->net, false)) return loop_not_finite(r, "loss", NAN);
    if (status) return status;
    if (!isfinite(loss)) return loop_not_finite(r, "loss", (double)loss);
    s->state.loss_sum += (double)loss;
    s->state.right += loop_right(s->net->logits, batch->targets, batch->n, s->config.classes);
    s->state.seen += batch->n;
    s->state.pass++;
    return BASE_OK;
}

/* Batch norm's running statistics to or from where they wait for the end of a step. */
static void loop_statistics(const train_session *s, bool back) {
    const nn_params *params = s->net->params;
    for (int i = 0; s->statistics && i < params->count; i++) {
        const nn_param *param = &params->params[i];
        float *now = params->values + param->offset, *kept = s->statistics + param->offset;
        if (param->buffer) memcpy(back ? now : kept, back ? kept : now, (size_t)param->count * sizeof(float));
    }
}

/* A step of many passes that is to be stopped is as if it had not begun: minutes later may be too late. */
static base_status loop_step(const loop_run *r) {
    train_session *s = r->s;
    const train_options *o = s->options;
    const train_state before = s->state;
    loop_statistics(s, false);
    for (int64_t k = 0; k < o->accumulate; k++) {
        if (k && base_cancelled(s->context)) {
            s->state = before;
            loop_statistics(s, true);
            return BASE_CANCELLED;
        }
        BASE_TRY(loop_pass(r, k > 0));
    }
    double share = 1 / (double)o->accumulate, norm = train_gradient_norm(s->optimizer) * share;
    if (!isfinite(norm)) return loop_not_finite(r, "norm of the gradients", norm);
    train_step_options step = {.lr = r->lr,
                               .weight_decay = o->weight_decay,
                               .beta1 = o->opt_betas[0],
                               .beta2 = o->opt_betas[1],
                               .eps = o->opt_eps,
                               .momentum = o->momentum};
    train_optimizer_step(s->optimizer, &step, share * train_clip(norm, o->clip_grad));
    if (s->ema) train_ema_update(s->ema, s->net->params, o->model_ema_decay, s->net->options.threads);
    s->state.step++;
    return BASE_OK;
}

/* ---- Saving and showing ------------------------------------------------------------------------------------------ */

/* What users look for, by the newest checkpoint. */
static base_status loop_name(const train_session *s) {
    BASE_TRY(train_checkpoint_link(s->folder.path, s->state.step, false, "last"));
    return s->ema ? train_checkpoint_link(s->folder.path, s->state.step, true, "last_ema") : BASE_OK;
}

/* A process killed right after a checkpoint has not named it yet. */
static base_status loop_name_again(const train_session *s) {
    bool best = s->state.best_epoch >= 0 && s->state.best_epoch == s->state.epoch - 1 && !s->state.pass;
    BASE_TRY(loop_name(s));
    return best ? train_checkpoint_link(s->folder.path, s->state.step, false, "best") : BASE_OK;
}

static base_status loop_save(loop_run *r) {
    train_session *s = r->s;
    s->state.cpu_seconds = s->cpu_before + base_cpu_now();
    if (!s->folder.path) return BASE_OK;
    if (train_net_bad(s->net, false)) return loop_not_finite(r, "next loss", NAN);
    BASE_TRY(train_checkpoint_save(s->folder.path, s->net, s->optimizer, s->ema, &s->state));
    BASE_TRY(loop_name(s));
    r->saved = base_now();
    return BASE_OK;
}

static bool loop_save_now(const loop_run *r) {
    int64_t every = r->s->options->save_steps;
    return every ? r->s->state.step % every == 0 : base_now() - r->saved > LOOP_SAVE_SECONDS;
}

/* Images a second of this epoch's training. */
static double loop_speed(const train_state *state) {
    return state->epoch_seconds > 0 ? (double)state->seen / state->epoch_seconds : 0;
}

static void loop_show(loop_run *r) {
    train_session *s = r->s;
    const train_state *state = &s->state;
    char what[48], note[128], time[32];
    int64_t done = state->pass - r->first_pass, batch = s->options->batch_size;
    if (done) s->pass_seconds = (base_now() - r->begun) / (double)done;
    snprintf(what, sizeof what, "epoch %lld/%lld", (long long)state->epoch + 1,
             (long long)(s->options->epochs + s->options->cooldown_epochs));
    snprintf(note, sizeof note, "loss %.4f, acc %.2f, lr %.3g, %s left in all",
             state->pass ? state->loss_sum / (double)state->pass : 0,
             state->seen ? 100 * (double)state->right / (double)state->seen : 0, r->lr,
             train_time_text(train_session_left(s), time));
    base_progress(s->context, what, (double)(done * batch), (double)((s->passes - r->first_pass) * batch), "images",
                  state->pass ? note : NULL);
}

static base_status loop_stopped(loop_run *r) {
    const train_session *s = r->s;
    BASE_TRY(loop_save(r));
    base_text folder = {0};
    if (s->folder.path) base_text_shell(&folder, s->folder.path);
    if (folder.data)
        base_log(s->context, BASE_LOG_INFO, "stopped after step %lld; go on with: deit train --resume %s",
                 (long long)s->state.step, folder.data);
    base_text_free(&folder);
    return base_fail_as(BASE_CANCELLED, "stopped");
}

/* ---- An epoch ---------------------------------------------------------------------------------------------------- */

static base_status loop_train(loop_run *r) {
    train_session *s = r->s;
    r->begun = base_now(), r->first_pass = s->state.pass;
    loop_show(r);
    while (s->state.pass < s->passes) {
        double start = base_now();
        base_status status = loop_step(r);
        if (status == BASE_CANCELLED) return loop_stopped(r);
        if (status) return status;
        start = base_now() - start;
        s->state.seconds += start, s->state.epoch_seconds += start;
        loop_show(r);
        if (base_cancelled(s->context)) return loop_stopped(r);
        if (s->state.pass < s->passes && loop_save_now(r)) BASE_TRY(loop_save(r));
    }
    return BASE_OK;
}

static base_status loop_read_ema(void *user, int index, const nn_param *param, float *out) {
    const train_session *s = user;
    memcpy(out, s->ema + s->net->params->params[index].offset, (size_t)param->count * sizeof(float));
    return BASE_OK;
}

static base_status loop_evaluate(train_session *s, bool ema, eval_result *result) {
    nn_source average = {loop_read_ema, s, NULL}, raw = nn_params_source(s->net->params);
    eval_options options = {.batch = s->eval->options.batch,
                            .loader_threads = (int)s->options->num_workers,
                            .max_bad = s->options->max_bad,
                            .fit = (image_fit)s->options->fit};
    double start = base_now();
    BASE_TRY(nn_plan_refresh(s->eval->plan, ema ? average : raw));
    BASE_TRY(eval_accuracy(result, s->eval, s->test, &options, s->context));
    s->test_seconds = base_now() - start;
    return BASE_OK;
}

/* A line of log.jsonl, by the official script's keys and some more. test, ema: NULL if it was not evaluated. */
static json_t *loop_line(const loop_run *r, const eval_result *test, const eval_result *ema) {
    const train_session *s = r->s;
    const train_state *state = &s->state;
    json_t *line =
        json_pack("{s:I, s:f, s:f, s:f, s:I, s:I, s:f, s:f}", "epoch", (json_int_t)state->epoch, "train_lr", r->lr,
                  "train_loss", state->loss_sum / (double)state->pass, "train_acc1",
                  100 * (double)state->right / (double)state->seen, "n_parameters", (json_int_t)s->net->trained,
                  "steps", (json_int_t)state->step, "images_per_s", loop_speed(state), "seconds", state->seconds);
    if (line && test)
        json_object_set_new(line, "test_loss", json_real(test->loss)),
            json_object_set_new(line, "test_acc1", json_real(test->top1)),
            json_object_set_new(line, "test_acc5", json_real(test->top5));
    if (line && ema)
        json_object_set_new(line, "test_ema_loss", json_real(ema->loss)),
            json_object_set_new(line, "test_ema_acc1", json_real(ema->top1)),
            json_object_set_new(line, "test_ema_acc5", json_real(ema->top5));
    return line;
}

/* The line is written before the checkpoint: a process killed in between does the epoch again and drops the line. */
static base_status loop_finish_epoch(loop_run *r, const eval_result *test, const eval_result *ema) {
    train_session *s = r->s;
    train_state *state = &s->state;
    char tested[96] = "", average[48] = "";
    bool best = test && (test->top1 > state->best_acc1 || state->best_epoch < 0);
    if (test)
        snprintf(tested, sizeof tested, "; test: top-1 %.2f, top-5 %.2f, loss %.4f%s", test->top1, test->top5,
                 test->loss, best ? ", the best yet" : "");
    if (ema) snprintf(average, sizeof average, "; the average's: top-1 %.2f", ema->top1);
    if (s->folder.path) BASE_TRY(train_folder_log(&s->folder, loop_line(r, test, ema)));
    base_log(s->context, BASE_LOG_INFO, "epoch %lld/%lld: loss %.4f, lr %.3g, %.0f images/s%s%s",
             (long long)state->epoch + 1, (long long)(s->options->epochs + s->options->cooldown_epochs),
             state->loss_sum / (double)state->pass, r->lr, loop_speed(state), tested, average);
    *r->result = (train_result){.epochs = state->epoch + 1,
                                .steps = state->step,
                                .test_acc1 = test ? test->top1 : -1,
                                .test_acc5 = test ? test->top5 : -1,
                                .test_loss = test ? test->loss : -1,
                                .ema_acc1 = ema ? ema->top1 : -1,
                                .images_per_s = loop_speed(state)};
    if (best) state->best_acc1 = test->top1, state->best_epoch = state->epoch;
    r->result->best_acc1 = state->best_acc1, r->result->best_epoch = state->best_epoch;
    state->epoch++, state->pass = 0;
    state->loss_sum = state->epoch_seconds = 0, state->right = state->seen = 0;
    BASE_TRY(loop_save(r));
    r->result->seconds = state->seconds, r->result->cpu_seconds = state->cpu_seconds;
    if (best && s->folder.path) return train_checkpoint_link(s->folder.path, state->step, false, "best");
    return BASE_OK;
}

static base_status loop_epoch(loop_run *r) {
    train_session *s = r->s;
    eval_result test, ema;
    r->lr = train_schedule_epoch(&s->schedule, s->state.epoch);
    BASE_TRY(loop_train(r));
    if (train_net_bad(s->net, false)) return loop_not_finite(r, "next loss", NAN);
    if (!train_evaluates(s->options, s->state.epoch)) return loop_finish_epoch(r, NULL, NULL);
    base_status status = loop_evaluate(s, false, &test);
    if (!status && s->ema) status = loop_evaluate(s, true, &ema);
    if (status == BASE_CANCELLED) return loop_stopped(r);
    if (status) return status;
    if (!isfinite(test.loss)) return loop_not_finite(r, "test loss", test.loss);
    if (s->ema && !isfinite(ema.loss)) return loop_not_finite(r, "test loss of the average", ema.loss);
    return loop_finish_epoch(r, &test, s->ema ? &ema : NULL);
}

/* ---- The run ----------------------------------------------------------------------------------------------------- */

/* What training took is the checkpoint's; its speed is that of all epochs. */
static base_status loop_only_evaluate(train_session *s, train_result *result) {
    const train_state *state = &s->state;
    eval_result test, ema = {.top1 = -1};
    if (s->ema) BASE_TRY(loop_evaluate(s, true, &ema));
    BASE_TRY(loop_evaluate(s, false, &test));
    double seen = (double)(state->step * s->options->accumulate * s->options->batch_size);
    *result = (train_result){.epochs = state->epoch,
                             .steps = state->step,
                             .test_acc1 = test.top1,
                             .test_acc5 = test.top5,
                             .test_loss = test.loss,
                             .best_acc1 = state->best_acc1,
                             .best_epoch = state->best_epoch,
                             .ema_acc1 = ema.top1,
                             .images_per_s = state->seconds > 0 ? seen / state->seconds : 0,
                             .seconds = state->seconds,
                             .cpu_seconds = state->cpu_seconds};
    return BASE_OK;
}

static base_status loop_all(train_session *s, bool resume, train_result *result) {
    const train_options *o = s->options;
    if (resume && o->eval > 0 && !train_checkpoint_any(o->output_dir))
        return base_fail("%s: no checkpoint: there is nothing to evaluate", o->output_dir);
    BASE_TRY(train_session_open(s, resume));
    if (resume && s->state.step && o->eval <= 0) BASE_TRY(loop_name_again(s));
    bool finished = resume && s->state.epoch >= o->epochs + o->cooldown_epochs;
    if (finished)
        base_log(s->context, BASE_LOG_INFO, "%s: the run is finished, after %lld epochs; --epochs %lld would go on",
                 s->folder.path, (long long)s->state.epoch, (long long)s->state.epoch * 2);
    if (finished || o->eval > 0) return loop_only_evaluate(s, result);
    loop_run run = {.s = s, .result = result, .saved = base_now()};
    BASE_TRY(train_session_say(s));
    if (s->folder.path) {
        BASE_TRY(train_folder_args(&s->folder, o));
        BASE_TRY(train_folder_rewind(&s->folder, s->state.epoch));
    }
    BASE_TRY(train_session_load(s));
    while (s->state.epoch < o->epochs + o->cooldown_epochs) BASE_TRY(loop_epoch(&run));
    return BASE_OK;
}

DEIT_INTERNAL base_status train_run(const train_options *options, bool resume, train_result *result,
                                    const base_context *context) {
    train_session session = {.options = options, .context = context, .folder = {.lock = -1}};
    if (context) session.steady = *context;
    session.steady.cancel = NULL;
    *result = (train_result){.ema_acc1 = -1, .best_epoch = -1};
    base_status status = loop_all(&session, resume, result);
    train_session_close(&session);
    return status;
}
