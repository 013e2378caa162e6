/* deit weights: what weights there are, what is in a file, conversion, checking, fetching. */
#include "cli/internal.h"
#include "repro/manifest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *folder, *mirror;
    int as;
} cli_weights_given;
static const store_dtype cli_weights_types[] = {STORE_F32, STORE_F16, STORE_BF16}; // in the order of --as

/* ---- The folder -------------------------------------------------------------------------------------------------- */

static char *cli_weights_chosen_folder(void) {
    return cli_weights_given.folder ? base_strdup(cli_weights_given.folder) : cli_weights_folder();
}

static const repro_weights *cli_weights_for_file(const char *file) {
    const repro_weights *row;
    for (int i = 0; (row = repro_weights_at(i)); i++)
        if (!strcmp(row->file, file)) return row;
    return NULL;
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

static void cli_weights_list_line(const char *name, const model_config *config, const repro_weights *row,
                                  const char *folder) {
    char size[32] = "-", image[16] = "-", top1[16] = "-";
    int64_t parameters;
    double gflop;
    if (config && !model_size(config, &parameters, &gflop)) {
        snprintf(size, sizeof size, "%.1fM", (double)parameters * 1e-6);
        snprintf(image, sizeof image, "%d", config->image);
    }
    if (row && row->top1 >= 0) snprintf(top1, sizeof top1, "%.2f", row->top1);
    char *path = row && folder ? base_path_join(folder, row->file) : NULL;
    bool here = path && base_path_exists(path);
    base_free(path);
    printf("%-34s %8s %6s %8s  %-4s  %s\n", name, size, image, top1, here ? "yes" : "no", row ? row->file : "-");
}

static base_status cli_weights_list(void) {
    char *folder = cli_weights_chosen_folder(); /* NULL: where it is is not known */
    printf("%-34s %8s %6s %8s  %-4s  %s\n", "NAME", "PARAMS", "IMAGE", "TOP-1", "HERE", "FILE");
    for (int i = 0; i < model_count(); i++)
        cli_weights_list_line(model_at(i)->name, model_at(i), repro_weights_find(model_at(i)->name), folder);
    const repro_weights *row;
    model_config config;
    for (int i = 0; (row = repro_weights_at(i)); i++)
        if (model_find(row->name, &config))
            cli_weights_list_line(row->name, model_find(row->architecture, &config) ? NULL : &config, row, folder);
    printf("\nTOP-1: as measured on ImageNet by the authors, or by timm of the files it ported. HERE: in %s ('deit "
           "weights fetch NAME' gets it).\n",
           folder ? folder : "a folder that DEIT_WEIGHTS names");
    base_free(folder);
    return BASE_OK;
}

/* ---- inspect ----------------------------------------------------------------------------------------------------- */

static size_t cli_weights_not_finite(const float *values, size_t count) {
    size_t bad = 0;
    for (size_t i = 0; i < count; i++) bad += !isfinite(values[i]);
    return bad;
}

static base_status cli_weights_inspect_tensor(const store *s, const store_tensor *tensor) {
    char shape[192];
    printf("%-52s %-5s %s", tensor->name, store_dtype_name(tensor->dtype), store_shape_text(tensor, shape));
    bool real = tensor->dtype == STORE_F32 || tensor->dtype == STORE_F16 || tensor->dtype == STORE_BF16 ||
                tensor->dtype == STORE_F64;
    if (real && tensor->count) {
        BASE_TRY(store_want(s, tensor->name, &tensor));
        const float *values = store_f32(tensor);
        float *copy = values ? NULL : base_malloc(tensor->count * sizeof *copy);
        if (!values && !copy) return BASE_ERROR;
        base_status status = copy ? store_read_f32(tensor, copy) : BASE_OK;
        size_t bad = status ? 0 : cli_weights_not_finite(values ? values : copy, tensor->count);
        base_free(copy);
        if (status) return status;
        if (bad) printf("  %zu not finite", bad);
    }
    printf("\n");
    return BASE_OK;
}

static base_status cli_weights_inspect(const char *path) {
    store *s;
    char digest[65];
    BASE_TRY(store_open_part(&s, path, NULL));
    base_status status = base_sha256_file(path, cli_context(), digest);
    const char *part = store_part(s), *key, *value;
    double elements = 0;
    size_t unreadable = 0;
    for (size_t i = 0; i < store_count(s); i++) elements += (double)store_at(s, i)->count;
    if (!status) {
        for (unreadable = 0; store_blocked_at(s, unreadable, &key, &value); unreadable++) continue;
        printf("%s: %s%s%s%s, %zu tensors, %.0f elements", path, store_format(s), part && *part ? ", under '" : "",
               part ? part : "", part && *part ? "'" : "", store_count(s), elements);
        if (unreadable) printf("; %zu more cannot be read", unreadable);
        printf("\nsha256 %s\n", digest);
        const char *name = base_path_name(path);
        const repro_weights *row = cli_weights_for_file(name);
        if (row)
            printf("by its name the manifest's %s; checksum %s\n", row->name,
                   !*row->sha256                      ? "unknown"
                   : repro_weights_match(row, digest) ? "right"
                                                      : "WRONG");
        for (size_t i = 0; store_metadata_at(s, i, &key, &value); i++) printf("%s: %s\n", key, value);
        printf("\n");
    }
    for (size_t i = 0; i < store_count(s) && !status; i++) {
        status = cli_weights_inspect_tensor(s, store_at(s, i));
        if (!status && base_cancelled(cli_context())) status = BASE_CANCELLED;
    }
    for (size_t i = 0; i < unreadable && !status; i++)
        if (store_blocked_at(s, i, &key, &value)) printf("%-52s not read: %s\n", key, value);
    store_close(s);
    if (!status && store_check_sums(path)) base_log(cli_context(), BASE_LOG_WARNING, "%s", base_message());
    return status;
}

/* ---- convert, init ----------------------------------------------------------------------------------------------- */

/* A file must not be called what it is not. */
static base_status cli_weights_check_name(const char *out) {
    static const char *const others[] = {".pth", ".pt", ".bin", ".npz", ".npy"};
    size_t size = strlen(out);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t end = strlen(others[i]);
        if (size >= end && !strcmp(out + size - end, others[i]))
            return base_fail_as(BASE_USAGE, "%s: safetensors is what is written: call it .safetensors", out);
    }
    return BASE_OK;
}

