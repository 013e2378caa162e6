/* The parsers under smoke fuzzing; see fuzz.h. It includes the table of contents, as the unit tests do. */
#define DEIT_MAIN
#define main deit_main
#include "../../src/deit.c"
#undef main
#include "fuzz.h"
#include "fuzz_image.c"
#include "fuzz_store.c"
#include "fuzz_data.c"
#include "fuzz_repro.c"

int main(int argc, char **argv) {
    static const fuzz_target targets[] = {
        {"image", fuzz_image, "tests/golden/images/inputs", ""},
        {"image_kinds", fuzz_image, "tests/golden/extra/pictures", ""},
        {"cifar10", fuzz_cifar10, "tests/fuzz/seeds/data", "cifar10"},
        {"cifar100", fuzz_cifar100, "tests/fuzz/seeds/data", "cifar_100"},
        {"idx", fuzz_idx, "tests/fuzz/seeds/data", "idx"},
        {"labels", fuzz_labels, "tests/fuzz/seeds/data", "labels"},
        {"inat", fuzz_inat, "tests/fuzz/seeds/data", "inat"},
        {"flowers", fuzz_flowers, "tests/fuzz/seeds/data", "flowers"},
        {"cars", fuzz_cars, "tests/fuzz/seeds/data", "cars"},
        {"devkit", fuzz_devkit, "tests/golden/mat", "meta"},
        {"real", fuzz_real, "tests/fuzz/seeds/data", "real"},
        {"store", fuzz_store, "tests/fuzz/seeds/store", ""},
        {"store_official", fuzz_store, "tests/golden/store", "official"},
        {"store_views", fuzz_store, "tests/golden/store", "views"},
        {"store_kinds", fuzz_store, "tests/golden/store", "kinds"},
        {"archive_tar", fuzz_archive, "tests/golden/store", "r.tar"},
        {"archive_gnu", fuzz_archive, "tests/golden/store", "gnu.tar"},
        {"archive_zip", fuzz_archive, "tests/golden/store", ".zip"},
        {"mat", fuzz_mat, "tests/golden/mat", ".mat"},
        {"table", fuzz_table, "repro", "table"},
        {"figure", fuzz_table, "repro", "figure"},
        {"trainings", fuzz_table, "repro", "trainings"},
        {"stream", fuzz_stream, "tests/golden/store", ".tar."},
    };
    return fuzz_main(targets, (int)(sizeof targets / sizeof *targets), argc, argv);
}
