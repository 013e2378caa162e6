/* The order of training: a shuffle an epoch, perhaps with each picture repeated, dealt round robin to a step's passes
 * as the official samplers deal it to processes. With three passes or more the copies of a picture are in batches of
 * their own and meet different companions in Mixup; with one pass, as on one GPU, they stand side by side, and a batch
 * holds a third as many pictures.
 */
#include "data/internal.h"

enum { SAMPLER_REPEATS = 3, SAMPLER_CUT = 256 };

static int64_t sampler_passes(const data_training *t) {
    return t->passes > 0 ? t->passes : 1;
}

/* Of the official samplers, the one with repeated augmentation cuts an epoch off, the other fills it up. */
DEIT_INTERNAL int64_t data_epoch_samples(int64_t count, const data_training *training) {
    int64_t passes = sampler_passes(training);
    if (!training->augment.repeated_aug) return (count + passes - 1) / passes;
    return (count >= SAMPLER_CUT ? count / SAMPLER_CUT * SAMPLER_CUT : count) / passes;
}

DEIT_INTERNAL int64_t data_epoch_batches(int64_t count, int64_t batch, const data_training *training) {
    return batch > 0 ? data_epoch_samples(count, training) / batch * sampler_passes(training) : 0;
}

/* Fisher and Yates. */
static void sampler_shuffle(int64_t *order, int64_t n, base_random random) {
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)base_random_below(&random, (uint64_t)i + 1), swap = order[i];
        order[i] = order[j], order[j] = swap;
    }
}

DEIT_INTERNAL base_status data_epoch_order(int64_t *order, int64_t count, int64_t batch, const data_training *training,
                                           int64_t epoch) {
    int64_t passes = sampler_passes(training), repeats = training->augment.repeated_aug ? SAMPLER_REPEATS : 1;
    int64_t *all = base_malloc((size_t)count * sizeof *all);
    if (!all) return BASE_ERROR;
    sampler_shuffle(all, count, base_random_stream(training->seed, (uint64_t)epoch, 0, DATA_RANDOM_ORDER));
    for (int64_t b = 0; b < data_epoch_batches(count, batch, training); b++)
        for (int64_t i = 0; i < batch; i++) {
            int64_t dealt = (b / passes * batch + i) * passes + b % passes;
            order[b * batch + i] = all[dealt / repeats % count];
        }
    base_free(all);
    return BASE_OK;
}
