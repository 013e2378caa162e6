/* Checkpoints: weights, their average and the optimizer's state, each a safetensors file, and a .json that says where
 * the run stood and what the files must be. The .json is written last: without it, or where a checksum differs, the
 * checkpoint does not count. */
#include "train/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHECKPOINT_KINDS = 3, CHECKPOINT_KEPT = 2 };
static const char *const checkpoint_kinds[CHECKPOINT_KINDS] = {"weights", "ema", "optimizer"}; // keys of the .json
static const char *const checkpoint_ends[CHECKPOINT_KINDS] = {"safetensors", "ema.safetensors",
                                                              "optimizer.safetensors"};

static char *checkpoint_path(const char *folder, int64_t step, const char *end) {
    char name[64];
    snprintf(name, sizeof name, "checkpoints/%08lld.%s", (long long)step, end);
    return base_path_join(folder, name);
}

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

/* Arrays in the store's layout, under "prefix + the parameter's name". */
typedef struct {
    const char *prefix;
    float *values;
} checkpoint_array;

static base_status checkpoint_write_arrays(const char *path, const nn_params *params, const checkpoint_array *arrays,
                                           int n, const char *const *metadata) {
    base_arena names = {0};
    size_t count = 0;
    store_tensor *tensors = base_calloc((size_t)(n * params->count) + 1, sizeof *tensors);
    base_status status = tensors ? BASE_OK : BASE_ERROR;
    for (int a = 0; a < n; a++)
        for (int i = 0; i < params->count && !status; i++) {
            const nn_param *param = &params->params[i];
            const char *name = base_arena_printf(&names, "%s%s", arrays[a].prefix, param->name);
            if (!name) status = BASE_ERROR;
            tensors[count++] =
                store_tensor_of(name, STORE_F32, param->ndim, param->dim, arrays[a].values + param->offset);
        }
    if (!status) status = store_write_safetensors(path, tensors, NULL, count, metadata);
    base_free(tensors);
    base_arena_free(&names);
    return status;
}

static base_status checkpoint_read_arrays(const char *path, const nn_params *params, const checkpoint_array *arrays,
                                          int n) {
    store *s;
    BASE_TRY(store_open(&s, path));
    base_status status = BASE_OK;
    for (int a = 0; a < n; a++)
        for (int i = 0; i < params->count && !status; i++) {
            const nn_param *param = &params->params[i];
            const store_tensor *tensor;
            char name[512];
            snprintf(name, sizeof name, "%s%s", arrays[a].prefix, param->name);
            status = store_want(s, name, &tensor);
            if (!status && (int64_t)tensor->count != param->count)
                status = base_fail("%s: tensor %s has %zu numbers, expected %lld", path, name, tensor->count,
                                   (long long)param->count);
            if (!status) status = store_read_f32(tensor, arrays[a].values + param->offset);
        }
    store_close(s);
    return status;
}

/* What the optimizer keeps, by PyTorch's names; returns how many arrays. */
static int checkpoint_state_arrays(const train_optimizer *optimizer, checkpoint_array arrays[2]) {
    bool sgd = optimizer->rule == TRAIN_SGD;
    arrays[0] = (checkpoint_array){sgd ? "momentum_buffer." : "exp_avg.", optimizer->first};
    arrays[1] = (checkpoint_array){"exp_avg_sq.", optimizer->second};
    return sgd ? 1 : 2;
}

DEIT_INTERNAL base_status train_weights_write(const char *path, const model_config *config, const nn_params *params,
                                              const float *values) {
    model_metadata metadata;
    checkpoint_array array = {"", (float *)values};
    return checkpoint_write_arrays(path, params, &array, 1, model_describe(config, &metadata));
}

/* ---- Saving ------------------------------------------------------------------------------------------------------ */

static json_t *checkpoint_json(const train_net *net, const train_optimizer *optimizer, const train_state *s,
                               char sums[CHECKPOINT_KINDS][65]) {
    json_t *json = json_pack(
        "{s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:f, s:I, s:f, s:f, s:f, s:I, s:I, s:{}}", "model",
        net->config.name, "parameters", (json_int_t)net->params->size, "optimizer",
        optimizer->rule == TRAIN_SGD ? "sgd" : "adamw", "optimizer_steps", (json_int_t)optimizer->steps, "epoch",
        (json_int_t)s->epoch, "pass", (json_int_t)s->pass, "step", (json_int_t)s->step, "loss_sum", s->loss_sum,
        "right", (json_int_t)s->right, "seen", (json_int_t)s->seen, "best_acc1", s->best_acc1, "best_epoch",
        (json_int_t)s->best_epoch, "seconds", s->seconds, "epoch_seconds", s->epoch_seconds, "cpu_seconds",
        s->cpu_seconds, "images", (json_int_t)s->images, "tests", (json_int_t)s->tests, "sha256");
    for (int k = 0; json && k < CHECKPOINT_KINDS; k++)
        if (sums[k][0]) json_object_set_new(json_object_get(json, "sha256"), checkpoint_kinds[k], json_string(sums[k]));
    return json;
}

