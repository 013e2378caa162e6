/* The weights that the repository ships: over Fashion-MNIST's 10,000 test pictures each answers as PyTorch did with the
 * same weights (tests/golden/shipped), but where two classes are within 1e-4 of one another; in bf16 all but a few. */
#include "test.h"

enum { SHIPPED_IMAGES = 10000, SHIPPED_BATCH = 100, SHIPPED_CLASSES = 10 };

/* right: images whose label is answered; other: those that PyTorch answers otherwise. */
static void shipped_batch(model_net *net, const data_batch *batch, const char *answers, int64_t *right,
                          int64_t *other) {
    float logits[SHIPPED_BATCH * SHIPPED_CLASSES], *row = logits;
    CHECK_OK(model_net_run(net, batch->n, batch->images, logits));
    for (int64_t i = 0; i < batch->n; i++, row += SHIPPED_CLASSES) {
        eval_class best;
        eval_top(row, SHIPPED_CLASSES, 1, &best);
        int wanted = answers[batch->items[i]] - '0';
        *right += best.index == batch->labels[i];
        if (best.index == wanted || row[best.index] - row[wanted] < 1e-4f) continue;
        ++*other;
        if (net->options.precision == NN_F32)
            TEST_FAIL("image %lld: class %d, PyTorch says %d; logits %g and %g", (long long)batch->items[i], best.index,
                      wanted, (double)row[best.index], (double)row[wanted]);
    }
}

/* expected: images that f32 answers right; bf16 may answer `most` otherwise than f32. */
static void shipped_check(const char *name, const char *network, int64_t expected, nn_dtype precision, int64_t most) {
    char weights[64], golden[128], *answers;
    size_t size;
    snprintf(weights, sizeof weights, "weights/%s-0.safetensors", name);
    snprintf(golden, sizeof golden, "tests/golden/shipped/%s.answers", name);
    data_set *set;
    if (data_open(&set, &(data_options){.path = "fashion-mnist", .split = "test"}, NULL))
        SKIP("Fashion-MNIST is not here (on Debian: the package dataset-fashion-mnist)");
    if (precision == NN_BF16 && !nn_has_bf16()) {
        data_close(set);
        SKIP("this processor has no bf16 instructions");
    }
    CHECK_EQ_INT(data_count(set), SHIPPED_IMAGES);
    model_config config;
    CHECK_OK(strcmp(network, "vit") ? model_find(network, &config) : model_weights_config(weights, &config));
    config.image = 28;
    CHECK_OK(base_read_file(golden, 0, &answers, &size));
    CHECK_EQ_INT(size, SHIPPED_IMAGES);
    model_weights *file;
    model_net *net = NULL;
    CHECK_OK(model_weights_open(&file, &config, weights, &(model_weights_options){0}, NULL));
    CHECK_OK(model_net_new(&net, &config, file,
                           &(model_options){.precision = precision, .batch = SHIPPED_BATCH, .threads = 2}));
    model_weights_close(file);
    data_loader *loader;
    CHECK_OK(data_loader_open(
        &loader, set, &(data_loader_options){.batch = SHIPPED_BATCH, .transform = eval_transform(&config)}, NULL));
    int64_t images = 0, right = 0, other = 0;
    for (data_batch batch; net && size == SHIPPED_IMAGES && !data_loader_next(loader, &batch) && batch.n;
         images += batch.n)
        shipped_batch(net, &batch, answers, &right, &other);
    CHECK_EQ_INT(images, SHIPPED_IMAGES);
    if (precision == NN_F32) CHECK_EQ_INT(right, expected); /* PyTorch finds no two best classes within 3e-4 */
    if (other > most || llabs(right - expected) > most)
        TEST_FAIL("%s: %lld answers differ, %lld are right", name, (long long)other, (long long)right);
    data_loader_close(loader);
    model_net_free(net);
    base_free(answers);
    data_close(set);
}

TEST(shipped_fashion_resnet20) {
    shipped_check("fashion-resnet20", "resnet20", 9257, NN_F32, 0);
}
TEST(shipped_fashion_deit) {
    shipped_check("fashion-deit", "vit", 8892, NN_F32, 0);
}
TEST(shipped_fashion_token) {
    shipped_check("fashion-token", "vit", 8956, NN_F32, 0);
}
TEST(shipped_fashion_resnet20_bf16) {
    shipped_check("fashion-resnet20", "resnet20", 9257, NN_BF16, 20);
}
TEST(shipped_fashion_deit_bf16) {
    shipped_check("fashion-deit", "vit", 8892, NN_BF16, 20);
}
TEST(shipped_fashion_token_bf16) {
    shipped_check("fashion-token", "vit", 8956, NN_BF16, 20);
}
