# shellcheck shell=sh
prefix=$XVM_STAGE
cmake -S . -B build "-DCMAKE_PREFIX_PATH=$prefix" "-DXVM_WANTED=$XVM_VERSION"
cmake --build build
run build/consumer
