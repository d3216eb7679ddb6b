#!/bin/sh
# wine_prefix.sh up <exe that prints something for --list> | down      (WINEPREFIX is set by the caller)
# A prefix made by `wineboot --init` costs 7 to 90 s and 695 MB. Console programs need no more than one whose
# system32 holds links to Wine's own DLLs, with `disable` in .update-timestamp so that wineboot leaves it alone.
# XVM_WINE_FULL_PREFIX=1 makes a full one: slow, but what Wine documents.
set -eu

make_prefix() {
    rm -rf "$WINEPREFIX"
    windows=$WINEPREFIX/drive_c/windows
    mkdir -p "$windows/system32" "$windows/syswow64"
    if [ -e "$dlls/kernel32.dll" ] && [ -z "${XVM_WINE_FULL_PREFIX:-}" ]; then
        echo disable > "$WINEPREFIX/.update-timestamp"
        ln -s "$dlls"/* "$windows/system32/"
        [ -z "${WINEDLLPATH:-}" ] || ln -s "$WINEDLLPATH"/i386-windows/* "$windows/syswow64/"
    else
        wine wineboot --init
    fi
}

up() {
    for dlls in /usr/lib/*-linux-gnu/wine/x86_64-windows /usr/lib/wine/x86_64-windows /usr/lib64/wine/x86_64-windows; do
        [ ! -e "$dlls/kernel32.dll" ] || break
    done
    # A prefix copied along with the tree belongs to another path or user: then it is made anew.
    key="$WINEPREFIX $(id -u) $dlls ${WINEDLLPATH:-} ${XVM_WINE_FULL_PREFIX:-}"
    if [ "$(cat "$WINEPREFIX/.ready" 2>/dev/null)" != "$key" ]; then
        make_prefix
        echo "$key" > "$WINEPREFIX/.ready"
    fi
    # It stays up while other presets are tested: a server that a test starts has CTest's pipe, and CTest takes the test
    # for running until that server ends. Fails when one is up already.
    wineserver -p3600 || true
    # Wine exits 0 when it cannot load a 32-bit program at all: ask for output, or every test would pass unrun.
    if [ -z "$(wine "$1" --list 2>/dev/null)" ]; then
        echo "Wine cannot run $1. (32-bit programs need the DLLs of scripts/wine32.sh in XVM_WINE32_DLLS.)"
        exit 1
    fi
}

case $1 in
up) # The server outlives this script. If it inherited CTest's pipe, CTest would wait until the server ends.
    log=$WINEPREFIX.log
    mkdir -p "${WINEPREFIX%/*}"
    ( up "$2" ) </dev/null >"$log" 2>&1 || { cat "$log" >&2; exit 1; } ;;
down)
    wineserver -k || true ;; # fails when none is running
esac
