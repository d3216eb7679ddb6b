# shellcheck shell=sh
# Ours only: never the machine's own.
PKG_CONFIG_LIBDIR=$(find "$XVM_STAGE" -name pkgconfig)
PKG_CONFIG_PATH=
export PKG_CONFIG_LIBDIR PKG_CONFIG_PATH
pkg-config --exists --print-errors "xvm = $XVM_VERSION"

# shellcheck disable=SC2046 # words on purpose
cc main.c $(pkg-config --cflags --libs xvm) -o consumer
run ./consumer
