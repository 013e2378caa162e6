/* For clang-tidy only: says in its words that a failure is never BASE_OK, which it cannot see from another file. */
#include "base/base.h"
#define base_fail(...) (base_fail(__VA_ARGS__), BASE_ERROR)
