/* Steps of AdamW through deit.h, for train.py: the loss of each on a line.
 *
 *   steps WEIGHTS PIXELS PATCH DIM DEPTH HEADS CLASSES BATCH LR THREADS
 *
 * reads batch after batch from standard input: f32 images [BATCH, 3, PIXELS, PIXELS], then f32 targets [BATCH,
 * CLASSES]. */
#include "deit.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 11) return fprintf(stderr, "steps: 10 arguments, found %d\n", argc - 1), 2;
    int v[9];
    for (int i = 0; i < 9; i++) v[i] = atoi(argv[2 + i]);
    deit_train_options options = {.image = v[0], .classes = v[5], .batch = v[6], .threads = v[8], .lr = atof(argv[9])};
    options.vit = (deit_vit){.patch = v[1], .dim = v[2], .depth = v[3], .heads = v[4]};
    deit_trainer *trainer = deit_trainer_open("vit", argv[1], &options);
    if (!trainer) return fprintf(stderr, "steps: %s\n", deit_error()), 1;
    size_t images = (size_t)v[6] * 3 * (size_t)v[0] * (size_t)v[0], targets = (size_t)v[6] * (size_t)v[5];
    float *batch = malloc((images + targets) * sizeof *batch), loss;
    int status = batch ? 0 : 1;
    while (!status && fread(batch, sizeof *batch, images + targets, stdin) == images + targets) {
        if ((status = deit_trainer_step(trainer, batch, batch + images, 0, &loss)))
            fprintf(stderr, "steps: %s\n", deit_error());
        else
            printf("%.9g\n", (double)loss);
    }
    free(batch);
    deit_trainer_close(trainer);
    return status;
}