static base_status checkpoint_write(const char *path, int kind, const train_net *net, const train_optimizer *optimizer,
                                    const float *ema) {
    checkpoint_array arrays[2];
    if (kind == 2)
        return checkpoint_write_arrays(path, net->params, arrays, checkpoint_state_arrays(optimizer, arrays), NULL);
    return train_weights_write(path, &net->config, net->params, kind == 1 ? ema : net->params->values);
}

static base_status checkpoint_put(const char *folder, const train_net *net, const train_optimizer *optimizer,
                                  const float *ema, const train_state *state) {
    char sums[CHECKPOINT_KINDS][65] = {""};
    base_status status = BASE_OK;
    for (int k = 0; k < CHECKPOINT_KINDS && !status; k++) {
        if (k == 1 && !ema) continue;
        char *path = checkpoint_path(folder, state->step, checkpoint_ends[k]);
        status = path ? checkpoint_write(path, k, net, optimizer, ema) : BASE_ERROR;
        if (!status) status = base_sha256_file(path, NULL, sums[k]);
        base_free(path);
    }
    if (status) return status;
    json_t *json = checkpoint_json(net, optimizer, state, sums);
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL, *path = checkpoint_path(folder, state->step, "json");
    json_decref(json);
    if (!text || !path)
        status = base_fail("out of memory while writing a checkpoint");
    else
        status = base_write_file(path, text, strlen(text));
    free(text);
    base_free(path);
    return status;
}

static void checkpoint_remove(const char *folder, int64_t step) {
    for (int k = -1; k < CHECKPOINT_KINDS; k++) { // the .json first: then the rest counts no more
        char *path = checkpoint_path(folder, step, k < 0 ? "json" : checkpoint_ends[k]);
        if (path) unlink(path);
        base_free(path);
    }
}

