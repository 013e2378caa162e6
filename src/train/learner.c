/* A network, its loss and the way back, on a parameter store. */
#include "train/internal.h"

#include <fnmatch.h>
#include <string.h>

/* ---- The graph --------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *patterns;
    const char *idle; /* a head that no loss reaches: "head_dist"; NULL: none */
} learner_freeze;

/* Takes the first of "blocks.0.*,pos_embed" away; false: none is left. */
static bool learner_next_pattern(const char **patterns, char pattern[256]) {
    size_t size = strcspn(*patterns, ",");
    if (!**patterns) return false;
    snprintf(pattern, 256, "%.*s", (int)size, *patterns);
    *patterns += size + ((*patterns)[size] == ',');
    return true;
}

static bool learner_matches(const char *patterns, const char *name) {
    char pattern[256];
    while (learner_next_pattern(&patterns, pattern))
        if (!fnmatch(pattern, name, 0)) return true;
    return false;
}

static bool learner_frozen(void *user, const nn_param *param) {
    const learner_freeze *freeze = user;
    size_t size = freeze->idle ? strlen(freeze->idle) : 0;
    if (size && !strncmp(param->name, freeze->idle, size) && param->name[size] == '.') return true;
    return learner_matches(freeze->patterns, param->name);
}

/* The loss of RECIPE's Distillation: (1 - alpha) that of the class head on the targets, and alpha that of the
 * distillation head (of the class head where there is one token: Table 3) on the teacher. */
static nn_value learner_loss(const train_net *net, nn_graph *graph, const nn_value *logits, int heads) {
    const train_net_options *o = &net->options;
    nn_value targets = nn_input(graph, 1, (int64_t[]){net->config.classes});
    if (!o->distillation) {
        bool mean = heads == 2 && o->mean;
        return nn_cross_entropy(graph, mean ? nn_average(graph, logits[0], logits[1]) : logits[0], targets);
    }
    nn_value teacher = nn_input(graph, 1, (int64_t[]){net->config.classes});
    nn_value base = nn_cross_entropy(graph, logits[0], targets), student = logits[heads - 1];
    nn_value distil = o->distillation == TRAIN_DISTIL_HARD ? nn_cross_entropy(graph, student, teacher)
                                                           : nn_distillation(graph, student, teacher, o->tau);
    return nn_weighted(graph, base, 1 - o->alpha, distil, o->alpha);
}

static base_status learner_graph(nn_graph **out, train_net *net) {
    const train_net_options *o = &net->options;
    *out = NULL;
    nn_graph *graph = nn_graph_new(o->batch);
    if (!graph) return BASE_ERROR;
    if (!o->evaluation) nn_graph_trains(graph);
    nn_value logits[MODEL_MAX_HEADS], x = nn_input(graph, 3, (int64_t[]){3, net->config.image, net->config.image});
    int heads = net->config.family->build(&net->config, graph, x, logits);
    // Without distillation the authors' networks answer with the class head alone while they train.
    bool idle = heads == 2 && !o->distillation && !o->mean;
    learner_freeze freeze = {o->freeze ? o->freeze : "", idle ? net->config.family->heads[1] : NULL};
    nn_graph_freeze(graph, learner_frozen, &freeze);
    nn_value loss = learner_loss(net, graph, logits, heads);
    nn_output(graph, loss);
    nn_output(graph, logits[0]);
    net->gflop = nn_graph_flops(graph) * 1e-9 / (double)o->batch;
    nn_backward(graph, loss);
    base_status status = nn_graph_status(graph);
    if (status)
        nn_graph_free(graph);
    else
        *out = graph;
    return status;
}

/* A pattern that nothing matches is a typing error; and something must be left to train. */
static base_status learner_check_freeze(const train_net *net) {
    const char *patterns = net->options.freeze ? net->options.freeze : "";
    if (!net->trained) return base_fail_as(BASE_USAGE, "--freeze %s: no parameter is left to train", patterns);
    char pattern[256];
    while (learner_next_pattern(&patterns, pattern)) {
        int matches = 0;
        for (int i = 0; i < net->params->count; i++) matches += !fnmatch(pattern, net->params->params[i].name, 0);
        if (!matches)
            return base_fail_as(BASE_USAGE, "--freeze: no parameter of %s matches '%s' (such as %s)", net->config.name,
                                pattern, net->params->params[0].name);
    }
    return BASE_OK;
}

/* ---- Making ------------------------------------------------------------------------------------------------------ */

