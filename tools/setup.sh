# setup.sh: what must be installed, and for which command. Sourced by ./dev.
#
# Packages are named as in Debian 12 and looked up with dpkg, so a machine that has them is left alone.

packages_build="gcc libc6-dev binutils meson ninja-build pkg-config liburcu-dev libck-dev"
packages_test="$packages_build libcriterion-dev nettle-dev"
packages_lanes="$packages_test g++ clang libclang-rt-14-dev llvm lld valgrind"
packages_lint="$packages_test g++ clang-format"
packages_all="$packages_lanes clang-format relacy-dev python3"
packages_peers="golang-go golang-golang-x-sync-dev"

# Prints those of the given packages that are not installed.
missing_packages()
{
    local name
    for name in "$@"; do
        dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$name"
    done
}

# Runs a command as root, or says who could.
as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root, and sudo is not installed; run as root: $*"
    fi
}

apt_install()
{
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
}

# need PACKAGE...: installs what is missing, and says so before it does.
need()
{
    local missing log
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        [ -n "${told_no_apt:-}" ] || note "no apt-get here: taking it that these are installed: $*"
        told_no_apt=1
        return 0
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    note "installing with apt-get: $missing"
    log=$(mktemp)
    # The package lists of a bare machine are empty and those of an old one name files that are gone: refresh, then retry.
    # shellcheck disable=SC2086
    if ! apt_install $missing >"$log" 2>&1; then
        note "refreshing the package lists (apt-get update)"
        as_root apt-get update -qq >>"$log" 2>&1 || { cat "$log" >&2; die "apt-get update failed"; }
        apt_install $missing >>"$log" 2>&1 || { cat "$log" >&2; die "apt-get install failed: $missing"; }
    fi
    rm -f "$log"
    missing=$(missing_packages "$@")
    [ -z "$missing" ] || die "still not installed: $missing"
}
