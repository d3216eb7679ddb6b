#!/bin/sh
# container.sh <program> [<argument>...]
# With one program (xvm_example_container): in a control group of 256 MiB "naive" is ended by the kernel, 137, and
# "budget" ends by itself, 0. With arguments: runs the program in such a group, and ends as it ends.
# 77: no such group can be made here.
set -u

group=
leave() {
    [ -n "$group" ] || return 0
    echo $$ >"$(dirname "$group")/cgroup.procs"
    rmdir "$group"
} 2>/dev/null
trap leave EXIT
trap 'exit 1' HUP INT TERM

for root in /sys/fs/cgroup/memory /sys/fs/cgroup; do
    try=$root/xvm-container-$$
    { mkdir "$try" || continue; } 2>/dev/null
    group=$try
    for file in memory.limit_in_bytes memory.max; do
        [ -w "$group/$file" ] && { echo 268435456 >"$group/$file"; } 2>/dev/null && break 2
    done
    rmdir "$group" 2>/dev/null
    group=
done
[ -n "$group" ] || { echo "SKIP: no control group for memory can be made here"; exit 77; }
[ ! -e "$group/memory.swap.max" ] || echo 0 >"$group/memory.swap.max"

# What runs inside is a child of its own, so that this shell survives.
inside() {
    (echo 0 >"$group/cgroup.procs" && exec "$@")
}

if [ $# -gt 1 ]; then
    inside "$@"
    exit
fi
inside "$1" naive
naive=$?
inside "$1" budget
budget=$?
echo "naive $naive, budget $budget"
[ "$naive" -eq 137 ] && [ "$budget" -eq 0 ]
