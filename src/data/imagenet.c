/* ImageNet's 1000 classes: index = rank of the synset id. */
#include "data/internal.h"
#include <string.h>

static const struct {
    const char *synset, *name;
} imagenet_classes[DATA_IMAGENET_CLASSES] = {
#include "data/imagenet.inc"
};

DEIT_INTERNAL const char *data_imagenet_synset(int index) { return imagenet_classes[index].synset; }
DEIT_INTERNAL const char *data_imagenet_name(int index) { return imagenet_classes[index].name; }

DEIT_INTERNAL int data_imagenet_index(const char *synset, size_t size) {
    int low = 0, high = DATA_IMAGENET_CLASSES - 1;
    if (size != 9) return -1;
    while (low <= high) {
        int middle = (low + high) / 2, order = strncmp(synset, imagenet_classes[middle].synset, 9);
        if (!order) return middle;
        if (order < 0) high = middle - 1;
        else low = middle + 1;
    }
    return -1;
}
