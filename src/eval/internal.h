/* What the measuring files of eval share. */
#ifndef DEIT_EVAL_INTERNAL_H
#define DEIT_EVAL_INTERNAL_H

#include "eval/eval.h"

/* Images of noise, `pixels` numbers, and room for `logits`; refused before anything is allocated if memory lacks. batch
 * is for the message. Both base_malloc'd; what was made before a failure is the caller's to free. */
DEIT_INTERNAL base_status eval_noise(int64_t batch, int64_t pixels, int64_t logits, float **images,
                                     float **room_for_logits);
/* Threads of an OpenMP team spin for a while after their last work; this lets them fall asleep before the next one's is
 * timed. */
DEIT_INTERNAL void eval_settle(void);

#endif
