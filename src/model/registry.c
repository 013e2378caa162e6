/* The registry: every network by its name, over all families; and graphs made from a configuration. */
#include "model/internal.h"
#include <string.h>

static const model_config *(*const registry_families[])(int *count) = {
    model_vit_configs, model_resnet_configs, model_regnet_configs, model_efficientnet_configs};

DEIT_INTERNAL int model_count(void) {
    int total = 0;
    for (size_t f = 0; f < sizeof registry_families / sizeof *registry_families; f++) {
        int count;
        registry_families[f](&count);
        total += count;
    }
    return total;
}

DEIT_INTERNAL const model_config *model_at(int index) {
    for (size_t f = 0; f < sizeof registry_families / sizeof *registry_families; f++) {
        int count;
        const model_config *configs = registry_families[f](&count);
        if (index < count) return &configs[index];
        index -= count;
    }
    return NULL;
}

DEIT_INTERNAL base_status model_find(const char *name, model_config *config) {
    enum { REGISTRY_MOST = 256 };
    const char *names[REGISTRY_MOST];
    int n = model_count() < REGISTRY_MOST ? model_count() : REGISTRY_MOST;
    for (int i = 0; i < n; i++) {
        names[i] = model_at(i)->name;
        if (strcmp(name, names[i])) continue;
        *config = *model_at(i);
        return BASE_OK;
    }
    const char *near = base_nearest(name, names, n);
    if (near) return base_fail_as(BASE_USAGE, "no model named '%s'; did you mean '%s'?", name, near);
    return base_fail_as(BASE_USAGE, "no model named '%s'; 'deit weights list' shows the names", name);
}

DEIT_INTERNAL double model_drop_path(const model_config *config, int block, int blocks) {
    return blocks > 1 ? config->drop_path * block / (blocks - 1) : 0;
}

static base_status registry_graph(nn_graph **out, const model_config *config, int64_t batch, model_head head,
                                  bool features) {
    *out = NULL;
    BASE_TRY(config->family->check(config));
    if (head == MODEL_HEAD_DIST && !config->distilled)
        return base_fail_as(BASE_USAGE, "%s has no distillation head", config->name);
    nn_graph *graph = nn_graph_new(batch);
    if (!graph) return BASE_ERROR;
    nn_value logits[MODEL_MAX_HEADS], x = nn_input(graph, 3, (int64_t[]){3, config->image, config->image});
    int heads = config->family->build(config, graph, x, logits);
    for (int i = 0; features && i < heads; i++) logits[i] = nn_operand(graph, logits[i]);
    if (heads == 2 && head == MODEL_HEAD_MEAN) logits[0] = nn_average(graph, logits[0], logits[1]);
    nn_output(graph, logits[heads == 2 && head == MODEL_HEAD_DIST ? 1 : 0]);
    if (heads == 2 && head == MODEL_HEAD_EACH) nn_output(graph, logits[1]);
    base_status status = nn_graph_status(graph);
    if (status)
        nn_graph_free(graph);
    else
        *out = graph;
    return status;
}

DEIT_INTERNAL base_status model_graph(nn_graph **graph, const model_config *config, int64_t batch, model_head head) {
    return registry_graph(graph, config, batch, head, false);
}

DEIT_INTERNAL base_status model_feature_graph(nn_graph **graph, const model_config *config, int64_t batch,
                                              model_head head) {
    return registry_graph(graph, config, batch, head, true);
}

DEIT_INTERNAL base_status model_size(const model_config *config, int64_t *parameters, double *gflop) {
    nn_graph *graph;
    BASE_TRY(model_graph(&graph, config, 1, MODEL_HEAD_MEAN));
    *parameters = 0;
    for (int i = 0; i < nn_param_count(graph); i++)
        *parameters += nn_param_at(graph, i)->buffer ? 0 : nn_param_at(graph, i)->count;
    *gflop = nn_graph_flops(graph) * 1e-9;
    nn_graph_free(graph);
    return BASE_OK;
}
