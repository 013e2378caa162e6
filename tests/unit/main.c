/* One program for all tests of internals: it includes the amalgamation, so that static functions can be reached. */
#include "../../src/deit.c"
#include "test.h"

#include "test_base.c"
#include "test_store.c"
#include "test_image.c"
#include "test_data.c"
#include "test_nn.c"
#include "test_model.c"

int main(int argc, char **argv) { return test_main(argc, argv); }
