/* What the measuring files of eval share. */
#ifndef DEIT_EVAL_INTERNAL_H
#define DEIT_EVAL_INTERNAL_H

#include "eval/eval.h"

/* Images of noise for the largest case, and room for its logits. Both base_malloc'd; their pages are touched by
 * eval_noise_fill only: after a network was made for them, whose plan refuses what memory cannot hold beside them. */
typedef struct {
    float *images, *logits;
    int64_t filled; /* numbers of `images` that are noise already */
} eval_noise;
/* Fails if memory cannot hold the images alone; what was made before a failure is eval_noise_free's. */
DEIT_INTERNAL base_status eval_noise_room(eval_noise *noise, const eval_speed_case *cases, int n);
DEIT_INTERNAL size_t eval_noise_beside(const eval_noise *noise, const eval_speed_case *c); /* bytes left to touch */
DEIT_INTERNAL void eval_noise_fill(eval_noise *noise, const eval_speed_case *c);
DEIT_INTERNAL void eval_noise_free(eval_noise *noise);
/* Threads of an OpenMP team spin for a while after their last work; this lets them fall asleep before the next one's is
 * timed. */
DEIT_INTERNAL void eval_settle(void);

#endif
