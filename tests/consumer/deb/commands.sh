# shellcheck shell=sh
command -v dpkg-deb >/dev/null || skip "no dpkg-deb here"
rm -r third_party
build=$XVM_TREE
cpack --config "$build/CPackConfig.cmake" -G DEB -B .

dpkg-deb --info xvm_*.deb
dpkg-deb -x xvm_*.deb unpacked
for file in bin/xvm share/man/man1/xvm.1 share/doc/xvm/README.md share/doc/xvm/docs/guide.md share/doc/xvm/copyright; do
    [ -e unpacked/usr/$file ] || [ -e unpacked/usr/$file.gz ] || die "no $file in the package"
done
run unpacked/usr/bin/xvm --version
PKG_CONFIG_LIBDIR=$(find "$PWD/unpacked" -name pkgconfig)
PKG_CONFIG_PATH=
export PKG_CONFIG_LIBDIR PKG_CONFIG_PATH
# shellcheck disable=SC2046 # words on purpose
cc main.c $(pkg-config --cflags --libs xvm) -o consumer
run ./consumer
cmake -S . -B find "-DCMAKE_PREFIX_PATH=$PWD/unpacked/usr"
cmake --build find
run find/consumer
