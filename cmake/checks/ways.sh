#!/bin/sh
# Each line that docs/building.md shows in a row that ends in a folder of tests/consumer is a line of a file there (or
# of packaging); each folder there has a row. Run in the top folder.
set -eu
broken=0
count=0
while IFS='|' read -r _ _ lines folder _; do
    folder=$(printf '%s\n' "$folder" | sed -n 's|.*(\.\./\(tests/consumer/[a-z_]*\)).*|\1|p')
    [ -n "$folder" ] || continue
    case $folder in
    */vcpkg | */conan) set -- "$folder" packaging ;;
    *) set -- "$folder" "tests/consumer/main.cpp" ;;
    esac
    # shellcheck disable=SC2016 # the backquotes are Markdown's
    quoted=$(printf '%s\n' "$lines" | grep -oE '`[^`]*`' | tr -d '`')
    while IFS= read -r line; do
        count=$((count + 1))
        grep -rqF -e "$line" "$@" || { echo "docs/building.md: no line of $folder: $line"; broken=1; }
    done <<END
$quoted
END
done <docs/building.md
for folder in tests/consumer/*/; do
    grep -qF "(../${folder%/})" docs/building.md || { echo "docs/building.md: no row for $folder"; broken=1; }
done
echo "$count lines"
[ "$count" -gt 0 ] || broken=1
exit $broken
