/* repro's tables under fuzzing: those of repro/ are the good ones. Part of main.c. */

static base_status fuzz_table(const uint8_t *data, size_t size) {
    repro_table *table;
    char *text = base_malloc(size + 1);
    if (!text) abort();
    memcpy(text, data, size), text[size] = 0;
    base_status status = table_parse_bytes(&table, "fuzz/table", text, size);
    base_free(text);
    volatile size_t sum = 0;
    for (int i = 0; !status && i < table->n; i++)
        for (int c = 0; c < table->n_columns; c++) sum += strlen(table->rows[i].text[c]);
    if (!status) repro_table_free(table);
    return status;
}
