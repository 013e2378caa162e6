# For the tests of the command line. A test file is a sequence of named checks:
#
#   name 'an unknown model is named, with the nearest one'
#   check_exit 2 '$DEIT predict --model deit_bse x.jpg'     runs the command; its exit status must be 2
#   check_err 'deit_base_patch16_224'                       the last command's stderr matches this extended regular expression
#   check_out '^top-1' / check_no_out 'nan' / check_no_err 'warning'
#   check 'cmp a.npy b.npy'                                 any shell command that must succeed
#   skip 'why'                                              leaves the named check here
#
# Each file starts in an empty folder of its own, which is removed afterwards. $DEIT is the program, $TREE the source tree.
# Files larger than a few kilobytes are made by the test, not stored. `$SANITIZE` is set under the sanitizers.

cli_name= cli_state= cli_passed=0 cli_failed=0 cli_skipped=0 cli_why=

cli_close() {
    case $cli_state in
    ok) cli_passed=$((cli_passed + 1)) && echo "ok   $cli_file: $cli_name" ;;
    skip) cli_skipped=$((cli_skipped + 1)) && echo "skip $cli_file: $cli_name: $cli_why" ;;
    fail) cli_failed=$((cli_failed + 1)) && echo "FAIL $cli_file: $cli_name" ;;
    esac
    cli_state=
}
name() {
    cli_close
    cli_name=$1 cli_state=ok
}
skip() {
    [ "$cli_state" = fail ] || cli_state=skip
    cli_why=$1
}
cli_fail() {
    cli_state=fail
    echo "     $1"
}
cli_show() { sed -n '1,12s/^/     | /p' "$cli_tmp/out" "$cli_tmp/err"; }

check_exit() {
    [ "$cli_state" = ok ] || return 0
    cli_command=$2
    eval "$2" >"$cli_tmp/out" 2>"$cli_tmp/err" </dev/null
    cli_status=$?
    [ $cli_status = "$1" ] && return 0
    cli_fail "exit status $cli_status, expected $1: $2"
    cli_show
}
check_out() {
    [ "$cli_state" = ok ] || return 0
    grep -Eq -- "$1" "$cli_tmp/out" && return 0
    cli_fail "stdout has no match of: $1   after: $cli_command"
    cli_show
}
check_err() {
    [ "$cli_state" = ok ] || return 0
    grep -Eq -- "$1" "$cli_tmp/err" && return 0
    cli_fail "stderr has no match of: $1   after: $cli_command"
    cli_show
}
check_no_out() {
    [ "$cli_state" = ok ] || return 0
    grep -Eq -- "$1" "$cli_tmp/out" || return 0
    cli_fail "stdout has a match of: $1   after: $cli_command"
    cli_show
}
check_no_err() {
    [ "$cli_state" = ok ] || return 0
    grep -Eq -- "$1" "$cli_tmp/err" || return 0
    cli_fail "stderr has a match of: $1   after: $cli_command"
    cli_show
}
check() {
    [ "$cli_state" = ok ] || return 0
    cli_command=$1
    eval "$1" >"$cli_tmp/out" 2>"$cli_tmp/err" </dev/null && return 0
    cli_fail "failed: $1"
    cli_show
}

# pictures SPLIT COUNT CLASSES: an idx pair in set/, as MNIST's: 8 x 8 pixels, label i mod CLASSES, a bright quarter each
pictures() {
    head=$(printf '\\000\\000%s\\000\\000\\%03o\\%03o' '\010\003' $(($2 / 256)) $(($2 % 256)))
    printf "$head\\000\\000\\000\\010\\000\\000\\000\\010" >"set/$1-images-idx3-ubyte"
    awk -v n="$2" -v k="$3" 'BEGIN { srand(n)
        for (i = 0; i < n; i++) for (y = 0; y < 8; y++) for (x = 0; x < 8; x++) {
            c = i % k; lit = int(x / 4) == c % 2 && int(y / 4) == int(c / 2) % 2
            printf "\\%03o", int(60 + 80 * lit + 90 * rand()) } }' >octal
    printf "$(cat octal)" >>"set/$1-images-idx3-ubyte"
    printf "$(printf '\\000\\000\\010\\001\\000\\000\\%03o\\%03o' $(($2 / 256)) $(($2 % 256)))" >"set/$1-labels-idx1-ubyte"
    awk -v n="$2" -v k="$3" 'BEGIN { for (i = 0; i < n; i++) printf "\\%03o", i % k }' >octal
    printf "$(cat octal)" >>"set/$1-labels-idx1-ubyte"
}

# bytes N COUNT: N in COUNT bytes, the lowest first.
bytes() {
    n=$1
    for _ in $(seq "$2"); do
        printf "\\$(printf %03o $((n % 256)))"
        n=$((n / 256))
    done
}
# crc FILE: its CRC-32, which gzip puts before the length at its end; the lowest byte first.
crc() { gzip -c <"$1" | tail -c 8 | head -c 4; }
# zip_of ZIP FILE...: a zip of these files, not compressed
zip_of() {
    zip=$1
    shift
    : >"$zip" && : >central
    for file in "$@"; do
        at=$(wc -c <"$zip") size=$(wc -c <"$file")
        # version, flags, stored, time, date, CRC, sizes, length of the name, no extra field
        { bytes 20 2 && bytes 0 8 && crc "$file" && bytes "$size" 4 && bytes "$size" 4 && bytes ${#file} 2 && bytes 0 2; } >entry
        { printf 'PK\003\004' && cat entry && printf %s "$file" && cat "$file"; } >>"$zip"
        { printf 'PK\001\002' && bytes 20 2 && cat entry && bytes 0 10 && bytes "$at" 4 && printf %s "$file"; } >>central
    done
    at=$(wc -c <"$zip") size=$(wc -c <central)
    { cat central && printf 'PK\005\006' && bytes 0 4 && bytes $# 2 && bytes $# 2 && bytes "$size" 4 && bytes "$at" 4 && bytes 0 2; } >>"$zip"
}