static base_status learner_values(train_net *net, model_weights *weights) {
    nn_source source = model_weights_source(weights);
    for (int i = 0; i < net->params->count; i++) {
        const nn_param *param = &net->params->params[i];
        BASE_TRY(source.read(source.user, i, param, net->params->values + param->offset));
        if (!param->buffer && !param->frozen) net->trained += param->count;
    }
    const char *bad = train_net_bad(net, false);
    return bad ? base_fail("tensor %s holds numbers that are not finite; the weights are damaged", bad) : BASE_OK;
}

static base_status learner_make(train_net *net, model_weights *weights) {
    nn_graph *graph;
    BASE_TRY(learner_graph(&graph, net));
    base_status status = nn_params_new(&net->params, graph, true);
    if (!status) status = learner_values(net, weights);
    if (!status) status = learner_check_freeze(net);
    size_t rows = (size_t)net->options.batch * (size_t)net->config.classes * sizeof(float);
    if (!status && !(net->logits = base_malloc(rows))) status = BASE_ERROR;
    if (!status && net->options.distillation && !(net->distil = base_malloc(rows))) status = BASE_ERROR;
    if (status) {
        nn_graph_free(graph);
        return status;
    }
    nn_plan_options plan = {.precision = net->options.precision,
                            .threads = net->options.threads,
                            .params = net->params,
                            .recompute = net->options.recompute};
    return nn_plan_new(&net->plan, graph, &plan);
}

DEIT_INTERNAL base_status train_net_new(train_net **out, const model_config *config, model_weights *weights,
                                        const train_net_options *options) {
    *out = NULL;
    train_net *net = base_calloc(1, sizeof *net);
    if (!net) return BASE_ERROR;
    net->config = *config, net->options = *options;
    if (net->options.threads < 1) {
        base_machine machine;
        base_machine_read(&machine);
        net->options.threads = machine.cores;
    }
    base_status status = learner_make(net, weights);
    if (status)
        train_net_free(net);
    else
        *out = net;
    return status;
}

DEIT_INTERNAL void train_net_free(train_net *net) {
    if (!net) return;
    nn_plan_free(net->plan);
    nn_params_free(net->params);
    base_free(net->logits);
    base_free(net->distil);
    base_free(net);
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

/* Hard: the teacher's best class as a target. Soft: its logits. */
static void learner_distil(const train_net *net, const float *teacher) {
    int64_t classes = net->config.classes, batch = net->options.batch;
    if (net->options.distillation == TRAIN_DISTIL_SOFT) {
        memcpy(net->distil, teacher, (size_t)(batch * classes) * sizeof(float));
        return;
    }
    memset(net->distil, 0, (size_t)(batch * classes) * sizeof(float));
    for (int64_t b = 0; b < batch; b++, teacher += classes) {
        int64_t best = 0;
        for (int64_t k = 1; k < classes; k++) best = teacher[k] > teacher[best] ? k : best;
        net->distil[b * classes + best] = 1;
    }
}

DEIT_INTERNAL base_status train_net_gradients(train_net *net, const float *images, const float *targets,
                                              const float *teacher, bool add, uint64_t seed, uint64_t pass,
                                              float *loss) {
    const float *inputs[] = {images, targets, net->distil};
    float *outputs[] = {loss, net->logits};
    if (net->options.distillation) {
        if (!teacher) return base_fail("distillation: no logits of the teacher were given");
        learner_distil(net, teacher);
    }
    nn_plan_accumulate(net->plan, add);
    nn_plan_step(net->plan, seed, pass);
    if (!add) BASE_TRY(nn_plan_refresh(net->plan, nn_params_source(net->params)));
    return nn_run(net->plan, net->options.batch, inputs, outputs);
}

/* A step without parameters (attention, a sum) is placed by the last one before it that has some. */
DEIT_INTERNAL base_status train_net_first_bad(train_net *net, const float *images, const float *targets,
                                              char text[160]) {
    const float *inputs[] = {images, targets, net->distil};
    float loss = 0, *outputs[] = {&loss, net->logits};
    int index, at;
    nn_step step, place = {.param = ""};
    text[0] = 0;
    BASE_TRY(nn_first_bad(net->plan, net->options.batch, inputs, outputs, &index));
    if (index < 0) return BASE_OK;
    nn_step_at(net->plan, index, &step);
    for (at = index; at >= 0 && !*place.param; at--) nn_step_at(net->plan, at, &place);
    snprintf(text, 160, "value of %s %s%s", step.op, *step.param ? "" : "after ", place.param);
    return BASE_OK;
}

DEIT_INTERNAL const char *train_net_bad(const train_net *net, bool gradient) {
    const nn_params *params = net->params;
    const float *all = gradient ? params->gradients : params->values;
    for (int i = 0; i < params->count; i++)
        if (nn_first_not_finite(all + params->params[i].offset, params->params[i].count) >= 0)
            return params->params[i].name;
    return NULL;
}
