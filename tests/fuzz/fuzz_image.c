/* image's decoders under fuzzing. Part of main.c. */

/* The part in the middle, a third of each side. */
static void fuzz_image_choose(void *user, int width, int height, image_box *box) {
    (void)user;
    *box = (image_box){width / 3, height / 3, (width + 2) / 3, (height + 2) / 3, 20, 30, IMAGE_BILINEAR};
}

/* The ways to a picture: whole, straight into the evaluation crop, a part of it; what they do not need is left out. */
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
    base_status third = image_crop(worker, &(image_source){.bytes = data, .size = size, .name = "fuzz"},
                                   fuzz_image_choose, NULL, &crop);
    image_worker_free(worker);
    image_free(&whole);
    return status ? status : second ? second : third;
}
