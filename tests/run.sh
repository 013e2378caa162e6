#!/bin/sh
# Runs every suite and adds up their closing lines, `N passed, N failed[, N skipped]`. A suite that ends without one, or
# badly without a failed test, counts as a failed test. `make test` calls it, with in its environment:
#   DEIT (the program), OUT (where the tests' programs are), SANITIZE, and what tests/dropin/run.sh needs.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM

# suite NAME COMMAND...
suite() {
    name=$1
    shift
    echo "== $name"
    { "$@" 2>&1; echo "status $?"; } | tee "$log" | sed '/^status [0-9]*$/d'
    status=$(sed -n 's/^status //p' "$log" | tail -n 1)
    # "12 passed, 0 failed, 1 skipped" -> 12 0 1
    counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)*$/\1 \2 \4/p' "$log" | tail -n 1)
    if [ "$counts" ]; then
        set -- $counts
        passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
        if [ "$status" = 0 ] || [ "$2" != 0 ]; then return; fi
    fi
    echo "FAIL $name: ended with status $status"
    failed=$((failed + 1))
}

# The golden figures again, held to an instruction set below this machine's: every transformer, three convolutional
# networks, and what convolutional networks are made of. Fewer under the sanitizers, which slow down the loops that the sets share.
lower() { # lower ISA SAME...: not where the machine has no more than one of SAME
    isa=$1
    shift
    uses=$("$DEIT" doctor | sed -n 's/^oneDNN .* uses \([a-z0-9_]*\).*/\1/p')
    for same in "$@"; do [ "$uses" = "$same" ] && return; done
    set -- golden_forward_deit_tiny golden_train_vit golden_extra_transformers
    [ "${SANITIZE:-}" ] || set -- golden_forward_deit golden_forward_vit golden_forward_resnet18 \
        golden_forward_tf_efficientnet_b0 golden_forward_regnety_040 networks_ golden_train_vit golden_extra_transformers
    suite "unit, $isa" env "ONEDNN_MAX_CPU_ISA=$isa" "$OUT/unit" "$@"
}

suite tree tests/tree.sh
suite unit "$OUT/unit"
lower AVX2 avx2 avx sse41
lower SSE41 sse41
suite cli tests/cli/run.sh
suite fuzz "$OUT/fuzz"
if [ "${SANITIZE:-}" ]; then
    suite dropin printf '%s\n' "skip dropin: it builds deit.c as others' programs do, without sanitizers: make test runs it" \
        '0 passed, 0 failed, 1 skipped'
else
    suite dropin tests/dropin/run.sh
fi

echo
if [ $skipped = 0 ]; then
    echo "$passed passed, $failed failed"
else
    echo "$passed passed, $failed failed, $skipped skipped"
fi
[ $failed = 0 ]
