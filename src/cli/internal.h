/* What the command line's files share among themselves. */
#ifndef DEIT_CLI_INTERNAL_H
#define DEIT_CLI_INTERNAL_H

#include "cli/cli.h"

/* The flags of one group (CLI_NETWORK, ...). */
DEIT_INTERNAL const cli_flag *cli_group_flags(unsigned group);
/* A file to download. */
typedef struct {
    const char *file, *url;
    const char *sha256, *md5;                   /* hex digits, or the first ones known; "" or NULL: not known */
    base_status (*plausible)(const char *path); /* looked at where no checksum is known; may be NULL */
} cli_download;
/* Downloads it with curl to folder/file, from its URL, or from the mirror: a URL that the file is under. Goes on with
 * what an earlier run left in folder/file.part. Prints where it is. */
DEIT_INTERNAL base_status cli_fetch(const cli_download *what, const char *folder, const char *mirror);
/* catalogue.c: the data sets by name; folder: of data sets. */
DEIT_INTERNAL base_status cli_data_list(const char *folder, bool json);
DEIT_INTERNAL base_status cli_data_fetch(int n, char **names, const char *folder, const char *mirror);
/* Puts the place of a set in where->path that names one of the catalogue ("cifar10") and no file or folder, and the
 * labels that lie beside it in where->labels, if there are none; fails where it is not in the folder of data sets
 * (NULL: cli_data_folder's). Of ImageNet, whose parts are two places, it is the one of the split that is asked for;
 * trains: without one what can be trained on. Other paths stay. */
DEIT_INTERNAL base_status cli_data_find(data_options *where, const char *folder, bool trains);
/* Fails, naming both numbers, unless a set that a name stood for has the images and classes that the catalogue says. */
DEIT_INTERNAL base_status cli_data_check_size(const char *name, const char *split, const data_set *set);
/* ReaL's labels, which are no set of pictures, by their checksum. file: NULL: looked for in the folder, or where data
 * sets are. path: where they are; the caller's. */
DEIT_INTERNAL base_status cli_data_check_real(const char *folder, const char *file, char digest[65], char **path);
/* Sets up Ctrl-C; before any other thread begins. */
DEIT_INTERNAL void cli_signals(void);
/* Ends as a program that Ctrl-C ended: so a shell's loop over many runs stops too. */
DEIT_INTERNAL void cli_end_stopped(void);

#endif
