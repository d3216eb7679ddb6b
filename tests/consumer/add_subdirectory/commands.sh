# shellcheck shell=sh
cmake -S . -B build
cmake --build build
run build/consumer
cmake --install build --prefix installed
[ ! -e installed ] || die "the library has install rules in a project of a user"
