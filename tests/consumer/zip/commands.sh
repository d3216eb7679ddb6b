# shellcheck shell=sh
rm -r third_party
build=$XVM_TREE
cpack --config "$build/CPackConfig.cmake" -G ZIP -B .

mkdir unpacked
(cd unpacked && cmake -E tar xf ../xvm-*.zip)
root=$(echo "$PWD"/unpacked/*)
run "$root/bin/xvm" --version
cmake -S . -B find "-DCMAKE_PREFIX_PATH=$root"
cmake --build find
run find/consumer
