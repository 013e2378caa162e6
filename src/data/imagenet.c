/* ImageNet's 1000 classes: index = rank of the synset id. */
#include "data/internal.h"
#include <string.h>

static const struct {
    const char *synset, *name;
} imagenet_classes[DATA_IMAGENET_CLASSES] = {
#include "data/imagenet.inc"
};

static bool imagenet_is(int index) {
    return index >= 0 && index < DATA_IMAGENET_CLASSES;
}
DEIT_INTERNAL const char *data_imagenet_synset(int index) {
    return imagenet_is(index) ? imagenet_classes[index].synset : NULL;
}
DEIT_INTERNAL const char *data_imagenet_name(int index) {
    return imagenet_is(index) ? imagenet_classes[index].name : NULL;
}

DEIT_INTERNAL int data_imagenet_find(const char *synset) {
    int low = 0, high = DATA_IMAGENET_CLASSES - 1;
    while (low <= high) {
        int middle = (low + high) / 2, order = strcmp(synset, imagenet_classes[middle].synset);
        if (!order) return middle;
        if (order < 0)
            high = middle - 1;
        else
            low = middle + 1;
    }
    return -1;
}
