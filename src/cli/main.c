/* deit: the program. */
#include "cli/internal.h"
#include "embed.h"
#include "version.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

DEIT_INTERNAL const cli_command *const *cli_commands(void) {
    static const cli_command *commands[20];
    const cli_command *all[] = {cli_predict(), cli_eval(),    cli_disagree(), cli_tokens(), cli_positions(),
                                cli_train(),   cli_log(),     cli_data(),     cli_bench(),  cli_profile(),
                                cli_repro(),   cli_forward(), cli_weights(),  cli_doctor(), cli_completion()};
    memcpy(commands, all, sizeof all);
    return commands;
}

static const char *main_embedded(const char *name, size_t *size) {
    for (const embed_file *file = embed_files; file->name; file++)
        if (!strcmp(file->name, name)) {
            *size = file->size;
            return file->data;
        }
    return NULL;
}

static void main_version(void) {
    printf("deit %s\noneDNN %s, uses %s here\ncompiled with %s%s%s\n", DEIT_COMMIT, nn_onednn_version(), nn_isa_name(),
           DEIT_COMPILER, *DEIT_FLAGS ? ": " : "", DEIT_FLAGS);
}

static void main_licenses(void) {
    static const char *const names[] = {"LICENSE", "NOTICE"};
    for (int i = 0; i < 2; i++) {
        size_t size = 0;
        const char *text = main_embedded(names[i], &size);
        if (text) fwrite(text, 1, size, stdout);
        printf("\n");
    }
}

static void main_help(void) {
    printf("deit: DeiT and Vision Transformers on CPUs\n\nUsage: deit COMMAND [ARGUMENTS] [FLAGS]\n\nCommands\n");
    for (const cli_command *const *command = cli_commands(); *command; command++)
        printf("  %-12s %s\n", (*command)->name, (*command)->summary);
    printf("\n  deit COMMAND --help   what a command takes\n"
           "  deit --version        commit, oneDNN, instruction set, compiler flags\n"
           "  deit --licenses       the licences of deit and of what is linked in\n"
           "\nExit codes: 0 done, 1 failed, 2 usage, 3 a measured number fell outside its tolerance.\n");
}

static const cli_command *main_find(const char *name) {
    for (const cli_command *const *command = cli_commands(); *command; command++)
        if (!strcmp((*command)->name, name)) return *command;
    return NULL;
}

static base_status main_unknown(const char *name) {
    const char *names[32] = {"help", "--help", "--version", "--licenses"};
    int n = 4;
    for (const cli_command *const *command = cli_commands(); *command && n < 32; command++)
        names[n++] = (*command)->name;
    const char *near = base_nearest(name, names, n);
    if (near) return base_fail_as(BASE_USAGE, "no command '%s'; did you mean '%s'?", name, near);
    return base_fail_as(BASE_USAGE, "no command '%s'; 'deit --help' shows them", name);
}

static const char *main_called;
DEIT_INTERNAL const char *cli_program(void) {
    return main_called;
}

static base_status main_command(int argc, char **argv) {
    const cli_command *command = main_find(argv[1]);
    if (!command) return main_unknown(argv[1]);
    int n;
    bool help;
    BASE_TRY(cli_parse(command, argc - 2, argv + 2, &n, &help));
    if (!help) return command->run(n, argv + 2);
    cli_print_help(command);
    return BASE_OK;
}

static base_status main_dispatch(int argc, char **argv) {
    if (argc < 2) {
        main_help();
        return base_fail_as(BASE_USAGE, "expected a command");
    }
    bool help = !strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help");
    if (!strcmp(argv[1], "--version"))
        main_version();
    else if (!strcmp(argv[1], "--licenses"))
        main_licenses();
    else if (help && (argc < 3 || !strcmp(argv[2], "help") || argv[1][0] == '-'))
        main_help();
    else if (help) {
        const cli_command *command = main_find(argv[2]);
        if (!command) return main_unknown(argv[2]);
        cli_print_help(command);
    } else {
        return main_command(argc, argv);
    }
    return BASE_OK;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); // a closed pipe is an error of the output like another
    signal(SIGXFSZ, SIG_IGN); // and so is a file beyond the limit
    cli_signals();
    main_called = argc > 0 && *argv[0] ? argv[0] : NULL;
    base_status status = main_dispatch(argc, argv);
    cli_progress_end();
    errno = 0;
    bool lost = fflush(stdout) || ferror(stdout);
    if (lost && !status) status = base_fail("standard output: %s", errno ? strerror(errno) : "could not be written");
    if (status == BASE_CANCELLED)
        cli_end_stopped();
    else if (status)
        fprintf(stderr, "deit: %s\n", base_message());
    return status;
}
