/* process: children. */
#include "base/base.h"

#include <signal.h>

DEIT_INTERNAL int base_spawn(pid_t *child, const char *program, const posix_spawn_file_actions_t *actions,
                             const char *const *words) {
    extern char **environ;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    int error = posix_spawnattr_init(&attributes);
    if (error) return error;
    error = posix_spawnattr_setsigmask(&attributes, &none);
    if (!error) error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (!error) error = posix_spawnp(child, program, actions, &attributes, (char *const *)(uintptr_t)words, environ);
    posix_spawnattr_destroy(&attributes);
    return error;
}
