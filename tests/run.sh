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

suite tree tests/tree.sh
suite unit "$OUT/unit"
suite cli tests/cli/run.sh
suite fuzz "$OUT/fuzz"
[ "${SANITIZE:-}" ] || suite dropin tests/dropin/run.sh

echo
if [ $skipped = 0 ]; then
    echo "$passed passed, $failed failed"
else
    echo "$passed passed, $failed failed, $skipped skipped"
fi
[ $failed = 0 ]
