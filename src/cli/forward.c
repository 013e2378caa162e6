/* deit forward: logits or features of images that are already arrays. */
#include "cli/internal.h"
#include "cli/output.h"

#include <string.h>

enum { FORWARD_BATCH = 32 };

static struct {
    const char *input, *output;
    bool features;
} forward_given;

/* The images of an npy file: [n, 3, image, image]. *values points into the file's mapping, or to *copy, which the
 * caller frees. */
static base_status forward_images(const store *input, const model_config *config, int64_t *n, const float **values,
                                  float **copy) {
    const char *file = store_file(input);
    if (store_count(input) != 1) return base_fail("%s: expected one array, found %zu", file, store_count(input));
    const store_tensor *tensor = store_at(input, 0);
    char shape[192];
    store_shape_text(tensor, shape);
    bool fits =
        tensor->ndim == 4 && tensor->dim[1] == 3 && tensor->dim[2] == config->image && tensor->dim[3] == config->image;
    if (!fits)
        return base_fail("%s: expected shape [N, 3, %d, %d] for %s, found %s", file, config->image, config->image,
                         config->name, shape);
    if (tensor->dtype != STORE_F32)
        return base_fail("%s: expected F32, found %s", file, store_dtype_name(tensor->dtype));
    if (tensor->dim[0] < 1) return base_fail("%s: there are no images in %s", file, shape);
    *n = tensor->dim[0];
    *values = store_f32(tensor);
    if (*values) return BASE_OK;
    *copy = base_malloc(tensor->count * sizeof **copy);
    *values = *copy;
    return *copy ? store_read_f32(tensor, *copy) : BASE_ERROR;
}

/* What is no array at all is most likely a picture. */
static base_status forward_open(store **input, const model_config *config) {
    base_mapping file;
    base_status status = store_open(input, forward_given.input);
    if (!status || base_map_file(&file, forward_given.input)) return status;
    if (file.size && !store_begins(file.data, file.size))
        status = base_fail("%s: expected an npy file (or npz, safetensors, .pth) of images, F32 [N, 3, %d, %d], found "
                           "none of these; pictures are for deit predict",
                           forward_given.input, config->image, config->image);
    base_unmap_file(&file);
    return status;
}

/* out: [n, net->width] */
static base_status forward_batches(model_net *net, int64_t n, const float *images, float *out) {
    int64_t image = 3LL * net->config.image * net->config.image, step = net->options.batch;
    for (int64_t done = 0; done < n; done += step) {
        int64_t now = n - done < step ? n - done : step;
        BASE_TRY(model_net_run(net, now, images + done * image, out + done * net->width));
        base_progress(cli_context(), "forward", (double)(done + now), (double)n, "images", NULL);
        if (base_cancelled(cli_context())) return BASE_CANCELLED;
    }
    return BASE_OK;
}

/* Says which image first has a result that is no number, and whether it holds one itself. (Weights that do are
 * refused.)
 */
static void forward_warn(const model_net *net, int64_t n, const float *images, const float *out) {
    int64_t image = 3LL * net->config.image * net->config.image, bad = nn_first_not_finite(out, n * net->width);
    if (bad < 0) return;
    bad /= net->width;
    base_log(cli_context(), BASE_LOG_WARNING, "%s: the results of image %lld (counted from 0) are not finite: %s",
             forward_given.input, (long long)bad,
             nn_first_not_finite(images + bad * image, image) >= 0 ? "it holds numbers that are not"
                                                                   : "its numbers are too large for this network");
}

static base_status forward_write(int64_t n, const float *images) {
    model_net *net;
    BASE_TRY(cli_net(&net, NULL, n < FORWARD_BATCH ? n : FORWARD_BATCH, forward_given.features));
    float *out = base_malloc((size_t)n * (size_t)net->width * sizeof *out);
    base_status status = out ? forward_batches(net, n, images, out) : BASE_ERROR;
    if (!status) forward_warn(net, n, images, out);
    if (!status) status = store_write_npy(forward_given.output, out, 2, (int64_t[]){n, net->width});
    base_free(out);
    model_net_free(net);
    return status;
}

static base_status forward_run(int count, char **arguments) {
    (void)count, (void)arguments;
    if (!forward_given.input) return base_fail_as(BASE_USAGE, "forward: expected --input FILE.npy");
    if (!forward_given.output) return base_fail_as(BASE_USAGE, "forward: expected --output FILE.npy");
    model_config config;
    BASE_TRY(cli_network(NULL, &config));
    BASE_TRY(cli_output_check(forward_given.output));
    if (base_path_same(forward_given.input, forward_given.output))
        return base_fail_as(BASE_USAGE, "--output %s: it is the input; choose another file", forward_given.output);
    store *input;
    BASE_TRY(forward_open(&input, &config));
    int64_t n = 0;
    const float *images = NULL;
    float *copy = NULL;
    base_status status = forward_images(input, &config, &n, &images, &copy);
    if (!status) status = forward_write(n, images);
    base_free(copy);
    store_close(input);
    return status;
}

DEIT_INTERNAL const cli_command *cli_forward(void) {
    static const cli_flag flags[] = {
        {"input", CLI_FILE, &forward_given.input, .help = "images, normalised: npy, f32, [N, 3, H, W]"},
        {"output", CLI_FILE, &forward_given.output, .help = "logits: npy, f32, [N, classes]"},
        {"features", CLI_YES, &forward_given.features,
         .help = "what the heads are layers of, in place of logits: [N, D]; the pooled last map, or the normed token"},
        {0},
    };
    static const cli_command command = {.name = "forward",
                                        .summary = "logits of images given as an array",
                                        .arguments = "",
                                        .groups = CLI_NETWORK | CLI_WEIGHTS | CLI_RUNNING | CLI_HEAD,
                                        .flags = flags,
                                        .run = forward_run};
    return &command;
}
