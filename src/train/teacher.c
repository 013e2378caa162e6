/* The teacher of a distillation: a network with weights, in evaluation mode, that sees what the student sees. */
#include "train/internal.h"

#include <string.h>

struct train_teacher_net {
    model_net *net;
    int image;                /* side of the student's images */
    float scale[3], shift[3]; /* from the student's normalisation to the teacher's */
    bool same;                /* neither size nor normalisation differs */
    float *images;            /* [batch, 3, side, side]; NULL where same */
};

/* (x std_s + mean_s - mean_t) / std_t */
static void teacher_normalisation(train_teacher_net *teacher, const model_config *student) {
    const model_config *own = &teacher->net->config;
    teacher->same = teacher->image == own->image;
    for (int c = 0; c < 3; c++) {
        teacher->scale[c] = student->std[c] / own->std[c];
        teacher->shift[c] = (student->mean[c] - own->mean[c]) / own->std[c];
        teacher->same &= student->std[c] == own->std[c] && student->mean[c] == own->mean[c];
    }
}

static base_status teacher_make(train_teacher_net *teacher, const model_config *config, const char *path,
                                const model_config *student, const model_options *options,
                                const base_context *context) {
    model_weights *weights;
    model_weights_options how = {0};
    BASE_TRY(base_fail_in(model_weights_open(&weights, config, path, &how, context), "the teacher, for %d classes",
                          config->classes));
    base_status status = model_net_new(&teacher->net, config, weights, options);
    model_weights_close(weights);
    if (status) return base_fail_in(status, "the teacher");
    teacher->image = student->image;
    teacher_normalisation(teacher, student);
    if (teacher->same) return BASE_OK;
    size_t pixels = 3 * (size_t)config->image * (size_t)config->image;
    teacher->images = base_malloc((size_t)options->batch * pixels * sizeof(float));
    return teacher->images ? BASE_OK : BASE_ERROR;
}

DEIT_INTERNAL base_status train_teacher_new(train_teacher_net **out, const model_config *config, const char *path,
                                            const model_config *student, const model_options *options,
                                            const base_context *context) {
    *out = NULL;
    train_teacher_net *teacher = base_calloc(1, sizeof *teacher);
    if (!teacher) return BASE_ERROR;
    base_status status = teacher_make(teacher, config, path, student, options, context);
    if (status)
        train_teacher_free(teacher);
    else
        *out = teacher;
    return status;
}

DEIT_INTERNAL void train_teacher_free(train_teacher_net *teacher) {
    if (!teacher) return;
    model_net_free(teacher->net);
    base_free(teacher->images);
    base_free(teacher);
}

DEIT_INTERNAL size_t train_teacher_memory(const train_teacher_net *teacher) {
    size_t weights, activations;
    nn_plan_memory(teacher->net->plan, &weights, &activations);
    return weights + activations;
}

/* Planes [side, side] of another size: torch's bicubic interpolation, as for positions. */
DEIT_INTERNAL base_status train_teacher_run(train_teacher_net *teacher, int64_t n, const float *images, float *logits) {
    if (teacher->same) return model_net_run(teacher->net, n, images, logits);
    int from = teacher->image, to = teacher->net->config.image;
    int64_t in = (int64_t)from * from, out = (int64_t)to * to;
#pragma omp parallel for num_threads(teacher->net->options.threads)
    for (int64_t plane = 0; plane < 3 * n; plane++) {
        float *y = teacher->images + plane * out;
        if (from == to)
            memcpy(y, images + plane * in, (size_t)in * sizeof(float));
        else
            model_resize_grid(images + plane * in, from, y, to, 1, MODEL_BICUBIC);
        float scale = teacher->scale[plane % 3], shift = teacher->shift[plane % 3];
        for (int64_t j = 0; j < out; j++) y[j] = y[j] * scale + shift;
    }
    return model_net_run(teacher->net, n, teacher->images, logits);
}