/* in: NULL for initial values. */
static base_status cli_weights_convert(const char *in, const char *out) {
    model_config config;
    model_weights *weights;
    BASE_TRY(cli_weights_check_name(out));
    BASE_TRY(cli_network(NULL, &config));
    BASE_TRY(cli_weights_open(&weights, &config, in));
    base_status status = model_weights_write(weights, out, cli_weights_types[cli_weights_given.as], cli_context());
    model_weights_close(weights);
    return status;
}

/* ---- verify ------------------------------------------------------------------------------------------------------ */

/* Whether a file holds tensors at all. */
static base_status cli_weights_plausible(const char *path) {
    store *s;
    BASE_TRY(store_open(&s, path));
    store_close(s);
    return store_check_sums(path);
}

/* One line on standard output; *right tells whether the file is as it should be. row: the manifest's line; NULL where
 * it has none. Without a known checksum, the file's own (of its zip members) are held against what it holds. */
static base_status cli_weights_verify_file(const repro_weights *row, const char *path, bool *right) {
    char digest[65];
    BASE_TRY(base_sha256_file(path, cli_context(), digest));
    const char *name = base_path_name(path);
    bool known = row && *row->sha256;
    *right = known ? repro_weights_match(row, digest) : !cli_weights_plausible(path);
    if (*right && known)
        printf("ok   %s\n", name);
    else if (*right)
        printf("?    %s: %s; sha256 %s\n", name, row ? "no checksum known" : "not in the manifest", digest);
    else if (known)
        printf("BAD  %s: expected sha256 %s..., found %s\n", name, row->sha256, digest);
    else
        printf("BAD  %s\n", base_message());
    fflush(stdout);
    return BASE_OK;
}

static base_status cli_weights_verify_folder(const char *folder) {
    const repro_weights *row;
    int found = 0, bad = 0;
    for (int i = 0; (row = repro_weights_at(i)); i++) {
        if (base_cancelled(cli_context())) return BASE_CANCELLED;
        bool right = true;
        char *path = base_path_join(folder, row->file);
        bool here = path && base_path_exists(path);
        base_status status = here ? cli_weights_verify_file(row, path, &right) : path ? BASE_OK : BASE_ERROR;
        base_free(path);
        if (status) return status;
        found += here;
        bad += !right;
    }
    if (!found) return base_fail("%s: holds none of the manifest's files", folder);
    if (bad) return base_fail("%s: %d of %d files are damaged: delete them and fetch them again", folder, bad, found);
    return BASE_OK;
}

static base_status cli_weights_verify(const char *path) {
    bool right;
    if (base_path_is_folder(path)) return cli_weights_verify_folder(path);
    if (!base_path_exists(path)) return base_fail("%s: there is no such file or folder", path);
    BASE_TRY(cli_weights_verify_file(cli_weights_for_file(base_path_name(path)), path, &right));
    return right ? BASE_OK : base_fail("%s: damaged, or not the file that its name says", path);
}

