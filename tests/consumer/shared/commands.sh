# shellcheck shell=sh
cmake -S third_party/xvm -B library -DBUILD_SHARED_LIBS=ON -DXVM_BUILD_TESTS=OFF -DXVM_BUILD_EXAMPLES=OFF
cmake --build library
cmake --install library --prefix installed

# Exported is what a header promises and nothing else.
sed -n 's/^XVM_API .*\(xvm_[a-z0-9_]*\)(.*/\1/p' installed/include/xvm/*.h | sort -u >promised
if [ "$XVM_SUFFIX" = .exe ]; then
    objdump -p installed/bin/libxvm.dll >dump
    sed -n '/\[Ordinal\/Name Pointer\] Table/,/^$/s/^[[:space:]]*\[ *[0-9]*\] *//p' dump | sort >exported
    sed -n 's/.*DLL Name: //p' dump | grep -iv '^kernel32\.dll$\|^msvcrt\.dll$' && die "the DLL needs others"
else
    nm -D --defined-only installed/lib*/libxvm.so | sed 's/.* //' | sort >exported
    readelf -d installed/lib*/libxvm.so | grep -q "SONAME.*libxvm.so.${XVM_VERSION%.*}\]" || die "another SONAME"
fi
diff promised exported || die "< promised and not exported, > the other way round"
say "$(wc -l <exported) exported names"

cmake -S . -B build "-DCMAKE_PREFIX_PATH=$PWD/installed"
cmake --build build
[ "$XVM_SUFFIX" != .exe ] || cp installed/bin/libxvm.dll build
run build/consumer
