/* deit completion: what a shell needs to complete deit's words, made from the commands' tables. */
#include "cli/internal.h"

#include <string.h>

static bool completion_is_file(const cli_flag *flag) {
    return flag->kind == CLI_FILE || flag->kind == CLI_FOLDER;
}

static void completion_models(const char *separator) {
    for (int i = 0; i < model_count(); i++) printf("%s%s", i ? separator : "", model_at(i)->name);
    printf("%svit", separator);
}

static bool completion_has_values(const cli_flag *flag) {
    return flag->kind == CLI_MODEL || flag->choices;
}

/* The words that may follow a flag, "" where it is anything. */
static void completion_values(const cli_flag *flag) {
    if (flag->kind == CLI_MODEL) completion_models(" ");
    for (int i = 0; flag->choices && flag->choices[i]; i++) printf("%s%s", i ? " " : "", flag->choices[i]);
}

/* ---- bash -------------------------------------------------------------------------------------------------------- */

static void completion_bash_command(const cli_command *command) {
    const cli_flag *flag;
    printf("    %s)\n        case $before in\n", command->name);
    for (int i = 0; (flag = cli_flag_at(command, i)); i++) {
        if (!cli_flag_takes_value(flag)) continue;
        printf("        --%s) ", flag->name);
        if (completion_is_file(flag)) {
            printf("mapfile -t COMPREPLY < <(compgen -%c -- \"$word\"); return ;;\n",
                   flag->kind == CLI_FOLDER ? 'd' : 'f');
            continue;
        }
        printf("COMPREPLY=($(compgen -W '");
        completion_values(flag);
        printf("' -- \"$word\")); return ;;\n");
    }
    printf("        esac\n        words='--help");
    for (int i = 0; (flag = cli_flag_at(command, i)); i++) {
        printf(" --%s", flag->name);
        if (flag->kind == CLI_SWITCH) printf(" --no-%s", flag->name);
    }
    if (command->models) printf(" "), completion_models(" ");
    printf("'\n");
    if (command->words) {
        printf("        [ $COMP_CWORD = 2 ] && words=\"$words");
        for (int i = 0; command->words[i]; i++) printf(" %s", command->words[i]);
        printf("\"\n");
    }
    printf("        ;;\n");
}

static void completion_bash(void) {
    printf("# bash completion for deit: eval \"$(deit completion bash)\"\n"
           "_deit() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
           "    if [ $COMP_CWORD = 1 ]; then\n"
           "        COMPREPLY=($(compgen -W '");
    for (const cli_command *const *command = cli_commands(); *command; command++) printf("%s ", (*command)->name);
    printf("help --help --version --licenses' -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n");
    for (const cli_command *const *command = cli_commands(); *command; command++) completion_bash_command(*command);
    printf("    help)\n        [ $COMP_CWORD = 2 ] && words='");
    for (const cli_command *const *command = cli_commands(); *command; command++) printf("%s ", (*command)->name);
    printf("' ;;\n    esac\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "    case $word in -*) ;; *) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$word\") ;; esac\n"
           "}\n"
           "complete -o filenames -F _deit deit\n");
}

/* ---- zsh --------------------------------------------------------------------------------------------------------- */

/* Help as the inside of [...] between single quotes. */
static void completion_zsh_text(const char *text) {
    for (; *text; text++) {
        if (strchr("[]:\\", *text)) printf("\\");
        if (*text == '\'')
            printf("'\\''");
        else
            printf("%c", *text);
    }
}

