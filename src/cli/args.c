/* args: parsing by tables, and the help made from them. */
#include "cli/internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ARGS_MOST = 128 };
static const void *args_given[ARGS_MOST]; // values that the command line has set
static int args_given_count;

DEIT_INTERNAL bool cli_given(const void *value) {
    for (int i = 0; i < args_given_count; i++)
        if (args_given[i] == value) return true;
    return false;
}

DEIT_INTERNAL const cli_flag *cli_flag_at(const cli_command *command, int i) {
    if (command->flags)
        for (const cli_flag *flag = command->flags; flag->name; flag++)
            if (i-- == 0) return flag;
    for (int g = 0; g < CLI_GROUPS; g++)
        if (command->groups & (1U << g))
            for (const cli_flag *flag = cli_group_flags(1U << g); flag->name; flag++)
                if (i-- == 0) return flag;
    return NULL;
}

DEIT_INTERNAL const char *cli_flag_word(const cli_flag *flag, char text[128]) {
    static const char *const words[] = {
        [CLI_YES] = "",       [CLI_TEXT] = "TEXT", [CLI_PAIR] = "X,Y", [CLI_FILE] = "FILE", [CLI_FOLDER] = "DIR",
        [CLI_MODEL] = "NAME", [CLI_INT] = "N",     [CLI_REAL] = "X",   [CLI_CHOICE] = "",   [CLI_SWITCH] = ""};
    if (flag->word) return flag->word;
    if (flag->kind != CLI_CHOICE) return words[flag->kind];
    text[0] = 0;
    for (int i = 0; flag->choices[i]; i++) {
        size_t at = strlen(text);
        snprintf(text + at, 128 - at, i ? "|%s" : "%s", flag->choices[i]);
    }
    return text;
}

DEIT_INTERNAL bool cli_flag_takes_value(const cli_flag *flag) {
    return flag->kind != CLI_YES && flag->kind != CLI_SWITCH;
}

/* ---- Parsing ----------------------------------------------------------------------------------------------------- */

static base_status args_unknown(const cli_command *command, const char *name) {
    const char *names[ARGS_MOST];
    int n = 0;
    for (const cli_flag *flag; n < ARGS_MOST && (flag = cli_flag_at(command, n)); n++) names[n] = flag->name;
    const char *foreign = command->foreign ? command->foreign(name) : NULL;
    if (foreign) return base_fail_as(BASE_USAGE, "%s: no flag --%s: %s", command->name, name, foreign);
    const char *near = base_nearest(name, names, n);
    if (near) return base_fail_as(BASE_USAGE, "%s: no flag --%s; did you mean --%s?", command->name, name, near);
    return base_fail_as(BASE_USAGE, "%s: no flag --%s; 'deit %s --help' shows them", command->name, name,
                        command->name);
}

