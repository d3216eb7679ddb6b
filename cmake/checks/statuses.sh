#!/bin/sh
# docs/statuses.md says what status.h says. Run in the top folder; --write makes it anew.
set -eu
# shellcheck disable=SC2016 # the backquotes are Markdown's
table() {
    printf '# Statuses\n\nMade from `XVM_STATUS_MAP` in include/xvm/status.h by `cmake/checks/statuses.sh --write`.\n\n'
    printf '| status | value | meaning |\n|---|---|---|\n'
    tr -d '\\\n' <include/xvm/status.h | sed 's/  */ /g' | grep -oE 'X\(XVM_[A-Z_]+, -?[0-9]+, "[^"]*"\)' |
        sed -E 's/X\((XVM_[A-Z_]+), (-?[0-9]+), "([^"]*)"\)/| `\1` | \2 | \3 |/'
}
if [ "${1:-}" = --write ]; then
    table >docs/statuses.md
else
    table | diff - docs/statuses.md
fi
