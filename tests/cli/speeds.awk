# Holds the speeds in Table 5 of REPORT.md against the samples in report.json: each must be their median as it is printed. Prints what differs,
# then how many were compared. Usage: awk -f speeds.awk report.json REPORT.md
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
    if (!(cell[2] in rate) || cell[7] !~ /^[0-9]/) next
    digits = index(cell[7], ".") ? length(cell[7]) - index(cell[7], ".") : 0
    compared++
    if (sprintf("%." digits "f", rate[cell[2]]) != cell[7]) print cell[2] ": " cell[7] " in the report, " rate[cell[2]] " of the samples"
}
END { print compared + 0 " compared" }
