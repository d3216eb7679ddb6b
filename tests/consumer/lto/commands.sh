# shellcheck shell=sh
cmake -S . -B build -DCMAKE_BUILD_TYPE=MinSizeRel -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON
cmake --build build
objdump -h build/third_party/xvm/libxvm.a | grep -q 'gnu\.lto' || die "the library is compiled without LTO"
run build/consumer
