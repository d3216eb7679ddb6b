#!/bin/sh
# Each source and each public C header stands once in a list of the folder sources, and nothing else does. Run in the
# top folder.
there=$(find src -name '*.c'; find include -name '*.h')
listed=$(cat sources/*)
wrong=$(printf '%s\n%s\n' "$there" "$listed" | sort | uniq -c | grep -v '^ *2 ')
[ -n "$wrong" ] || exit 0
printf 'in sources/, in the tree, or twice:\n%s\n' "$wrong"
exit 1
