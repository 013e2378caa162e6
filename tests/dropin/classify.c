/* Classifies an image file: classify IMAGE MODEL [WEIGHTS]. */
#include "deit.h"
#include <stdio.h>

int main(int argc, char **argv) {
    static unsigned char bytes[1 << 22];
    FILE *file = argc > 2 ? fopen(argv[1], "rb") : NULL;
    deit_image image = {bytes, file ? fread(bytes, 1, sizeof bytes, file) : 0, 0, 0};
    if (file) fclose(file);
    deit_model *model = argc > 2 ? deit_open(argv[2], argv[3], NULL) : NULL;
    deit_class best[5];
    int failed = !model || deit_classify(model, 1, &image, 5, best);
    if (failed) fprintf(stderr, "classify: %s\n", deit_error());
    for (int i = 0; i < 5 && !failed; i++) printf("%.6f %s\n", best[i].probability, deit_imagenet_name(best[i].index));
    deit_close(model);
    return failed;
}
