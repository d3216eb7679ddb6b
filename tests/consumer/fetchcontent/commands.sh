# shellcheck shell=sh
(cd third_party && cmake -E tar czf ../xvm.tar.gz xvm)
rm -r third_party
cmake -S . -B build "-DXVM_ARCHIVE=$PWD/xvm.tar.gz"
cmake --build build
run build/consumer
