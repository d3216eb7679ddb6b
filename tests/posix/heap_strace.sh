#!/bin/sh
# heap_strace.sh <heap_only>: what the system is asked for while a program only uses a heap. Nothing outside of the
# heap's own reservation, never brk; nothing at all for a real-time heap, but to wait for another thread.
set -eu
skip() { echo "SKIP: $*"; exit 77; }

command -v strace >/dev/null || skip "no strace here"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
strace -f -o "$log" true >/dev/null 2>&1 || skip "tracing is not permitted here"
strace -f -s 200 -o "$log" "$1"

awk '
function hex(text,    value, i) {
    for (i = 3; i <= length(text); i++)
        value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
    return value
}
function complain(why) { print why ": " $0; broken = 1 }

{ sub(/^[0-9]+ +/, "") }
/^(---|\+\+\+|<\.\.\. )/ { next } # signals, ends, the second halves of calls
/^write\(1, "begin / {
    split($0, part, /[ "\\]+/)
    scene = part[3]
    base = hex(part[4])
    end = base + part[5]
    scenes = scenes " " scene
    next
}
/^write\(1, "end/ { scene = ""; next }
scene == "" { next }
scene == "realtime" && /^(sched_yield|clock_nanosleep|nanosleep)\(/ { next }
scene != "heap" { complain("a system call of a real-time heap"); next }
/^(mmap|munmap|mprotect|madvise|mremap|mlock|mlock2|munlock|mbind|msync)\(/ {
    split($0, part, /[(,) ]+/)
    at = part[2] ~ /^0x/ ? hex(part[2]) : 0
    if (at < base || at + part[3] > end)
        complain("outside of the reservation")
    inside++
    next
}
/^(brk|mlockall|munlockall|process_madvise|remap_file_pages|shmat|shmdt)\(/ { complain("not of a heap") }

END {
    printf "memory calls of%s: %d\n", scenes, inside
    exit broken || scenes !~ /heap/ || inside == 0
}' "$log"
