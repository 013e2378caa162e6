/* repro: the commands that would measure the rest, and what stands below a table of which nothing is measured. */

/* "here" is explained where something stands under it. */
TEST(repro_legend_of_nothing_measured) {
    for (int measured = 0; measured < 2; measured++) {
        repro_table *table;
        base_text text = {0};
        CHECK_OK(repro_table_parse(&table, "repro/t", TEST_REPRO_TABLE));
        repro_book *book = !table ? NULL : measured ? test_repro_measured(table) : test_repro_book(table);
        if (!book) return;
        repro_write_text(book, &text);
        CHECK(!strstr(text.data, " on this machine") == !measured);
        CHECK_STR_HAS(text.data,
                      measured ? "\nhere   parameters counted, the rest measured" : "\nhere   parameters counted\n");
        base_text_free(&text);
        repro_book_free(book), repro_table_free(table);
    }
}
