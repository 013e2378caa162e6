/* One program for all tests of internals: it includes the amalgamation, so that static functions can be reached. */
#define DEIT_MAIN
#define main deit_main
#include "../../src/deit.c"
#undef main
#include "test.h"

#include "unit_tests.h" /* generated: tests/unit/test_*.c */

int main(int argc, char **argv) {
    return test_main(argc, argv);
}
