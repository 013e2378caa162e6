#!/bin/sh
# clang-format, cppcheck and clang-tidy over all C files; silent when clean. `make lint` calls it (CC, ONEDNN).
# With arguments: only those files. (Not data/imagenet.inc, a table with a class a line.)
set -u
cd "$(dirname "$0")/../.."
sources=${*:-$(find src tests -name '*.[ch]' -o -path 'src/nn/*.inc' | sort)}
parts=$(for file in $sources; do case $file in src/deit.c) ;; src/*.c) echo "$file" ;; esac; done)
failed=0

clang-format --dry-run -Werror $sources || failed=1

# clang comes without omp.h: gcc's does, alone.
mkdir -p build/omp
sed 's/__malloc__ ([^)]*)/__malloc__/' "$("$CC" -print-file-name=include/omp.h)" >build/omp/omp.h
flags="-std=gnu11 -DDEIT_MAIN -Isrc -Ibuild -Ibuild/omp -I$ONEDNN/include -Wno-unknown-pragmas"
jobs=$(nproc 2>/dev/null || echo 2)
if [ "$parts" ]; then
    # invalidPointerCast: the arena is bytes, aligned for any number. internalAstError: vectors are beyond its grammar.
    # readdirCalled: each stream is read by one thread, and glibc has deprecated readdir_r.
    cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --language=c -j "$jobs" --library=posix,gnu \
        --enable=warning,performance,portability --suppress=missingIncludeSystem --suppress=invalidFunctionArg \
        --suppress=invalidPointerCast --suppress=readdirCalled --suppress='internalAstError:src/nn/simd*' -DDEIT_MAIN -Isrc -Ibuild $parts || failed=1
    # Its count of suppressed warnings goes to stderr even when all is well: shown only on failure.
    echo "$parts" | xargs -n 1 -P "$jobs" sh -c '
        said=$(clang-tidy --quiet "$1" -- $0 2>&1) || { echo "$said"; exit 1; }' "$flags" || failed=1
fi
exit $failed
