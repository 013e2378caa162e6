/* Weights for a network: which tensor of a file becomes which parameter, and what to say when they do not fit. */
#include "model/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum { WEIGHTS_TENSOR, WEIGHTS_FLAX, WEIGHTS_GRID, WEIGHTS_INITIAL } weights_kind;
typedef struct {
    weights_kind kind;
    const store_tensor *tensor; /* NULL for flax */
    int64_t positions;          /* WEIGHTS_GRID: rows of the file's pos_embed */
} weights_entry;

struct model_weights {
    model_config config;
    model_weights_options options;
    store *store; /* NULL: all initial */
    bool flax;
    nn_graph *graph; /* lists the parameters */
    weights_entry *entry;
    base_text missing, extra, shaped, skipped; /* lists for messages */
    int n_missing, n_extra, n_shaped, n_skipped;
    int stuck; /* differences that --strict no does not leave out */
};

enum { WEIGHTS_LISTED = 8 }; /* names of each kind in a message */
static void weights_list(base_text *text, int *n, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void weights_list(base_text *text, int *n, const char *format, ...) {
    if (++*n > WEIGHTS_LISTED) return;
    char item[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(item, sizeof item, format, arguments);
    va_end(arguments);
    base_text_printf(text, "%s%s", *n > 1 ? ", " : "", item);
}

static char *weights_shape(int ndim, const int64_t *dim, char text[96]) {
    int at = snprintf(text, 96, "[");
    for (int i = 0; i < ndim && at < 80; i++)
        at += snprintf(text + at, 96 - (size_t)at, i ? ", %lld" : "%lld", (long long)dim[i]);
    snprintf(text + at, 96 - (size_t)at, "]");
    return text;
}

/* Whether a tensor belongs to the layers that another number of classes replaces. */
static bool weights_is_head(const model_config *config, const char *name) {
    for (int i = 0; i < MODEL_MAX_HEADS && config->family->heads[i]; i++) {
        size_t size = strlen(config->family->heads[i]);
        if (!strncmp(name, config->family->heads[i], size) && name[size] == '.') return true;
    }
    return false;
}

/* A pos_embed [1, positions, dim] of another length or with another number of extra tokens: class and distillation
 * positions stay, the grid is interpolated. False if the file's is not a square grid with 1 or 2 tokens before it. */
static bool weights_grid(int64_t positions, bool distilled, int *side, int *extra) {
    *extra = distilled ? 2 : 1;
    *side = (int)lrint(sqrt((double)(positions - *extra)));
    return positions > *extra && (int64_t)*side * *side == positions - *extra;
}

/* The file's idea of a parameter: its ndim and shape; 0 if it has none. */
static int weights_found(const model_weights *w, const char *name, int64_t dim[STORE_MAX_DIMS],
                         const store_tensor **tensor) {
    *tensor = NULL;
    if (w->flax) return model_flax_shape(w->store, name, dim);
    *tensor = store_find(w->store, name);
    if (!*tensor) return 0;
    memcpy(dim, (*tensor)->dim, sizeof(*tensor)->dim);
    return (*tensor)->ndim;
}

static bool weights_same_shape(const nn_param *param, int ndim, const int64_t *dim) {
    return ndim == param->ndim && !memcmp(dim, param->dim, (size_t)ndim * sizeof *dim);
}

static bool weights_file_is_distilled(const model_weights *w) {
    return !w->flax && store_find(w->store, "dist_token");
}

/* What --strict no leaves out: the network's own gets initial values, the file's is not read. Without them a network
 * has the same features: a block or layer more or less is another network. */
static bool weights_may_skip(const model_weights *w, const char *name) {
    static const char before_head[] = "pre_logits"; /* of networks for ImageNet-21k; Google's have a '/' behind it */
    return !strcmp(name, "dist_token") || !strncmp(name, before_head, sizeof before_head - 1) ||
           weights_is_head(&w->config, name);
}

/* Not in the file, or there in a form that is not read: then the reason is said. */
static void weights_miss(model_weights *w, const char *name) {
    const char *reason = w->flax ? model_flax_unreadable(w->store, name) : store_unreadable(w->store, name);
    w->stuck += !weights_may_skip(w, name);
    if (reason)
        weights_list(&w->missing, &w->n_missing, "%s (%s)", name, reason);
    else
        weights_list(&w->missing, &w->n_missing, "%s", name);
}

static void weights_match(model_weights *w, int i) {
    const nn_param *param = nn_param_at(w->graph, i);
    weights_entry *entry = &w->entry[i];
    int64_t dim[STORE_MAX_DIMS] = {0};
    int ndim = weights_found(w, param->name, dim, &entry->tensor), side, extra;
    entry->kind = w->flax ? WEIGHTS_FLAX : WEIGHTS_TENSOR;
    if (!ndim) {
        entry->kind = WEIGHTS_INITIAL;
        if (w->options.loose && weights_may_skip(w, param->name))
            weights_list(&w->skipped, &w->n_skipped, "%s (not in the file: initial values)", param->name);
        else
            weights_miss(w, param->name);
        return;
    }
    if (entry->tensor && entry->tensor->dtype > STORE_F64) { /* whole numbers would be read as such: never weights */
        weights_list(&w->shaped, &w->n_shaped, "%s (F32, F16, BF16 or F64 expected, %s found)", param->name,
                     store_dtype_name(entry->tensor->dtype));
        w->stuck++;
        return;
    }
    if (weights_same_shape(param, ndim, dim)) return;
    bool grid = !strcmp(param->name, "pos_embed") && ndim == 3 && dim[0] == 1 && dim[2] == param->dim[2] &&
                weights_grid(dim[1], weights_file_is_distilled(w), &side, &extra);
    if (grid && (w->options.loose || extra == (w->config.distilled ? 2 : 1))) {
        entry->kind = WEIGHTS_GRID, entry->positions = dim[1];
        return;
    }
    char here[96], there[96];
    weights_shape(param->ndim, param->dim, here), weights_shape(ndim, dim, there);
    if (w->options.loose && weights_is_head(&w->config, param->name)) {
        entry->kind = WEIGHTS_INITIAL;
        weights_list(&w->skipped, &w->n_skipped, "%s (%s in the file, %s here: initial values)", param->name, there,
                     here);
        return;
    }
    weights_list(&w->shaped, &w->n_shaped, "%s (%s expected, %s found)", param->name, here, there);
    w->stuck += !grid && !weights_is_head(&w->config, param->name);
}

static bool weights_wanted(const model_weights *w, const char *name) {
    for (int i = 0; i < nn_param_count(w->graph); i++)
        if (!strcmp(nn_param_at(w->graph, i)->name, name)) return true;
    return false;
}

/* Batch norm's count of batches, which no evaluation needs and the oldest files lack. */
static bool weights_is_counter(const char *name) {
    static const char counter[] = "num_batches_tracked";
    size_t size = strlen(name);
    return size >= sizeof counter - 1 && !strcmp(name + size - (sizeof counter - 1), counter);
}

/* Returns the first in the file's order; NULL: there is none. */
static const char *weights_extras(model_weights *w) {
    const char *first = NULL;
    for (size_t i = 0; i < store_count(w->store); i++) {
        const char *name = store_at(w->store, i)->name;
        if (weights_is_counter(name)) continue;
        if (w->flax ? model_flax_knows(name, nn_param_at(w->graph, 0), nn_param_count(w->graph))
                    : weights_wanted(w, name))
            continue;
        bool may = weights_may_skip(w, name);
        if (w->options.loose && may) {
            weights_list(&w->skipped, &w->n_skipped, "%s (not in this network)", name);
            continue;
        }
        weights_list(&w->extra, &w->n_extra, "%s", name);
        w->stuck += !may;
        if (!first) first = name;
    }
    return first;
}

/* Whether the file could be another network's: 0 no, 2 if its position grid has that network's size too, 1 if not. */
static int weights_resembles(const model_weights *w, const model_config *config) {
    nn_graph *graph;
    if (model_graph(&graph, config, 1, MODEL_HEAD_MEAN)) return 0;
    size_t tensors = 0, params = (size_t)nn_param_count(graph);
    for (size_t i = 0; i < store_count(w->store); i++) tensors += !weights_is_counter(store_at(w->store, i)->name);
    int score = w->flax || tensors == params ? 2 : 0;
    for (size_t i = 0; i < params && score; i++) {
        const nn_param *param = nn_param_at(graph, (int)i);
        const store_tensor *tensor;
        int64_t dim[STORE_MAX_DIMS] = {0};
        int ndim = weights_found(w, param->name, dim, &tensor);
        if (ndim && (weights_is_head(config, param->name) || weights_same_shape(param, ndim, dim))) continue;
        score = ndim == 3 && !strcmp(param->name, "pos_embed") && dim[2] == param->dim[2];
    }
    nn_graph_free(graph);
    return score;
}

/* The registered network that the file fits best, if that is another one; else NULL. */
static const char *weights_nearest(const model_weights *w) {
    const model_config *best = NULL;
    for (int i = 0, score, most = 0; i < model_count(); i++)
        if ((score = weights_resembles(w, model_at(i))) > most) most = score, best = model_at(i);
    return best && strcmp(best->name, w->config.name) ? best->name : NULL;
}

/* Whether a name of the network's own begins with this component. */
static bool weights_begins_with(const model_weights *w, const char *part) {
    size_t size = strlen(part);
    for (int i = 0; i < nn_param_count(w->graph); i++) {
        const char *name = nn_param_at(w->graph, i)->name;
        if (!strncmp(name, part, size) && name[size] == '.') return true;
    }
    return false;
}

/* The key of a torch file's dict that may be the weights, where the outermost was taken: one with the name of a
 * parameter in it, else one that holds all there is. NULL: there is none. */
static const char *weights_wrapper(const model_weights *w) {
    static const char parallel[] = "module."; /* which opening that part would take away */
    const char *part, *all = NULL;
    for (size_t i = 0; (part = store_wrapper_at(w->store, i)); i++) {
        size_t size = strlen(part), inside = 0;
        if (weights_begins_with(w, part)) continue;
        for (size_t t = 0; t < store_count(w->store); t++) {
            const char *name = store_at(w->store, t)->name;
            if (strncmp(name, part, size) || name[size] != '.') continue;
            name += size + 1;
            if (!strncmp(name, parallel, sizeof parallel - 1)) name += sizeof parallel - 1;
            if (weights_wanted(w, name)) return part;
            inside++;
        }
        if (inside && inside == store_count(w->store)) all = part;
    }
    return all;
}

static void weights_say(base_text *text, const char *what, int n, const base_text *list) {
    if (n) base_text_printf(text, "; %d %s: %s%s", n, what, list->data, n > WEIGHTS_LISTED ? ", ..." : "");
}

/* A transformer's number of heads, which no shape tells; 0: the file does not say it. */
static int weights_heads(const model_weights *w) {
    const char *text = w->flax ? NULL : store_metadata(w->store, "heads");
    return w->flax ? model_flax_heads(w->store) : text ? atoi(text) : 0;
}

static base_status weights_check(model_weights *w, const base_context *context) {
    const char *first = NULL; /* tensor that is not as the network wants it */
    for (int i = 0; i < nn_param_count(w->graph); i++) {
        weights_match(w, i);
        if (!first && w->n_missing + w->n_shaped) first = nn_param_at(w->graph, i)->name;
    }
    const char *extra = weights_extras(w);
    if (!first) first = extra;
    int heads = weights_heads(w);
    bool other_heads = heads && heads != w->config.heads;
    if (!w->n_missing && !w->n_extra && !w->n_shaped) {
        if (other_heads)
            return base_fail("%s: does not fit %s: it says that it has %d attention heads, %d expected; check --model "
                             "or --heads",
                             store_file(w->store), w->config.name, heads, w->config.heads);
        if (w->n_skipped)
            base_log(context, BASE_LOG_WARNING, "%s: skipped %d: %s%s", store_file(w->store), w->n_skipped,
                     w->skipped.data, w->n_skipped > WEIGHTS_LISTED ? ", ..." : "");
        return BASE_OK;
    }
    base_text text = {0};
    const char *nearest = weights_nearest(w);
    if (nearest) base_text_printf(&text, ": it looks like %s", nearest);
    if (first) base_text_printf(&text, "%s differs first at %s", nearest ? ", and" : ":", first);
    weights_say(&text, "missing", w->n_missing, &w->missing);
    weights_say(&text, "of another shape or type", w->n_shaped, &w->shaped);
    weights_say(&text, "not in this network", w->n_extra, &w->extra);
    bool advise = w->options.loosen && !w->options.loose && !w->stuck && !other_heads;
    const char *wrapper = weights_wrapper(w), *parts = w->options.parts;
    base_status status;
    if (wrapper)
        status = base_fail("%s: does not fit %s%s; there are weights under %s: try %s %s", store_file(w->store),
                           w->config.name, text.data ? text.data : "", wrapper,
                           parts ? parts : "deit weights convert with --weights-part", wrapper);
    else
        status = base_fail("%s: does not fit %s%s; check the network's name and description%s%s%s",
                           store_file(w->store), w->config.name, text.data ? text.data : "", advise ? ", or use " : "",
                           advise ? w->options.loosen : "", advise ? " to leave heads of another shape out" : "");
    base_text_free(&text);
    return status;
}

/* Takes the store over. */
static base_status weights_new(model_weights **out, const model_config *config, store *s,
                               const model_weights_options *options, const base_context *context) {
    *out = NULL;
    model_weights *w = base_calloc(1, sizeof *w);
    if (!w) {
        store_close(s);
        return BASE_ERROR;
    }
    w->store = s, w->config = *config;
    if (options) w->options = *options;
    w->flax = s && model_is_flax(s);
    base_status status = model_graph(&w->graph, config, 1, MODEL_HEAD_MEAN);
    if (!status && !(w->entry = base_calloc((size_t)nn_param_count(w->graph), sizeof *w->entry))) status = BASE_ERROR;
    for (int i = 0; !status && !s && i < nn_param_count(w->graph); i++) w->entry[i].kind = WEIGHTS_INITIAL;
    if (!status && s) status = weights_check(w, context);
    if (status)
        model_weights_close(w);
    else
        *out = w;
    return status;
}

DEIT_INTERNAL base_status model_weights_open(model_weights **out, const model_config *config, const char *path,
                                             const model_weights_options *options, const base_context *context) {
    *out = NULL;
    store *s = NULL;
    if (!path && options && options->part)
        return base_fail_as(BASE_USAGE, "%s %s: initial values have no parts; give a file, or leave it out",
                            options->parts ? options->parts : "part", options->part);
    if (path) BASE_TRY(options && options->part ? store_open_part(&s, path, options->part) : store_open(&s, path));
    return weights_new(out, config, s, options, context);
}

DEIT_INTERNAL base_status model_weights_open_memory(model_weights **out, const model_config *config, const void *data,
                                                    size_t size, const model_weights_options *options,
                                                    const base_context *context) {
    *out = NULL;
    store *s = NULL;
    BASE_TRY(store_open_memory(&s, data, size, "weights in memory", options ? options->part : NULL));
    return weights_new(out, config, s, options, context);
}

DEIT_INTERNAL void model_weights_close(model_weights *w) {
    if (!w) return;
    store_close(w->store);
    nn_graph_free(w->graph);
    base_free(w->entry);
    base_text_free(&w->missing);
    base_text_free(&w->extra);
    base_text_free(&w->shaped);
    base_text_free(&w->skipped);
    base_free(w);
}

static base_status weights_read_grid(const model_weights *w, const weights_entry *entry, const nn_param *param,
                                     int index, float *out) {
    int side_in, extra_in, extra = w->config.distilled ? 2 : 1, side = w->config.image / w->config.patch,
                           dim = (int)param->dim[2];
    weights_grid(entry->positions, weights_file_is_distilled(w), &side_in, &extra_in);
    float *in = base_malloc((size_t)(entry->positions * dim) * sizeof *in);
    if (!in) return BASE_ERROR;
    base_status status = w->flax ? model_flax_read(w->store, param->name, in, entry->positions * dim)
                                 : store_read_f32(entry->tensor, in);
    if (!status) {
        if (extra_in < extra) nn_param_init(param, index, w->options.seed, out);
        memcpy(out, in, (size_t)((extra_in < extra ? extra_in : extra) * dim) * sizeof *out);
        model_resize_grid(in + (int64_t)extra_in * dim, side_in, out + (int64_t)extra * dim, side, dim,
                          w->options.bilinear ? MODEL_BILINEAR : MODEL_BICUBIC);
    }
    base_free(in);
    return status;
}

/* Each tensor is let go of once it is read: packed weights and the file's pages need not both be in memory. */
static base_status weights_read_tensor(const model_weights *w, const store_tensor *tensor, float *out) {
    base_status status = store_read_f32(tensor, out);
    store_forget(w->store, tensor);
    return status;
}

static base_status weights_read(void *user, int index, const nn_param *param, float *out) {
    model_weights *w = user;
    const weights_entry *entry = &w->entry[index];
    switch (entry->kind) {
    case WEIGHTS_TENSOR: return weights_read_tensor(w, entry->tensor, out);
    case WEIGHTS_FLAX: return model_flax_read(w->store, param->name, out, param->count);
    case WEIGHTS_GRID: return weights_read_grid(w, entry, param, index, out);
    case WEIGHTS_INITIAL: nn_param_init(param, index, w->options.seed, out); return BASE_OK;
    }
    return BASE_OK;
}

/* The positions are the graph's parameter of that name; -1: it has none. */
static int weights_positions(const model_weights *w) {
    for (int i = 0; i < nn_param_count(w->graph); i++)
        if (!strcmp(nn_param_at(w->graph, i)->name, "pos_embed")) return i;
    return -1;
}

DEIT_INTERNAL base_status model_position_grid(const model_weights *w, float **grid, int *side) {
    int i = weights_positions(w), extra;
    *grid = NULL;
    if (i < 0) return base_fail_as(BASE_USAGE, "%s has no position embeddings", w->config.name);
    const weights_entry *entry = &w->entry[i];
    const nn_param *param = nn_param_at(w->graph, i);
    int64_t positions = entry->kind == WEIGHTS_GRID ? entry->positions : param->dim[1], dim = param->dim[2];
    if (!weights_grid(positions, entry->kind == WEIGHTS_INITIAL ? w->config.distilled : weights_file_is_distilled(w),
                      side, &extra))
        return base_fail("%lld positions are no square grid", (long long)positions);
    float *all = base_malloc((size_t)(positions * dim) * sizeof *all);
    if (!all) return BASE_ERROR;
    base_status status = BASE_OK;
    if (entry->kind == WEIGHTS_INITIAL)
        nn_param_init(param, i, w->options.seed, all);
    else
        status =
            w->flax ? model_flax_read(w->store, param->name, all, positions * dim) : store_read_f32(entry->tensor, all);
    memmove(all, all + extra * dim, (size_t)((positions - extra) * dim) * sizeof *all);
    if (status)
        base_free(all);
    else
        *grid = all;
    return status;
}

DEIT_INTERNAL nn_source model_weights_source(model_weights *weights) {
    return (nn_source){weights_read, weights, weights->store ? store_file(weights->store) : NULL};
}

DEIT_INTERNAL const char *const *model_describe(const model_config *config, model_metadata *m) {
    const int numbers[6] = {config->image, config->classes, config->patch, config->dim, config->depth, config->heads};
    for (int i = 0; i < 6; i++) snprintf(m->number[i], sizeof m->number[i], "%d", numbers[i]);
    bool vit = config->patch > 0; /* of the other networks the name says all */
    const char *const pairs[] = {"format",     "pt",         "model",
                                 config->name, "input_size", m->number[0],
                                 "classes",    m->number[1], vit ? "patch" : NULL,
                                 m->number[2], "dim",        m->number[3],
                                 "depth",      m->number[4], "heads",
                                 m->number[5], "distilled",  config->distilled ? "yes" : "no",
                                 NULL};
    memcpy(m->pairs, pairs, sizeof pairs);
    return m->pairs;
}

DEIT_INTERNAL base_status model_weights_config(const char *path, model_config *config) {
    store *s;
    BASE_TRY(store_open(&s, path));
    *config = model_vit();
    const struct {
        const char *key;
        int *to;
    } members[] = {{"input_size", &config->image}, {"classes", &config->classes}, {"patch", &config->patch},
                   {"dim", &config->dim},          {"depth", &config->depth},     {"heads", &config->heads}};
    base_status status = BASE_OK;
    for (size_t i = 0; i < sizeof members / sizeof *members && !status; i++) {
        const char *text = store_metadata(s, members[i].key);
        if (text)
            *members[i].to = atoi(text);
        else
            status = base_fail("%s: says not what vit it is (no %s in its metadata): give a network's name", path,
                               members[i].key);
    }
    const char *distilled = store_metadata(s, "distilled");
    config->distilled = distilled && !strcmp(distilled, "yes");
    store_close(s);
    return status ? status : config->family->check(config);
}

/* What no network would take is not written either. */
static base_status weights_check_finite(const model_weights *w, const nn_param *param, const float *values) {
    int64_t bad = nn_first_not_finite(values, param->count);
    if (bad < 0) return BASE_OK;
    return base_fail("%s: tensor %s: element %lld is %g, not a finite number; the weights are damaged",
                     w->store ? store_file(w->store) : "initial values", param->name, (long long)bad,
                     (double)values[bad]);
}

DEIT_INTERNAL base_status model_weights_write(model_weights *w, const char *path, store_dtype as,
                                              const base_context *context) {
    nn_params *params = NULL;
    model_metadata metadata;
    int count = nn_param_count(w->graph);
    store_tensor *tensors = base_calloc((size_t)count, sizeof *tensors);
    store_dtype *types = base_calloc((size_t)count, sizeof *types);
    base_status status = tensors && types ? nn_params_new(&params, w->graph, false) : BASE_ERROR;
    for (int i = 0; i < count && !status; i++) {
        const nn_param *param = &params->params[i];
        float *values = params->values + param->offset;
        status = weights_read(w, i, param, values);
        if (!status) status = weights_check_finite(w, param, values);
        tensors[i] = store_tensor_of(param->name, STORE_F32, param->ndim, param->dim, values);
        types[i] = as;
        if (!status && base_cancelled(context)) status = base_fail_as(BASE_CANCELLED, "stopped");
    }
    if (!status)
        status = store_write_safetensors(path, tensors, types, (size_t)count, model_describe(&w->config, &metadata));
    nn_params_free(params);
    base_free(types);
    base_free(tensors);
    return status;
}
