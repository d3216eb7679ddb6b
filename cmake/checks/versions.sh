#!/bin/sh
# What must name the version in a language of its own says what xvm.h says, and can be read. Run in the top folder.
set -eu
broken=0
version=$(sed -n 's/^#define XVM_VERSION_[A-Z]* //p' include/xvm/xvm.h | paste -sd.)

# same <file> <version found in it>
same() { [ "$2" = "$version" ] || { echo "$1: version $2, include/xvm/xvm.h: $version"; broken=1; }; }
same meson.build "$(sed -n "s/^ *version: '\([0-9.]*\)'.*/\1/p" meson.build)"

python3=$(command -v python3) || { [ $broken = 0 ] || exit 1; echo "SKIP: no python3 here"; exit 77; }
same packaging/vcpkg/xvm/vcpkg.json "$("$python3" -c 'import json, sys
print(json.load(open(sys.argv[1]))["version"])' packaging/vcpkg/xvm/vcpkg.json)"
"$python3" -c 'import ast, sys
ast.parse(open(sys.argv[1]).read())' packaging/conan/conanfile.py || broken=1
exit $broken
