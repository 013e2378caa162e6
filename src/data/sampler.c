/* The order of training: a shuffle an epoch, dealt round robin to the ranks, perhaps with each picture repeated. */
#include "data/internal.h"

enum { SAMPLER_REPEATS = 3, SAMPLER_CUT = 256 };

static int64_t sampler_ranks(const data_training *t) {
    return t->ranks > 0 ? t->ranks : 1;
}

/* Of the official samplers, the one with repeated augmentation cuts an epoch off, the other fills it up. */
DEIT_INTERNAL int64_t data_epoch_samples(int64_t count, const data_training *training) {
    int64_t ranks = sampler_ranks(training);
    if (!training->augment.repeated_aug) return (count + ranks - 1) / ranks;
    return (count >= SAMPLER_CUT ? count / SAMPLER_CUT * SAMPLER_CUT : count) / ranks;
}

DEIT_INTERNAL int64_t data_epoch_steps(int64_t count, int64_t batch, const data_training *training) {
    return batch > 0 ? data_epoch_samples(count, training) / batch : 0;
}

/* Fisher and Yates. */
static void sampler_shuffle(int64_t *order, int64_t n, base_random random) {
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)base_random_below(&random, (uint64_t)i + 1), swap = order[i];
        order[i] = order[j], order[j] = swap;
    }
}

DEIT_INTERNAL base_status data_epoch_order(int64_t *order, int64_t count, const data_training *training,
                                           int64_t epoch) {
    int64_t ranks = sampler_ranks(training), repeats = training->augment.repeated_aug ? SAMPLER_REPEATS : 1;
    int64_t *all = base_malloc((size_t)count * sizeof *all);
    if (!all) return BASE_ERROR;
    sampler_shuffle(all, count, base_random_stream(training->seed, (uint64_t)epoch, 0, DATA_RANDOM_ORDER));
    for (int64_t i = 0; i < data_epoch_samples(count, training); i++)
        order[i] = all[(i * ranks + training->rank) / repeats % count];
    base_free(all);
    return BASE_OK;
}
