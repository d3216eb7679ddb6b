#!/bin/sh
# symbols.sh <libxvm-malloc.so>: it exports what malloc.map says and nothing else. Run in the top folder.
set -eu
names=$(sed -n '/global:/,/local:/p' malloc/malloc.map | grep -oE '[A-Za-z0-9_]+;' | tr -d ';' | sort)
exported=$(nm --dynamic --defined-only "$1" | sed 's/.* //' | sort)
[ -n "$names" ] || { echo "malloc.map has no names"; exit 1; }
[ "$names" = "$exported" ] || { printf 'malloc.map:\n%s\nexported:\n%s\n' "$names" "$exported"; exit 1; }
