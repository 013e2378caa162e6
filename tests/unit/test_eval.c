/* eval: the order of answers, and what is counted right. */

TEST(eval_top_orders_by_logit_then_index) {
    const float logits[] = {1, 3, 3, -2, 2};
    eval_class best[3];
    eval_top(logits, 5, 3, best);
    CHECK_EQ_INT(best[0].index, 1);
    CHECK_EQ_INT(best[1].index, 2);
    CHECK_EQ_INT(best[2].index, 4);
    double sum = exp(1) + 2 * exp(3) + exp(-2) + exp(2);
    CHECK(fabs(best[0].probability - exp(3) / sum) < 1e-6);
    CHECK(fabs(best[2].probability - exp(2) / sum) < 1e-6);
}

TEST(eval_top_more_than_there_are) {
    const float logits[] = {0, 1};
    eval_class best[4];
    eval_top(logits, 2, 4, best);
    CHECK_EQ_INT(best[0].index, 1);
    CHECK_EQ_INT(best[1].index, 0);
    CHECK_EQ_INT(best[2].index, -1);
    CHECK(best[3].probability == 0);
}

TEST(eval_top_survives_large_and_missing_numbers) {
    const float logits[] = {(float)NAN, 1e30f, -1e30f};
    eval_class best[3];
    eval_top(logits, 3, 3, best);
    CHECK_EQ_INT(best[0].index, 1);
    CHECK_EQ_INT(best[1].index, 2);
    CHECK_EQ_INT(best[2].index, 0);
}

/* Ranks of the labels: 0, 4 (in the five), 5 (not), 0. ReaL's lists: one that holds the answer, one that does not, an
 * empty one, and a file that has none. */
TEST(eval_counts_what_is_right) {
    enum { CLASSES = 7, IMAGES = 4 };
    const float logits[IMAGES * CLASSES] = {9, 1, 0, 0, 0, 0, 0, 5, 4, 3, 2, 1, 0, 0,
                                            6, 5, 4, 3, 2, 1, 0, 0, 0, 2, 0, 0, 0, 0};
    const int labels[IMAGES] = {0, 4, 5, 2};
    const int64_t items[IMAGES] = {0, 1, 2, 3};
    data_item item[IMAGES] = {{.name = "ILSVRC2012_val_00000001.JPEG"},
                              {.name = "val/ILSVRC2012_val_00000002.JPEG"},
                              {.name = "ILSVRC2012_val_00000003.JPEG"},
                              {.name = "other.JPEG"}};
    data_set set = {.items = item, .count = IMAGES};
    data_real real = {.count = 3, .begin = (int[]){0, 2, 3, 3}, .label = (int[]){3, 0, 6}};
    eval_result result = {0};
    accuracy_sums sums = {.result = &result, .set = &set, .real = &real, .classes = CLASSES};
    double loss = 0;
    for (int i = 0; i < IMAGES; i++) {
        double sum = 0;
        for (int c = 0; c < CLASSES; c++) sum += exp((double)logits[i * CLASSES + c]);
        loss += log(sum) - (double)logits[i * CLASSES + labels[i]];
    }
    accuracy_add(&sums, &(data_batch){.n = IMAGES, .labels = labels, .items = items}, logits);
    accuracy_finish(&sums, 2);
    CHECK_EQ_INT(result.images, IMAGES);
    CHECK(result.top1 == 50 && result.top5 == 75 && result.images_per_s == 2);
    CHECK(fabs(result.loss - loss / IMAGES) < 1e-9);
    CHECK_EQ_INT(result.real_images, 2);
    CHECK(result.real == 50);
}

TEST(eval_loss_is_the_mean_of_batches) {
    const float logits[8] = {1, 0, 2, 0, 3, 0, 0, 4};
    const int labels[4] = {0, 0, 0, 0};
    eval_result result = {0};
    accuracy_sums sums = {.result = &result, .classes = 2};
    accuracy_add(&sums, &(data_batch){.n = 3, .labels = labels}, logits);
    accuracy_add(&sums, &(data_batch){.n = 1, .labels = labels + 3}, logits + 6);
    accuracy_finish(&sums, 1);
    double first = (log1p(exp(-1)) + log1p(exp(-2)) + log1p(exp(-3))) / 3, second = log1p(exp(4));
    CHECK(fabs(result.loss - (first + second) / 2) < 1e-9);
}

TEST(eval_images_are_spread) {
    int64_t order[3];
    vectors_spread(order, 3, 9);
    CHECK(order[0] == 0 && order[1] == 3 && order[2] == 6);
}
