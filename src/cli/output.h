/* Results to a file or to standard output, for commands whose --json may be followed by a file. */
#ifndef DEIT_CLI_OUTPUT_H
#define DEIT_CLI_OUTPUT_H

#include "cli/cli.h"

/* Takes the first of the *n arguments that names a place for JSON out of them: a file ending in .json, or "-" for
 * standard output. NULL: there is none, or it is "-". */
DEIT_INTERNAL const char *cli_output_take(int *n, char **arguments);
/* The same with another ending than .json. */
DEIT_INTERNAL const char *cli_output_take_as(int *n, char **arguments, const char *ending);
/* Whether the file can be written, for commands that work long before they do; NULL: standard output. */
DEIT_INTERNAL base_status cli_output_check(const char *file);
/* Writes the text to a file (whole or not at all), or to standard output where file is NULL. */
DEIT_INTERNAL base_status cli_output_write(const char *file, const char *text, size_t size);
/* The same for a JSON value, which it lets go. NULL: making it failed for lack of memory. */
DEIT_INTERNAL base_status cli_output_json(const char *file, json_t *json);

#endif