static void completion_zsh_command(const cli_command *command) {
    const cli_flag *flag;
    printf("    %s)\n        _arguments '--help[help]'", command->name);
    for (int i = 0; (flag = cli_flag_at(command, i)); i++) {
        printf(" \\\n            '--%s[", flag->name);
        completion_zsh_text(flag->help);
        printf("]");
        if (flag->kind == CLI_FILE)
            printf(":file:_files");
        else if (flag->kind == CLI_FOLDER)
            printf(":folder:_files -/");
        else if (completion_has_values(flag)) {
            printf(":value:(");
            completion_values(flag);
            printf(")");
        } else if (cli_flag_takes_value(flag))
            printf(":value:");
        printf("'");
        if (flag->kind == CLI_SWITCH) printf(" \\\n            '--no-%s[not so]'", flag->name);
    }
    if (command->words) {
        printf(" \\\n            '1:action:(");
        for (int i = 0; command->words[i]; i++) printf("%s%s", i ? " " : "", command->words[i]);
        printf(")'");
    }
    if (command->models)
        printf(" \\\n            '*:model:("), completion_models(" "), printf(")'\n        ;;\n");
    else
        printf(" \\\n            '*:file:_files'\n        ;;\n");
}

static void completion_zsh(void) {
    printf("#compdef deit\n_deit() {\n    if (( CURRENT == 2 )); then\n        local -a commands\n        commands=(");
    for (const cli_command *const *command = cli_commands(); *command; command++) {
        printf("'%s:", (*command)->name);
        completion_zsh_text((*command)->summary);
        printf("' ");
    }
    printf(")\n        _describe command commands\n        return\n    fi\n    local name=$words[2]\n    shift words\n "
           "   (( CURRENT-- ))\n    case $name in\n");
    for (const cli_command *const *command = cli_commands(); *command; command++) completion_zsh_command(*command);
    printf("    esac\n}\ncompdef _deit deit\n");
}

/* ---- fish -------------------------------------------------------------------------------------------------------- */

static void completion_fish_text(const char *text) {
    printf("'");
    for (; *text; text++) printf(*text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
    printf("'");
}

static void completion_fish_command(const cli_command *command) {
    const cli_flag *flag;
    printf("complete -c deit -n __fish_use_subcommand -f -a %s -d ", command->name);
    completion_fish_text(command->summary);
    printf("\n");
    for (int i = 0; command->words && command->words[i]; i++)
        printf("complete -c deit -n '__fish_seen_subcommand_from %s' -a %s\n", command->name, command->words[i]);
    if (command->models) {
        printf("complete -c deit -n '__fish_seen_subcommand_from %s' -a '", command->name);
        completion_models(" ");
        printf("'\n");
    }
    for (int i = 0; (flag = cli_flag_at(command, i)); i++) {
        printf("complete -c deit -n '__fish_seen_subcommand_from %s' -l %s -d ", command->name, flag->name);
        completion_fish_text(flag->help);
        if (completion_is_file(flag))
            printf(" -r -F");
        else if (completion_has_values(flag)) {
            printf(" -x -a '");
            completion_values(flag);
            printf("'");
        } else if (cli_flag_takes_value(flag))
            printf(" -x");
        printf("\n");
        if (flag->kind == CLI_SWITCH)
            printf("complete -c deit -n '__fish_seen_subcommand_from %s' -l no-%s -d 'not so'\n", command->name,
                   flag->name);
    }
}

static void completion_fish(void) {
    for (const cli_command *const *command = cli_commands(); *command; command++) completion_fish_command(*command);
}

static base_status completion_run(int n, char **arguments) {
    (void)n;
    if (!strcmp(arguments[0], "bash"))
        completion_bash();
    else if (!strcmp(arguments[0], "zsh"))
        completion_zsh();
    else
        completion_fish();
    return BASE_OK;
}

DEIT_INTERNAL const cli_command *cli_completion(void) {
    static const char *const words[] = {"bash", "zsh", "fish", NULL};
    static const cli_command command = {
        .name = "completion",
        .summary = "completion of deit's words in a shell",
        .arguments = "bash|zsh|fish",
        .about = "  eval \"$(deit completion bash)\"                        in ~/.bashrc\n"
                 "  eval \"$(deit completion zsh)\"                         in ~/.zshrc, after compinit\n"
                 "  deit completion fish >~/.config/fish/completions/deit.fish",
        .words = words,
        .least = 1,
        .most = 1,
        .run = completion_run};
    return &command;
}
