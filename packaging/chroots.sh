# Sourced by packaging/build-deb and packaging/bare-debian: roots of Debian, made by mmdebstrap and kept packed.
# As root. $suite says which Debian; $work is a folder that goes when the script ends.
# shellcheck shell=bash
# shellcheck source=packaging/venv.sh
. packaging/venv.sh

export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
suite=bookworm
cache=${DCABOT_BUILD_CACHE:-/var/cache/dcabot-build}

# ready_tools PROGRAM=PACKAGE...: install what is not there.
ready_tools() {
    local tool missing=()
    for tool; do
        command -v "${tool%=*}" >/dev/null || missing+=("${tool#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing ${missing[*]} from Debian"
    { apt-get -qq update && apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${missing[@]}"; } \
        </dev/null >/dev/null || die "${missing[*]} could not be installed."
}

make_work_folder() {
    mkdir -p "$cache"
    # What a script left there that was killed.
    find "$cache" -maxdepth 1 -name 'work.*' -mtime +1 -exec rm -rf --one-file-system {} +
    work=$(mktemp -d "$cache/work.XXXXXX")
    trap 'rm -rf --one-file-system "$work"' EXIT
}

# chroot_of NAME OPTION...: unpack a fresh chroot to $work/NAME; one that is packed already may be a week old.
chroot_of() {
    local name=$1 tar
    shift
    tar=$cache/$suite-$name-$(printf '%s\n' "$@" | sha256sum | cut -c-8).tar
    if [ -z "$(find "$tar" -mtime -7 2>/dev/null)" ]; then
        say "Making a chroot of $suite ($name)"
        # Another script may be making the same one.
        mmdebstrap --quiet --mode=root "$@" "$suite" "$work/new.tar" </dev/null ||
            die "The chroot could not be made (see above); is the network there?"
        rm -f "$cache/$suite-$name"*.tar
        mv "$work/new.tar" "$tar"
    fi
    mkdir "$work/$name"
    tar -C "$work/$name" -xf "$tar"
}
