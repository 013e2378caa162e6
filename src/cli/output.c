/* output: results to a file or to standard output. */
#include "cli/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

DEIT_INTERNAL const char *cli_output_take_as(int *n, char **arguments, const char *ending) {
    size_t least = strlen(ending);
    for (int i = 0; i < *n; i++) {
        const char *word = arguments[i];
        size_t size = strlen(word);
        bool output = !strcmp(word, "-"), file = size > least && !strcmp(word + size - least, ending);
        if (!output && !file) continue;
        for (int k = i + 1; k < *n; k++) arguments[k - 1] = arguments[k];
        --*n;
        return file ? word : NULL;
    }
    return NULL;
}

DEIT_INTERNAL const char *cli_output_take(int *n, char **arguments) {
    return cli_output_take_as(n, arguments, ".json");
}

DEIT_INTERNAL base_status cli_output_check(const char *file) {
    base_output *output;
    if (!file) return BASE_OK;
    BASE_TRY(base_output_open(&output, file));
    base_output_abort(output);
    return BASE_OK;
}

DEIT_INTERNAL base_status cli_output_write(const char *file, const char *text, size_t size) {
    if (file) return base_write_file(file, text, size);
    if (fwrite(text, 1, size, stdout) == size && !fflush(stdout)) return BASE_OK;
    return base_fail("standard output: %s", strerror(errno));
}

DEIT_INTERNAL base_status cli_output_json(const char *file, json_t *json) {
    if (!file) return cli_print_json(json);
    char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(json);
    if (!text) return base_fail("out of memory while making JSON");
    base_status status = base_write_file(file, text, strlen(text));
    free(text);
    return status;
}
