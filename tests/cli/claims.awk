# Holds README's table of claims against the report's: each number against a claim of the same table and verdict, and
# which cells are empty. Prints what differs. Usage: awk -f claims.awk REPORT.md README.md
# A cell: "helps (+2.5, from +1.1 to +3.9)", "(+2.5, +2.8, each ±4.4)": estimates, and intervals or half their widths.

function rounded(x) { # a half away from zero
    return x < 0 ? -rounded(-x) : int(x + 0.5 + 1e-6)
}

function near(text, number,    unit) {
    unit = 10 ^ (length(text) - index(text, "."))
    return rounded(text * unit) == rounded(number * unit)
}

function hold(part, verdict, cell,    i, k, n, first, token, is, value, low, high, half, used, text) {
    n = claims[part, verdict] + 0
    if ((cell == "") != (n == 0)) print part ", " verdict ": " n " claims in the report, in README: '" cell "'"
    for (text = cell; match(text, /(from |to |± ?)?[-+]?[0-9]+\.[0-9]+/); text = substr(text, RSTART + RLENGTH)) {
        if (index(substr(text, 1, RSTART), "(") || !is) first = is + 1
        token = value[is + 1] = substr(text, RSTART, RLENGTH)
        sub(/^[^-+0-9]*/, "", token)
        if (value[is + 1] ~ /^from/) low[is] = token
        else if (value[is + 1] ~ /^to/) high[is] = token
        else if (value[is + 1] ~ /^±/) for (i = first; i <= is; i++) half[i] = token
        else is++
    }
    for (i = 1; i <= is; i++) {
        for (k = 1; k <= n; k++)
            if (!(k in used) && near(value[i], mean[part, verdict, k]) &&
                (!(i in low) || near(low[i], least[part, verdict, k])) &&
                (!(i in high) || near(high[i], most[part, verdict, k])) &&
                (!(i in half) || near(half[i], (most[part, verdict, k] - least[part, verdict, k]) / 2))) break
        used[k]
        if (k > n)
            print part ", " verdict ": no such claim in the report: " value[i] (i in low ? " from " low[i] : "") \
                (i in high ? " to " high[i] : "") (i in half ? " ±" half[i] : "")
    }
    if (match(cell, /(two|three|four|five|six) (more|others)/) &&
        is + words[substr(cell, RSTART, index(substr(cell, RSTART), " ") - 1)] != n)
        print part ", " verdict ": " n " claims in the report, in README " is " and " substr(cell, RSTART, RLENGTH)
}

BEGIN {
    words["two"] = 2; words["three"] = 3; words["four"] = 4; words["five"] = 5; words["six"] = 6
}
NR == FNR && /^- \*\*Time\*\* / {
    match($0, /[0-9.]+ h of processors/)
    time = $3 " of them, " substr($0, RSTART, index(substr($0, RSTART), " ")) "hours of processors"
}
NR == FNR && /^## / {
    part = tolower($2) " " $3
    sub(/\.$/, "", part)
    if ($2 == "Accuracy") part = "by epochs"
    if ($2 == "Similarity" || $2 == "Position") part = "similarity, positions"
}
NR == FNR && /^- \*\*(holds|DOES NOT HOLD|undecided)\*\* desk, / {
    split($0, bold, /\*\*/)
    if (!match($0, /[-+][0-9.]+( points)?, 95% from [-+][0-9.]+ to [-+][0-9.]+; ([0-9]+ and [0-9]+ values|[0-9]+ pairs)\)$/)) {
        print "a claim without numbers: " $0
        next
    }
    k = ++claims[part, bold[2]]
    numbers = substr($0, RSTART, RLENGTH)
    sub(/ points/, "", numbers)
    split(numbers, number, / /)
    mean[part, bold[2], k] = number[1] + 0
    least[part, bold[2], k] = number[4] + 0
    most[part, bold[2], k] = number[6] + 0
}
NR == FNR { next }
index($0, time) { timed = 1 }
/^\| small networks \|/ { inside = 1 }
!/^\|/ { inside = 0 }
inside && /^\| (table|figure|by|similarity)/ {
    rows++
    split($0, cell, / *\| */)
    hold(cell[2], "holds", cell[3])
    hold(cell[2], "DOES NOT HOLD", cell[4])
    hold(cell[2], "undecided", cell[5])
    for (key in claims) if (index(key, cell[2] SUBSEP) == 1) delete claims[key]
}
END {
    if (!timed) print "README has nowhere '" time "'"
    for (key in claims) if (claims[key]) print "README has no row of " substr(key, 1, index(key, SUBSEP) - 1)
    if (!rows) print "README has no table of claims"
}