/* ---- fetch ------------------------------------------------------------------------------------------------------- */

static base_status cli_weights_known(const char *name) {
    const char *names[96];
    int n = 0;
    if (repro_weights_find(name)) return BASE_OK;
    for (const repro_weights *each; n < 96 && (each = repro_weights_at(n)); n++) names[n] = each->name;
    const char *near = base_nearest(name, names, n);
    if (near) return base_fail_as(BASE_USAGE, "no public weights named '%s'; did you mean '%s'?", name, near);
    return base_fail_as(BASE_USAGE, "no public weights named '%s'; 'deit weights list' shows the names", name);
}

static base_status cli_weights_fetch(const char *name) {
    const repro_weights *row = repro_weights_find(name);
    const cli_download what = {
        .file = row->file, .url = row->url, .sha256 = row->sha256, .plausible = cli_weights_plausible};
    char *folder = cli_weights_chosen_folder();
    base_status status = folder ? cli_fetch(&what, folder, cli_weights_given.mirror) : BASE_ERROR;
    if (!status && *row->licence) printf("%s: licence %s\n", row->file, row->licence);
    base_free(folder);
    return status;
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static base_status cli_weights_wants(int n, char **arguments, int least, int most, const char *what) {
    if (n - 1 >= least && n - 1 <= most) return BASE_OK;
    return base_fail_as(BASE_USAGE, "weights %s: expected %s", arguments[0], what);
}

static base_status cli_weights_run(int n, char **arguments) {
    const char *action = arguments[0];
    if (!strcmp(action, "list")) {
        BASE_TRY(cli_weights_wants(n, arguments, 0, 0, "nothing more"));
        return cli_weights_list();
    }
    if (!strcmp(action, "inspect")) {
        BASE_TRY(cli_weights_wants(n, arguments, 1, 1, "one file"));
        return cli_weights_inspect(arguments[1]);
    }
    if (!strcmp(action, "convert")) {
        BASE_TRY(cli_weights_wants(n, arguments, 2, 2, "the file to read and the file to write"));
        return cli_weights_convert(arguments[1], arguments[2]);
    }
    if (!strcmp(action, "init")) {
        BASE_TRY(cli_weights_wants(n, arguments, 1, 1, "the file to write"));
        return cli_weights_convert(NULL, arguments[1]);
    }
    if (!strcmp(action, "fetch")) {
        BASE_TRY(cli_weights_wants(n, arguments, 1, n, "names of weights"));
        for (int i = 1; i < n; i++) BASE_TRY(cli_weights_known(arguments[i]));
        for (int i = 1; i < n; i++) BASE_TRY(cli_weights_fetch(arguments[i]));
        return BASE_OK;
    }
    BASE_TRY(cli_weights_wants(n, arguments, 0, 1, "at most one file or folder"));
    char *path = n > 1 ? base_strdup(arguments[1]) : cli_weights_chosen_folder();
    base_status status = path ? cli_weights_verify(path) : BASE_ERROR;
    base_free(path);
    return status;
}

DEIT_INTERNAL const cli_command *cli_weights(void) {
    static const char *const words[] = {"list", "inspect", "convert", "init", "verify", "fetch", NULL};
    static const char *const types[] = {"f32", "f16", "bf16", NULL};
    static const cli_flag flags[] = {
        {"as", CLI_CHOICE, &cli_weights_given.as, .help = "convert, init: numbers of the file to write",
         .choices = types},
        {"weights-dir", CLI_FOLDER, &cli_weights_given.folder,
         .help = "the weights folder; without it DEIT_WEIGHTS or ~/.cache/deit/weights"},
        {"mirror", CLI_TEXT, &cli_weights_given.mirror,
         .help = "fetch: a URL to get the file under, instead of its authors'", .word = "URL"},
        {0},
    };
    static const cli_command command = {
        .name = "weights",
        .summary = "list, inspect, convert, make, verify and fetch weights",
        .arguments = "list|inspect|convert|init|verify|fetch",
        .about =
            "  list            the networks, their public weights and which of them are here\n"
            "  inspect FILE    the tensors of a file\n"
            "  convert IN OUT  weights for --model as safetensors with timm's names\n"
            "  init OUT        initial values for --model, as training begins with, from --seed\n"
            "  verify [PATH]   the checksum of a file, or of the manifest's files in a folder (the weights folder)\n"
            "  fetch NAME...   downloads with curl, goes on where it stopped, checks the checksum",
        .words = words,
        .least = 1,
        .most = -1,
        .groups = CLI_NETWORK | CLI_WEIGHTS,
        .flags = flags,
        .run = cli_weights_run};
    return &command;
}
