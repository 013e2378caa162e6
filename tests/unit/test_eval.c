/* eval: the order of answers, and accuracy on small data sets. */

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
