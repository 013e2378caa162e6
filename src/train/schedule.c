/* The learning rate over epochs, as timm's schedulers give it and the official script asks for it. */
#include "train/internal.h"

#include <math.h>

DEIT_INTERNAL train_schedule train_schedule_of(const train_options *o) {
    double scale = o->unscale_lr > 0 ? 1 : (double)(o->batch_size * o->accumulate) / 512;
    return (train_schedule){.step = o->sched == 1,
                            .base = o->lr * scale,
                            .warmup_lr = o->warmup_lr,
                            .min_lr = o->min_lr,
                            .warmup_epochs = o->warmup_epochs,
                            .epochs = (double)o->epochs,
                            .decay_epochs = o->decay_epochs,
                            .decay_rate = o->decay_rate};
}

DEIT_INTERNAL double train_schedule_at(const train_schedule *s, double t) {
    if (t < s->warmup_epochs) return s->warmup_lr + t * (s->base - s->warmup_lr) / s->warmup_epochs;
    if (s->step) return s->base * pow(s->decay_rate, floor(t / s->decay_epochs));
    if (t >= s->epochs) return s->min_lr;
    return s->min_lr + 0.5 * (s->base - s->min_lr) * (1 + cos(3.14159265358979323846 * t / s->epochs));
}

DEIT_INTERNAL double train_schedule_epoch(const train_schedule *s, int64_t epoch) {
    return train_schedule_at(s, epoch > 1 ? (double)(epoch - 1) : 0);
}
