// Classifies an image file: classify IMAGE MODEL [WEIGHTS].
#include "deit.h"
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    std::ifstream file(argv[1], std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const std::unique_ptr<deit_model, void (*)(deit_model *)> model(deit_open(argv[2], argv[3], nullptr), deit_close);
    const deit_image image{bytes.data(), bytes.size(), 0, 0};
    deit_class best[5];
    const bool failed = !model || deit_classify(model.get(), 1, &image, 5, best);
    if (failed) std::fprintf(stderr, "classify: %s\n", deit_error());
    for (int i = 0; i < 5 && !failed; i++) std::printf("%.6f %s\n", best[i].probability, deit_imagenet_name(best[i].index));
    return failed;
}
