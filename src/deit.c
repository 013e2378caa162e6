/* The table of contents: every part of deit, in layer order, and nothing else. `make amalgamation` writes it out as one file, build/deit.c. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef DEIT_AMALGAMATION
#define DEIT_AMALGAMATION
#endif

#include "base/status.c"
#include "base/memory.c"
#include "base/file.c"
#include "base/hash.c"
#include "base/log.c"
#include "base/machine.c"
#include "base/random.c"
