# shellcheck shell=sh
command -v meson >/dev/null || skip "no meson here"
mv third_party subprojects
set --
if [ -n "$XVM_TOOLCHAIN" ]; then
    cat >cross.ini <<END
[binaries]
c = '$CC'
ar = '${CC%gcc}ar'
strip = '${CC%gcc}strip'
[host_machine]
system = 'windows'
cpu_family = 'x86_64'
cpu = 'x86_64'
endian = 'little'
END
    set -- --cross-file cross.ini
fi
export CC
meson setup build "$@"
meson compile -C build
run build/consumer
