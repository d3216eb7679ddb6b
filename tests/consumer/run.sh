#!/bin/sh
# run.sh <way> [<emulator>...]: adds xvm to a user's project in one way and runs the program. Each folder here is such a project; its
# commands.sh is what docs/building.md shows. CTest says in the environment (see tests/CMakeLists.txt):
#   XVM_FOLDER      where to work: $XVM_FOLDER/<way>
#   XVM_TREE        the build tree; XVM_STAGE: what it installs; XVM_VERSION: of both
#   CC CXX CFLAGS LDFLAGS    of this preset; XVM_TOOLCHAIN XVM_SUFFIX: where it is another system's
#
#     $XVM_FOLDER/<way>/   main.c, main.cpp, the files of the way's folder
#         third_party/xvm  a copy of the source tree, of what a user needs
set -eu
way=$1
shift
emulator=
for word; do emulator="$emulator '$word'"; done
rm -rf "${XVM_FOLDER:?}/$way"
mkdir -p "$XVM_FOLDER/$way/third_party/xvm"
cp -R tests/consumer/main.c tests/consumer/main.cpp "tests/consumer/$way/." "$XVM_FOLDER/$way"
cp -R CMakeLists.txt meson.build LICENSE README.md cmake docs include packaging sources src tools "$XVM_FOLDER/$way/third_party/xvm"
cd "$XVM_FOLDER/$way"

say() { printf '==> %s\n' "$*"; }
skip() { echo "SKIP: $*"; exit 77; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# What a user types, for the compiler and the system of this preset.
# shellcheck disable=SC2086 # flags are words
cc() { say "cc $*"; command $CC $CFLAGS "$@" $LDFLAGS; }
# shellcheck disable=SC2086
cxx() { say "c++ $*"; command $CXX $CFLAGS "$@" $LDFLAGS; }
alias c++=cxx # which is no name for a function
# shellcheck disable=SC2034 # eval uses it
run() { say "$*"; to_run=$1$XVM_SUFFIX; shift; eval "$emulator \"\$to_run\" \"\$@\""; }
cmake() {
    say "cmake $*"
    case $1 in
    -S | -B)
        set -- "$@" -G Ninja "-DCMAKE_C_FLAGS=$CFLAGS" "-DCMAKE_CXX_FLAGS=$CFLAGS"
        if [ -n "$XVM_TOOLCHAIN" ]; then set -- "$@" "-DCMAKE_TOOLCHAIN_FILE=$XVM_TOOLCHAIN"
        else set -- "$@" "-DCMAKE_C_COMPILER=$CC" ${CXX:+"-DCMAKE_CXX_COMPILER=$CXX"}; fi ;;
    esac
    command cmake "$@"
}

# shellcheck disable=SC1091 # each is checked by itself
. ./commands.sh
