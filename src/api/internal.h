/* What the files of deit.h's implementation share. */
#ifndef DEIT_API_INTERNAL_H
#define DEIT_API_INTERNAL_H

#include "model/model.h"
#include "deit.h"

DEIT_INTERNAL deit_status api_status(base_status status);
/* A registered network, or a vit, with another image side or class count (0: its own). */
DEIT_INTERNAL base_status api_config(model_config *config, const char *name, const deit_vit *vit, int image,
                                     int classes);
/* A caller's log, behind a base_context whose `user` it is and whose `log` is api_log_line. */
typedef struct {
    void (*line)(void *user, int level, const char *line);
    void *user;
} api_log;
DEIT_INTERNAL void api_log_line(void *user, base_log_level level, const char *line);
/* Whether so many threads may be asked for; 0: every core. */
DEIT_INTERNAL base_status api_threads(int threads);

#endif
