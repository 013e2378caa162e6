#!/bin/sh
# What the compiler does not see: every part is in the table of contents, and no layer uses one above it.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0
report() { # report NAME FINDINGS
    if [ "$2" ]; then
        failed=$((failed + 1))
        echo "FAIL $1:"
        echo "$2" | sed 's/^/     /'
    else
        passed=$((passed + 1))
        echo "ok   $1"
    fi
}

parts=$(find src -name '*.c' ! -path src/deit.c | sort)
report 'every part is listed in src/deit.c' "$(for part in $parts; do
    grep -qF "#include \"${part#src/}\"" src/deit.c || echo "$part"
done)"

report 'a layer includes only layers below it' "$(find src -name '*.[ch]' -path 'src/*/*' | sort | awk '
    BEGIN { n = split("base store image data nn model eval train api repro cli", layer, " "); for (i = 1; i <= n; i++) level[layer[i]] = i }
    {
        split($0, path, "/")
        while ((getline line <$0) > 0)
            if (line ~ /^#include "[a-z]+\//) {
                other = line
                sub(/^#include "/, "", other)
                sub(/\/.*/, "", other)
                if (level[other] > level[path[2]]) print $0 ": " line
                if (other != path[2] && line ~ /internal\.h/) print $0 ": " line
            }
        close($0)
    }')"

report 'only nn includes oneDNN' "$(grep -rl '^#include.*dnnl' src --include='*.[ch]' | grep -v '^src/nn/')"

report 'every local macro is undefined at its file'"'"'s end' "$(for part in $parts; do
    sed -n 's/^#define \([A-Za-z_0-9]*\).*/\1/p' "$part" | sort -u | while read -r macro; do
        grep -q "^#undef $macro\$" "$part" || echo "$part: $macro"
    done
done)"

report 'the shipped checkpoints are 40 MB at most' "$(cat weights/*.safetensors | wc -c | awk '$1 > 40e6 { print $1 " bytes" }')"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
