#!/bin/sh
# Runs shellcheck over every shell script. Run in the top folder.
set -eu
command -v shellcheck >/dev/null || { echo "SKIP: no shellcheck here"; exit 77; }
exec shellcheck -x setup demo check .ci/run scripts/*.sh tests/*.sh tests/posix/*.sh tests/spin/*.sh tests/consumer/*.sh tests/consumer/*/*.sh cmake/checks/*.sh malloc/*.sh
