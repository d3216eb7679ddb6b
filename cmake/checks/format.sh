#!/bin/sh
# .clang-format decides. Run in the top folder. Other versions than Debian 12's decide otherwise: they do not count.
set -eu
for tool in clang-format-14 clang-format none; do
    case $("$tool" --version 2>/dev/null) in *"version 14."*) break ;; esac
done
[ "$tool" != none ] || { echo "SKIP: no clang-format 14 here"; exit 77; }
find include src tests examples bench tools malloc \( -name '*.[ch]' -o -name '*.[ch]pp' \) -exec "$tool" --dry-run -Werror {} +
