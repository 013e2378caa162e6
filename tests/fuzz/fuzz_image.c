/* image's decoders under fuzzing. Part of main.c. */

/* Both ways to a picture: whole, and straight into the evaluation crop, with what neither needs left out. */
static base_status fuzz_image(const uint8_t *data, size_t size) {
    const image_transform transform = {32, 0.875, IMAGE_BICUBIC, {0, 0, 0}, {1, 1, 1}, IMAGE_FIT_NONE};
    image_worker *worker;
    image_u8 whole = {0};
    image_u8 *crop;
    if (image_worker_new(&worker)) abort();
    base_status status = image_decode(&whole, data, size, "fuzz");
    if (!status) {
        volatile uint8_t sum = 0;
        for (size_t i = 0; i < 3 * (size_t)whole.width * (size_t)whole.height; i++)
            sum = (uint8_t)(sum + whole.data[i]);
    }
    base_status second =
        image_eval_source(worker, &transform, &(image_source){.bytes = data, .size = size, .name = "fuzz"}, &crop);
    image_worker_free(worker);
    image_free(&whole);
    return status ? status : second;
}
