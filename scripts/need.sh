# shellcheck shell=sh
# Sourced by setup, demo and check.

say() { printf '==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# have <program, or path that may hold patterns>
have() {
    case $1 in
    /*) for path in $1; do [ -e "$path" ] && return 0; done; return 1 ;;
    *)  command -v "$1" >/dev/null 2>&1 ;;
    esac
}

# need <program or path>=<Debian package>...
# Installs the packages whose program is missing. Says what it runs. Never touches what is there.
need() {
    missing=
    for pair; do
        have "${pair%=*}" || missing="$missing ${pair##*=}"
    done
    [ -n "$missing" ] || return 0

    have apt-get || die "missing:$missing (Debian names). No apt-get here:" \
        "install them with your package manager, then run this again."
    if [ "$(id -u)" = 0 ]; then sudo=
    elif have sudo; then sudo=sudo
    else die "missing:$missing. Neither root nor sudo here; as root: apt-get install$missing"
    fi
    # shellcheck disable=SC2086 # words on purpose: no sudo is no word, and packages are several
    set -- $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 $missing
    say "$*"
    "$@" && return 0
    say "$sudo apt-get update" # a fresh image has no package lists
    $sudo apt-get update || die "apt-get update failed: no network, or a broken mirror. Missing:$missing"
    "$@" || die "apt-get could not install:$missing"
}
