# Holds the speeds in Table 5 of REPORT.md, or of README.md's block, against the samples in report.json: each must be their median as it is
# printed. Prints what differs, then how many were compared. Usage: awk -f speeds.awk report.json REPORT.md
function compare(network, shown,    digits) {
    digits = index(shown, ".") ? length(shown) - index(shown, ".") : 0
    compared++
    if (sprintf("%." digits "f", rate[network]) != shown) print network ": " shown " in the report, " rate[network] " of the samples"
}
function median(    i, j, v) {
    for (i = 2; i <= n; i++) { # sorts
        v = sample[i]
        for (j = i - 1; j > 0 && sample[j] > v; j--) sample[j + 1] = sample[j]
        sample[j + 1] = v
    }
    return (sample[int((n + 1) / 2)] + sample[int(n / 2) + 1]) / 2
}
FNR == NR && /^ *"table": / { inside = $2 == "\"table5\"," }
FNR == NR && inside && /^ *"network": / { network = $0; sub(/^[^:]*: "/, "", network); sub(/",$/, "", network) }
FNR == NR && inside && /"samples_images_per_s": \[/ { listed = 1; n = 0; next }
FNR == NR && listed && /]/ { listed = 0; rate[network] = median() }
FNR == NR && listed { sample[++n] = $1 + 0 }
FNR == NR { next }
/^## / { inside = /^## Table 5\./ }
inside && /^[|]/ {
    split($0, cell, / *[|] */)
    if (cell[2] in rate && cell[7] ~ /^[0-9]/) compare(cell[2], cell[7])
}
/^    [A-Z]/ {
    for (network in rate)
        if (index($0, "    " network "  ") == 1) {
            split(substr($0, 5 + length(network)), cell)
            compare(network, cell[5])
        }
}
END { print compared + 0 " compared" }
