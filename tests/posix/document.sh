#!/bin/sh
# document.sh <folder with programs> <document>
# Runs every sh block of a document and compares what it prints with the text block behind it. Sizes, counts and
# addresses are those of the machine: numbers are not compared. Where more than one output is right, lines of a text
# block that begin with "-- or" stand between them. Run in the top folder. 77: a control group is missing.
set -u
PATH=$1:$PATH
document=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk -v work="$work" '
/^```sh$/ { count++; out = work "/" count ".sh"; next }
/^```text$/ { out = work "/" count ".text"; next }
/^```/ { if (out != "") close(out); out = ""; next }
out != "" { print >out }' "$document"

# "1.5 GiB", "100 bytes", "0x7f149ecb9000", "65530" become N.
without_numbers() {
    sed -E '/^exit status/b; s/0x[0-9a-f]+/N/g; s/[0-9]+(\.[0-9]+)? (bytes?|[KMGTPE]iB)/N/g; s/[0-9]+/N/g; s/ +/ /g' "$1"
}

# true: one of the outputs in the text block is the one in got. The last difference is in diff.
is_expected() {
    rm -f "$work"/want.*
    without_numbers "$1" | awk -v want="$work/want." 'BEGIN { n = 1 } /^-- or/ { n++; next } { print >(want n) }'
    for want in "$work"/want.*; do
        if diff "$want" "$work/got" >"$work/diff"; then return 0; fi
    done
    return 1
}

skipped="" broken=0 count=0
for script in "$work"/*.sh; do
    sh "$script" >"$work/out" 2>&1
    if grep -q '^SKIP' "$work/out"; then
        skipped=$(cat "$work/out")
        continue
    fi
    without_numbers "$work/out" >"$work/got"
    if ! is_expected "${script%.sh}.text"; then
        cat "$script" "$work/diff"
        broken=1
    fi
    count=$((count + 1))
done
echo "$count lines run"
[ "$broken" -eq 0 ] || exit 1
[ -z "$skipped" ] || { echo "$skipped"; exit 77; }
