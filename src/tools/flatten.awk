# Writes src/deit.c out as one file: every local include is replaced by the file's text, once (an .inc file, a table,
# each time it is asked for). Local includes are searched for in the folders of ROOTS (separated by spaces), the
# public header deit.h stays an include. Usage: awk -v ROOTS='src build' -f flatten.awk src/deit.c
#
# A header that is met first inside #if would be missing on the other branch, so that is refused: includes (but for
# .inc files) stand outside of conditions, except for a header's own guard and the table of contents' DEIT_MAIN.

function die(text) {
    print "flatten: " text >"/dev/stderr"
    failed = 1
    exit 1
}

function find(name,    i, path, line) {
    for (i = 1; i <= roots; i++) {
        path = root[i] "/" name
        if ((getline line <path) >= 0) {
            close(path)
            return path
        }
    }
    return ""
}

function emit(path, top,    line, name, found, depth, allowed, rule) {
    rule = sprintf("/* ---- %s ", path)
    while (length(rule) < 117) rule = rule "-"
    if (!top) print rule " */"
    allowed = path ~ /\.h$/ ? 1 : 0
    while ((getline line <path) > 0) {
        if (line ~ /^[ \t]*#[ \t]*if/) depth++
        if (line ~ /^[ \t]*#[ \t]*endif/) depth--
        if (line !~ /^[ \t]*#[ \t]*include[ \t]*"/) {
            print line
            continue
        }
        name = line
        sub(/^[^"]*"/, "", name)
        sub(/".*$/, "", name)
        if (name == "deit.h") {
            if (!seen[name]++) print line
            continue
        }
        found = find(name)
        if (found == "") die(path ": \"" name "\" is in none of: " ROOTS)
        if (depth > allowed && !top && found !~ /\.inc$/) die(path ": \"" name "\" is included inside a condition; move it out")
        if (found ~ /\.inc$/ || !seen[found]++) emit(found, 0)
    }
    close(path)
}

BEGIN {
    roots = split(ROOTS, root, " ")
    emit(ARGV[1], 1)
    exit
}
END { exit failed }
