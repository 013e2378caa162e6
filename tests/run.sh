#!/usr/bin/env bash
# Runs every suite and adds up their closing lines, `N passed, N failed[, N skipped]`. A suite that ends without one, or
# badly without a failed test, counts as a failed test. `make test` calls it, with in its environment:
#   DEIT (the program), OUT (where the tests' programs are), SANITIZE, and what tests/dropin/run.sh needs.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
work=$(mktemp -d)
beside= # the process group that runs suites beside the others
trap 'rm -rf "$work"' EXIT
trap '[ "$beside" ] && kill -- "-$beside"; exit 130' INT TERM

# suite NAME COMMAND...: runs it, tells its time, and adds its counts to work/counts
suite() {
    name=$1 began=$(date +%s)
    shift
    echo "== $name"
    { "$@" 2>&1; echo "status $?"; } | tee "$work/$name.log" | sed '/^status [0-9]*$/d'
    echo "== $name took $(($(date +%s) - began)) s"
    status=$(sed -n 's/^status //p' "$work/$name.log" | tail -n 1)
    # "12 passed, 0 failed, 1 skipped" -> 12 0 1
    counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)*$/\1 \2 \4/p' "$work/$name.log" | tail -n 1)
    if [ "$counts" ]; then
        echo "$counts" >>"$work/counts"
        set -- $counts
        if [ "$status" = 0 ] || [ "$2" != 0 ]; then return; fi
    fi
    echo "FAIL $name: ended with status $status"
    echo "0 1" >>"$work/counts"
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

alone() { # the suites that leave a core idle when they run alone
    export OMP_NUM_THREADS=1
    lower AVX2 avx2 avx sse41
    lower SSE41 sse41
    suite fuzz "$OUT/fuzz"
    if [ "${SANITIZE:-}" ]; then
        suite dropin printf '%s\n' "skip dropin: it builds deit.c as others' programs do, without sanitizers: make test runs it" \
            '0 passed, 0 failed, 1 skipped'
    else
        suite dropin tests/dropin/run.sh
    fi
}

suite tree tests/tree.sh
suite unit "$OUT/unit"
suite bench tests/cli/run.sh bench # by itself, for it takes the time
# The commands, of one thread for much of their time, and the rest side by side, whose lines follow.
set -m # a group of its own, so that all of it can be ended
alone >"$work/alone.log" 2>&1 </dev/null &
beside=$!
set +m
suite cli tests/cli/run.sh $(cd tests/cli && ls *.test.sh | sed 's/\.test\.sh$//' | grep -vx bench)
wait $beside || { echo 'FAIL the suites beside cli: ended early'; echo "0 1" >>"$work/counts"; }
beside=
cat "$work/alone.log"

while read -r p f s; do
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
done <"$work/counts"
echo
if [ $skipped = 0 ]; then
    echo "$passed passed, $failed failed"
else
    echo "$passed passed, $failed failed, $skipped skipped"
fi
[ $failed = 0 ]
