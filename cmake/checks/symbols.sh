#!/bin/sh
# symbols.sh <libxvm.a>: a name tells its reach. What the library defines for the linker is promised in a header
# (xvm_) or is its own business (xvm_os_), and what a header promises is there. Run in the top folder.
set -eu
broken=0
defined=$(nm --extern-only --defined-only "$1" | sed -n 's/^[0-9a-f]* [A-Z] //p' | sort -u)
promised=$(sed -n 's/^XVM_API .*\(xvm_[a-z0-9_]*\)(.*/\1/p' include/xvm/*.h | sort -u)
[ -n "$defined" ] || { echo "nm found nothing in $1"; exit 1; }
for name in $defined; do
    case $name in
    xvm_os_*) ;;
    *) printf '%s\n' "$promised" | grep -qx "$name" ||
           { echo "$name: defined, neither promised in a header nor xvm_os_"; broken=1; } ;;
    esac
done
for name in $promised; do
    printf '%s\n' "$defined" | grep -qx "$name" || { echo "$name: promised in a header, not defined"; broken=1; }
done
exit $broken
