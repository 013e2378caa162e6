/* The training batches of `deit train` with its default augmentation, for train.py.
 *
 *   batches DATA SPLIT PIXELS CLASSES BATCH COUNT SEED
 *
 * writes COUNT batches to standard output: f32 images [BATCH, 3, PIXELS, PIXELS], then f32 targets [BATCH, CLASSES]. */
#include "deit.c"

static int batches_fail(void) {
    return fprintf(stderr, "batches: %s\n", base_message()), 1;
}

int main(int argc, char **argv) {
    if (argc != 8) return fprintf(stderr, "batches: 7 arguments, found %d\n", argc - 1), 2;
    data_set *set;
    data_loader *loader;
    data_batch batch;
    const data_options source = {.path = argv[1], .split = argv[2]};
    const int pixels = atoi(argv[3]), count = atoi(argv[6]);
    const data_training training = {
        .augment = data_augment_official(), .classes = atoi(argv[4]), .seed = (uint64_t)atoll(argv[7])};
    const model_config config = {.image = pixels,
                                 .crop = 0.875,
                                 .interpolation = MODEL_BICUBIC,
                                 .mean = {0.485f, 0.456f, 0.406f},
                                 .std = {0.229f, 0.224f, 0.225f}};
    const data_loader_options loading = {
        .batch = atoi(argv[5]), .threads = 1, .training = &training, .transform = eval_transform(&config)};
    if (data_open(&set, &source, NULL) || data_loader_open(&loader, set, &loading, NULL)) return batches_fail();
    for (int i = 0; i < count; i++) {
        if (data_loader_next(loader, &batch)) return batches_fail();
        size_t images = (size_t)batch.n * 3 * (size_t)(pixels * pixels), targets = (size_t)(batch.n * training.classes);
        if (fwrite(batch.images, sizeof(float), images, stdout) != images ||
            fwrite(batch.targets, sizeof(float), targets, stdout) != targets)
            return 1;
    }
    data_loader_close(loader);
    data_close(set);
    return fflush(stdout) != 0;
}