static int checkpoint_newest_first(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

static int checkpoint_is_one(const struct dirent *entry) {
    char *end;
    strtoll(entry->d_name, &end, 10);
    return end != entry->d_name && *end == '.';
}

/* The steps of which there are files, newest first; base_malloc'd. 0: there are none, or memory ended. */
static int checkpoint_list(const char *folder, int64_t **steps) {
    struct dirent **entries = NULL;
    char *path = base_path_join(folder, "checkpoints");
    int files = path ? scandir(path, &entries, checkpoint_is_one, alphasort) : 0, n = 0, unique = 0;
    base_free(path);
    *steps = base_malloc(((size_t)(files > 0 ? files : 0) + 1) * sizeof **steps);
    for (int i = 0; i < files; i++) {
        if (*steps) (*steps)[n++] = strtoll(entries[i]->d_name, NULL, 10);
        free(entries[i]);
    }
    free(entries);
    if (n) qsort(*steps, (size_t)n, sizeof **steps, checkpoint_newest_first);
    for (int i = 0; i < n; i++)
        if (!i || (*steps)[i] != (*steps)[unique - 1]) (*steps)[unique++] = (*steps)[i];
    return unique;
}

static bool checkpoint_complete(const char *folder, int64_t step) {
    char *path = checkpoint_path(folder, step, "json");
    bool complete = path && base_path_exists(path);
    base_free(path);
    return complete;
}

DEIT_INTERNAL base_status train_checkpoint_save(const char *folder, const train_net *net,
                                                const train_optimizer *optimizer, const float *ema,
                                                const train_state *state) {
    char *inside = base_path_join(folder, "checkpoints");
    base_status status = inside ? base_make_folders(inside) : BASE_ERROR;
    bool again = checkpoint_complete(folder, state->step); // with the same numbers: what is there stays good
    if (!status) status = checkpoint_put(folder, net, optimizer, ema, state);
    if (!status)
        status = base_sync_folder(inside);
    else if (!again)
        checkpoint_remove(folder, state->step);
    base_free(inside);
    if (status) return base_fail_in(status, "checkpoint of step %lld", (long long)state->step);
    int64_t *steps;
    int n = checkpoint_list(folder, &steps), older = 0;
    for (int i = 0; i < n; i++)
        if (steps[i] > state->step || (steps[i] < state->step && ++older >= CHECKPOINT_KEPT))
            checkpoint_remove(folder, steps[i]);
    base_free(steps);
    return BASE_OK;
}

/* ---- Loading ----------------------------------------------------------------------------------------------------- */

/* Whether the files of a checkpoint are what its .json says. */
static base_status checkpoint_verify(const char *folder, int64_t step, json_t **json) {
    char *path = checkpoint_path(folder, step, "json"), *data = NULL;
    size_t size = 0;
    *json = NULL;
    base_status status = path ? base_read_file(path, 1 << 20, &data, &size) : BASE_ERROR;
    if (!status && !(*json = json_loadb(data, size, 0, NULL))) status = base_fail("%s: no valid JSON", path);
    base_free(data);
    base_free(path);
    const json_t *sums = json_object_get(*json, "sha256");
    for (int k = 0; k < CHECKPOINT_KINDS && !status; k++) {
        const char *expected = json_string_value(json_object_get(sums, checkpoint_kinds[k]));
        char found[65];
        if (!expected && k == 1) continue;
        path = checkpoint_path(folder, step, checkpoint_ends[k]);
        status = path ? base_sha256_file(path, NULL, found) : BASE_ERROR;
        if (!status && (!expected || strcmp(expected, found)))
            status = base_fail("%s: its sha256 is not the one that was written; the file is damaged", path);
        base_free(path);
    }
    return status;
}

static int64_t checkpoint_integer(const json_t *json, const char *key) {
    return json_integer_value(json_object_get(json, key));
}

static base_status checkpoint_same_run(const char *folder, const json_t *json, const train_net *net,
                                       const train_optimizer *optimizer, const float *ema) {
    const char *model = json_string_value(json_object_get(json, "model")),
               *rule = json_string_value(json_object_get(json, "optimizer"));
    if (!model || strcmp(model, net->config.name) || checkpoint_integer(json, "parameters") != net->params->size)
        return base_fail(
            "%s: its checkpoint is of %s with %lld numbers, this network is %s with %lld: use the flags it "
            "was begun with",
            folder, model ? model : "no network", (long long)checkpoint_integer(json, "parameters"), net->config.name,
            (long long)net->params->size);
    if (!rule || strcmp(rule, optimizer->rule == TRAIN_SGD ? "sgd" : "adamw"))
        return base_fail("%s: its checkpoint holds the state of --opt %s", folder, rule ? rule : "(none)");
    if (ema && !json_object_get(json_object_get(json, "sha256"), "ema"))
        return base_fail("%s: its checkpoint holds no moving average: use --no-model-ema", folder);
    return BASE_OK;
}

static base_status checkpoint_read(const char *folder, int64_t step, const json_t *json, train_net *net,
                                   train_optimizer *optimizer, float *ema, train_state *s) {
    BASE_TRY(checkpoint_same_run(folder, json, net, optimizer, ema));
    checkpoint_array weights = {"", net->params->values}, average = {"", ema}, state[2];
    const struct {
        const checkpoint_array *arrays;
        int n;
    } parts[CHECKPOINT_KINDS] = {
        {&weights, 1}, {&average, ema ? 1 : 0}, {state, checkpoint_state_arrays(optimizer, state)}};
    for (int k = 0; k < CHECKPOINT_KINDS; k++) {
        if (!parts[k].n) continue;
        char *path = checkpoint_path(folder, step, checkpoint_ends[k]);
        base_status status = path ? checkpoint_read_arrays(path, net->params, parts[k].arrays, parts[k].n) : BASE_ERROR;
        base_free(path);
        if (status) return status;
    }
    optimizer->steps = checkpoint_integer(json, "optimizer_steps");
    *s = (train_state){.epoch = checkpoint_integer(json, "epoch"),
                       .pass = checkpoint_integer(json, "pass"),
                       .step = step,
                       .loss_sum = json_number_value(json_object_get(json, "loss_sum")),
                       .right = checkpoint_integer(json, "right"),
                       .seen = checkpoint_integer(json, "seen"),
                       .best_acc1 = json_number_value(json_object_get(json, "best_acc1")),
                       .best_epoch = checkpoint_integer(json, "best_epoch"),
                       .seconds = json_number_value(json_object_get(json, "seconds")),
                       .epoch_seconds = json_number_value(json_object_get(json, "epoch_seconds")),
                       .cpu_seconds = json_number_value(json_object_get(json, "cpu_seconds")),
                       .images = json_integer_value(json_object_get(json, "images")),
                       .tests = json_integer_value(json_object_get(json, "tests"))};
    return BASE_OK;
}

DEIT_INTERNAL bool train_checkpoint_any(const char *folder) {
    int64_t *steps;
    int n = checkpoint_list(folder, &steps);
    bool any = false;
    for (int i = 0; i < n; i++) any |= checkpoint_complete(folder, steps[i]);
    base_free(steps);
    return any;
}

/* Epochs that the newest checkpoint has behind it; -1: it is not whole, or there is none. */
static int64_t checkpoint_epochs(const char *folder) {
    int64_t *steps, epochs = -1;
    json_t *json = NULL;
    int n = checkpoint_list(folder, &steps), i = 0;
    while (i < n && !checkpoint_complete(folder, steps[i])) i++;
    if (i < n && !checkpoint_verify(folder, steps[i], &json)) epochs = checkpoint_integer(json, "epoch");
    json_decref(json);
    base_free(steps);
    return epochs;
}

DEIT_INTERNAL bool train_finished(const train_options *options, const char *folder) {
    char *args = base_path_join(folder, "args.json");
    train_options begun = {0};
    bool finished = args && base_path_exists(args) && !train_options_init(&begun) &&
                    !train_options_read(&begun, args) && !train_options_goes_on(&begun, options, folder) &&
                    checkpoint_epochs(folder) >= options->epochs + options->cooldown_epochs;
    train_options_free(&begun);
    base_free(args);
    return finished;
}

DEIT_INTERNAL base_status train_checkpoint_load(const char *folder, train_net *net, train_optimizer *optimizer,
                                                float *ema, train_state *state, const base_context *context) {
    int64_t *steps;
    int n = checkpoint_list(folder, &steps), i = 0, damaged = 0;
    json_t *json = NULL;
    for (; i < n; i++) {
        if (!checkpoint_complete(folder, steps[i])) continue; // a process was killed while it wrote
        if (!checkpoint_verify(folder, steps[i], &json)) break;
        base_log(context, BASE_LOG_WARNING, "the checkpoint of step %lld is not whole: %s", (long long)steps[i],
                 base_message());
        json_decref(json);
        json = NULL, damaged++;
    }
    base_status status = BASE_OK;
    if (json)
        status = checkpoint_read(folder, steps[i], json, net, optimizer, ema, state);
    else if (damaged)
        status = base_fail("%s: none of its %d checkpoints is whole: the run must be begun anew", folder, damaged);
    else if (base_path_has(folder, "best.safetensors") || base_path_has(folder, "last.safetensors"))
        status = base_fail("%s: its checkpoints are gone, and its weights alone cannot be gone on with: bring "
                           "%s/checkpoints back, or begin another run with --finetune",
                           folder, folder);
    else
        base_log(context, BASE_LOG_INFO, "%s: no checkpoint yet: the run begins anew", folder);
    json_decref(json);
    base_free(steps);
    return status;
}

/* ---- Names for users --------------------------------------------------------------------------------------------- */

static base_status checkpoint_copy(const char *from, const char *to) {
    base_mapping map;
    BASE_TRY(base_map_file(&map, from));
    base_status status = base_write_file(to, map.data, map.size);
    base_unmap_file(&map);
    return status;
}

/* A hard link made beside and renamed; a copy where the file system has none. */
static base_status checkpoint_link(const char *from, const char *to, const char *beside) {
    unlink(beside);
    if (link(from, beside)) return checkpoint_copy(from, to);
    base_status status = rename(beside, to) ? base_fail("%s: cannot put in place: %s", to, strerror(errno)) : BASE_OK;
    unlink(beside); // still there where both were the same file already
    return status;
}

DEIT_INTERNAL base_status train_checkpoint_link(const char *folder, int64_t step, bool ema, const char *name) {
    base_arena names = {0};
    char *from = checkpoint_path(folder, step, checkpoint_ends[ema ? 1 : 0]);
    const char *to = base_arena_printf(&names, "%s/%s.safetensors", folder, name),
               *beside = base_arena_printf(&names, "%s/%s.safetensors.part", folder, name);
    base_status status = from && to && beside ? checkpoint_link(from, to, beside) : BASE_ERROR;
    base_free(from);
    base_arena_free(&names);
    return status;
}
