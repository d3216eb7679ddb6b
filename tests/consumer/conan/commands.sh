# shellcheck shell=sh
# The recipe, with stand-ins for what it takes from Conan: its version, and that what it exports can be configured
# with its variables.
command -v python3 >/dev/null || skip "no python3 here"
recipe=$PWD/third_party/xvm/packaging/conan/conanfile.py
variables=$(python3 -B recipe.py "$recipe" exported "$XVM_VERSION")
rm -r third_party
# shellcheck disable=SC2086 # words on purpose
cmake -S exported -B build $variables