static base_status args_choice(const cli_flag *flag, const char *text) {
    int n = 0;
    for (; flag->choices[n]; n++)
        if (!strcmp(flag->choices[n], text)) {
            *(int *)flag->value = n;
            return BASE_OK;
        }
    char words[128];
    const char *near = base_nearest(text, flag->choices, n);
    return base_fail_as(BASE_USAGE, "--%s: expected %s, found '%s'%s%s%s", flag->name, cli_flag_word(flag, words), text,
                        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static base_status args_number(const cli_flag *flag, const char *text) {
    char *end;
    errno = 0;
    double number;
    bool whole = flag->kind == CLI_INT;
    long long integer = whole ? strtoll(text, &end, 10) : 0;
    number = whole ? (double)integer : strtod(text, &end);
    bool any = flag->min == 0 && flag->max == 0;
    if (end == text || *end || errno || !isfinite(number) || (!any && (number < flag->min || number > flag->max))) {
        if (any)
            return base_fail_as(BASE_USAGE, "--%s: expected a %snumber, found '%s'", flag->name, whole ? "whole " : "",
                                text);
        return base_fail_as(BASE_USAGE, "--%s: expected a %snumber from %.10g to %.10g, found '%s'", flag->name,
                            whole ? "whole " : "", flag->min, flag->max, text);
    }
    if (whole)
        *(int64_t *)flag->value = integer;
    else
        *(double *)flag->value = number;
    return BASE_OK;
}

static base_status args_set(const cli_flag *flag, const char *text) {
    if (!cli_given(flag->value) && args_given_count < ARGS_MOST) args_given[args_given_count++] = flag->value;
    switch (flag->kind) {
    case CLI_YES: *(bool *)flag->value = true; return BASE_OK;
    case CLI_SWITCH: *(int *)flag->value = *text != 'n'; return BASE_OK;
    case CLI_CHOICE: return args_choice(flag, text);
    case CLI_INT:
    case CLI_REAL: return args_number(flag, text);
    default:
        if (!*text)
            return base_fail_as(BASE_USAGE, "--%s: expected %s, found nothing", flag->name,
                                cli_flag_word(flag, (char[128]){0}));
        *(const char **)flag->value = text;
        return BASE_OK;
    }
}

/* The flag that a word of the command line names; '-' and '_' are the same. *no: the word is --no-name. */
static const cli_flag *args_find(const cli_command *command, const char *word, bool *no) {
    const cli_flag *flag;
    for (int k = 0; (flag = cli_flag_at(command, k)); k++) {
        *no = flag->kind == CLI_SWITCH && !strncmp(word, "no-", 3) && strncmp(flag->name, "no-", 3);
        const char *a = flag->name, *b = word + (*no ? 3 : 0);
        while (*a && (*a == *b || (*a == '-' && *b == '_'))) a++, b++;
        if (!*a && !*b) return flag;
    }
    return NULL;
}

/* argv[*i] is a flag: sets it, and moves *i onto its value if that is a word of its own. */
static base_status args_flag(const cli_command *command, int argc, char **argv, int *i) {
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    char word[128];
    bool no;
    snprintf(word, sizeof word, "%.*s", equals && equals - name < 127 ? (int)(equals - name) : 127, name);
    const cli_flag *flag = args_find(command, word, &no);
    if (!flag) return args_unknown(command, word);
    if (!cli_flag_takes_value(flag)) {
        if (equals)
            return base_fail_as(BASE_USAGE, "--%s: expected no value, found '%s'; leave '%s' out", word, equals + 1,
                                equals);
        return args_set(flag, no ? "no" : "");
    }
    if (equals) return args_set(flag, equals + 1);
    if (*i + 1 >= argc)
        return base_fail_as(BASE_USAGE, "--%s: expected %s after it", flag->name, cli_flag_word(flag, (char[128]){0}));
    const char *value = argv[++*i];
    if (flag->kind != CLI_PAIR || strchr(value, ',') || *i + 1 == argc || !strchr("0123456789.", argv[*i + 1][0]))
        return args_set(flag, value);
    static char pairs[4][80];
    static int n;
    char *pair = pairs[n++ % 4];
    snprintf(pair, sizeof *pairs, "%s,%s", value, argv[++*i]);
    return args_set(flag, pair);
}

static base_status args_check_count(const cli_command *command, int n, char **argv) {
    if (command->words && n > 0 && !(command->files && strchr(argv[0], '/'))) {
        int words = 0;
        for (; command->words[words]; words++)
            if (!strcmp(command->words[words], argv[0])) break;
        if (!command->words[words]) {
            const char *near = base_nearest(argv[0], command->words, words);
            return base_fail_as(BASE_USAGE, "%s: expected %s, found '%s'%s%s%s", command->name, command->arguments,
                                argv[0], near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
    }
    if (n < command->least)
        return base_fail_as(BASE_USAGE, "%s: expected %s; 'deit %s --help' says more", command->name,
                            command->arguments, command->name);
    if (command->most >= 0 && n > command->most)
        return base_fail_as(BASE_USAGE, "%s: '%s' is one argument too many; 'deit %s --help' says more", command->name,
                            argv[command->most], command->name);
    return BASE_OK;
}

DEIT_INTERNAL base_status cli_parse(const cli_command *command, int argc, char **argv, int *n, bool *help) {
    *n = 0, *help = false;
    args_given_count = 0;
    // Help is given however wrong the rest is.
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help")) {
            *help = true;
            return BASE_OK;
        }
    bool flags = true;
    for (int i = 0; i < argc; i++) {
        if (flags && !strcmp(argv[i], "--"))
            flags = false;
        else if (flags && !strncmp(argv[i], "--", 2))
            BASE_TRY(args_flag(command, argc, argv, &i));
        else if (flags && argv[i][0] == '-' && argv[i][1])
            return base_fail_as(BASE_USAGE, "%s: no flag %s; flags begin with --", command->name, argv[i]);
        else if (argv[i][0])
            argv[(*n)++] = argv[i];
        else
            return base_fail_as(BASE_USAGE, "%s: expected %s, found an empty word", command->name,
                                *command->arguments ? command->arguments : "flags alone");
    }
    return args_check_count(command, *n, argv);
}

/* ---- Help -------------------------------------------------------------------------------------------------------- */

/* The default as text; "" where there is none worth telling. */
static const char *args_default(const cli_flag *flag, char text[64]) {
    text[0] = 0;
    switch (flag->kind) {
    case CLI_YES:
    case CLI_SWITCH: break;
    case CLI_CHOICE: snprintf(text, 64, "%s", flag->choices[*(const int *)flag->value]); break;
    case CLI_INT:
        if (*(const int64_t *)flag->value) snprintf(text, 64, "%lld", (long long)*(const int64_t *)flag->value);
        break;
    case CLI_REAL:
        if (*(const double *)flag->value != 0) snprintf(text, 64, "%g", *(const double *)flag->value);
        break;
    default:
        if (*(const char *const *)flag->value) snprintf(text, 64, "%s", *(const char *const *)flag->value);
    }
    return text;
}

static void args_print_flags(const cli_flag *flags) {
    for (const cli_flag *flag = flags; flag->name; flag++) {
        char words[128], preset[64], left[192];
        const char *word = cli_flag_word(flag, words);
        if (flag->section) printf("\n%s\n", flag->section);
        snprintf(left, sizeof left, "--%s%s%s%s", flag->kind == CLI_SWITCH ? "[no-]" : "", flag->name, *word ? " " : "",
                 word);
        printf("  %-28s%s%s", left, strlen(left) > 27 ? " " : "", flag->help);
        if (*args_default(flag, preset)) printf(" (default %s)", preset);
        printf("\n");
    }
}

DEIT_INTERNAL void cli_print_help(const cli_command *command) {
    static const char *const titles[CLI_GROUPS] = {"Network", "Weights", "Running", "Answer", "Data"};
    bool flags = command->flags || command->groups;
    printf("deit %s: %s\n\nUsage: deit %s%s%s%s\n", command->name, command->summary, command->name,
           *command->arguments ? " " : "", command->arguments, flags ? " [FLAGS]" : "");
    if (command->about) printf("\n%s\n", command->about);
    if (command->flags) {
        printf("\nFlags\n");
        args_print_flags(command->flags);
    }
    for (int g = 0; g < CLI_GROUPS; g++)
        if (command->groups & (1U << g)) {
            printf("\n%s\n", titles[g]);
            args_print_flags(cli_group_flags(1U << g));
        }
}
