/* What the command line's files share among themselves. */
#ifndef DEIT_CLI_INTERNAL_H
#define DEIT_CLI_INTERNAL_H

#include "cli/cli.h"

/* The flags of one group (CLI_NETWORK, ...). */
DEIT_INTERNAL const cli_flag *cli_group_flags(unsigned group);
/* Sets up Ctrl-C. */
DEIT_INTERNAL void cli_signals(void);

#endif
