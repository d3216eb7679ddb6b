#!/bin/sh
# wine32.sh <folder>: makes <folder>/i386-windows hold Wine's 32-bit Windows DLLs, so that 64-bit Wine can run
# 32-bit programs. They come out of the distribution's libwine:i386 package without installing it, which often is
# impossible: the versions of both architectures must match.
set -eu
dir=$1
[ ! -e "$dir/i386-windows/kernel32.dll" ] || exit 0
rm -rf "$dir"
mkdir -p "$dir"
for installed in /usr/lib/i386-linux-gnu/wine /usr/lib/wine; do
    [ ! -e "$installed/i386-windows/kernel32.dll" ] || { ln -s "$installed/i386-windows" "$dir/"; exit 0; }
done
command -v apt-get >/dev/null || { echo "error: no apt-get here to fetch libwine:i386 with" >&2; exit 1; }

work=$dir/apt
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
work=$(cd "$work" && pwd)
# The machine's own package sources, asked for i386 in private lists: nothing of the system's apt state changes.
# A configuration file, because an option on the command line cannot hold a path with a space.
cat > "$work/apt.conf" <<END
Dir::State::lists "$work/lists";
Dir::Cache "$work/cache";
APT::Architectures { "$(dpkg --print-architecture)"; "i386"; };
APT::Sandbox::User "";
END
echo "==> fetching libwine:i386 (95 MB) for the 32-bit Windows tests"
APT_CONFIG=$work/apt.conf
export APT_CONFIG
apt-get -q update >"$work/log" 2>&1 || true # one index of several may be out of step: the download decides
( cd "$work" && apt-get -q download libwine:i386 ) >>"$work/log" 2>&1 || {
    tail -n 5 "$work/log" >&2
    echo "error: libwine:i386 could not be fetched: no network, or a distribution without it" >&2
    exit 1
}
# A console program loads these and no others: 31 MB of the 550.
set --
for dll in ntdll kernel32 kernelbase msvcrt ucrtbase advapi32 sechost rpcrt4 bcrypt user32 gdi32 win32u imm32 \
           psapi version setupapi; do
    set -- "$@" "*/i386-windows/$dll.dll"
done
dpkg-deb --fsys-tarfile "$work"/libwine_*_i386.deb | tar -x -C "$work" --wildcards "$@"
mv "$work/usr/lib/i386-linux-gnu/wine/i386-windows" "$dir/"
rm -rf "$work"
