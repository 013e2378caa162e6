#!/bin/sh
# Runs tests/cli/*.test.sh (or those named) against $DEIT (default ./deit); see lib.sh for how they are written.
# Usage: run.sh [NAME...]
set -u
cd "$(dirname "$0")/../.."
TREE=$PWD
DEIT=${DEIT:-$TREE/deit}
export TREE DEIT
if [ ! -x "$DEIT" ]; then
    echo "$DEIT is not there: run make first"
    exit 1
fi
passed=0 failed=0 skipped=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

for file in tests/cli/*.test.sh; do
    id=$(basename "$file" .test.sh)
    if [ $# -gt 0 ]; then
        case " $* " in *" $id "*) ;; *) continue ;; esac
    fi
    mkdir -p "$work/$id/folder" "$work/$id/tmp"
    (
        cd "$work/$id/folder" || exit 1
        cli_file=$id cli_tmp=$work/$id/tmp
        . "$TREE/tests/cli/lib.sh"
        . "$TREE/$file"
        cli_close
        echo "$cli_passed $cli_failed $cli_skipped" >"$cli_tmp/counts"
    )
    if [ -s "$work/$id/tmp/counts" ]; then
        read -r p f s <"$work/$id/tmp/counts"
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    else
        echo "FAIL $id: ended early"
        failed=$((failed + 1))
    fi
    chmod -R u+w "$work/$id"
    rm -rf "${work:?}/$id"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
