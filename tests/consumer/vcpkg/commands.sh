# shellcheck shell=sh
# The port, with stand-ins for what vcpkg has.
cmake -DPORT="$PWD/third_party/xvm/packaging/vcpkg/xvm" -DPACKAGES="$PWD/packages" -P port.cmake
[ -e packages/share/xvm/copyright ] || die "no copyright"
[ ! -e packages/debug/include ] || die "headers twice"
prefix=$PWD/packages
cmake -S . -B build "-DCMAKE_PREFIX_PATH=$prefix"
cmake --build build
run build/consumer
