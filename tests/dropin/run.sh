#!/bin/sh
# Drops build/deit.c and build/deit.h, and nothing else, into a folder with a small C and a small C++ program, as a user would.
# `make test` calls it, with CC, CXX, ONEDNN (the prefix) and DROPIN_LIBS (what to link) in its environment.
set -u
cd "$(dirname "$0")/../.."
passed=0 failed=0 skipped=0
tree=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cp build/deit.c build/deit.h tests/dropin/classify.c tests/dropin/classify.cc "$work"
cd "$work" || exit 1

try() { # try NAME COMMAND...
    what=$1
    shift
    if "$@" >log 2>&1; then
        passed=$((passed + 1))
        echo "ok   dropin: $what"
    else
        failed=$((failed + 1))
        echo "FAIL dropin: $what: $*"
        sed -n '1,20s/^/     /p' log
    fi
}

strict="-Wall -Wextra -Werror -O1 -fopenmp -I$ONEDNN/include"
try 'deit.c compiles alone as C, without a warning' $CC -std=gnu11 $strict -c deit.c -o deit.o
others() { ! nm -g --defined-only deit.o | awk '$3 !~ /^deit_/ { print $3 }' | grep .; }
try 'no external symbol but deit_*' others
try 'deit.h is strict C11' $CC -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only classify.c
try 'deit.h is strict C++11' $CXX -std=c++11 -pedantic -Wall -Wextra -Werror -fsyntax-only classify.cc
try 'a C program links' $CC -std=c11 $strict classify.c deit.o -o classify_c $DROPIN_LIBS
try 'a C++ program links' $CXX -std=c++11 $strict classify.cc deit.o -o classify_cc $DROPIN_LIBS
image=$tree/tests/golden/images/inputs/odd_sizes.jpg
try 'the C program classifies an image' ./classify_c "$image" deit_tiny_patch16_224
cp log c.log
five() { [ "$(grep -c '^0\.[0-9]* [a-z]' c.log)" = 5 ]; }
try 'five named classes come out' five
try 'the C++ program says the same' sh -c "./classify_cc '$image' deit_tiny_patch16_224 >cc.log && cmp c.log cc.log"
refused() { ! ./classify_c "$tree/LICENSE" deit_tiny_patch16_224 && ! ./classify_c "$image" no_such_model; }
try 'what is no image, and no model, is refused' refused

# clang comes without omp.h; gcc's will do.
clang=$(command -v clang || ls /usr/bin/clang-[0-9][0-9] 2>/dev/null | tail -n 1)
if [ "$clang" ]; then
    mkdir omp
    sed 's/__malloc__ ([^)]*)/__malloc__/' "$($CC -print-file-name=include/omp.h)" >omp/omp.h
    try 'clang compiles it too' "$clang" -std=gnu11 -Wall -Wextra -Werror -O1 -Wno-unknown-pragmas -Iomp "-I$ONEDNN/include" -c deit.c \
        -o clang.o
else
    skipped=$((skipped + 1))
    echo "skip dropin: clang compiles it too: no clang here"
fi

# The libraries' headers are the same for every processor, but lie beside this machine's own, which a cross compiler must not see.
arm=$(command -v aarch64-linux-gnu-gcc)
if [ "$(uname -m)" = x86_64 ] && [ "$arm" ]; then
    mkdir arm
    for header in archive.h archive_entry.h bzlib.h jansson.h jconfig.h jmorecfg.h jpeglib.h lzma lzma.h nettle png.h pngconf.h \
        pnglibconf.h zconf.h zlib.h zstd.h; do
        for folder in /usr/include/x86_64-linux-gnu /usr/include; do
            [ ! -e $folder/$header ] || ln -sf $folder/$header arm/
        done
    done
    try 'it compiles for aarch64' "$arm" -std=gnu11 -Wall -Wextra -Werror -O1 -fopenmp -DDEIT_MAIN -Iarm "-I$ONEDNN/include" -c deit.c \
        -o arm.o
else
    skipped=$((skipped + 1))
    echo "skip dropin: it compiles for aarch64: no aarch64-linux-gnu-gcc here"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
