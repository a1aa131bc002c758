# Sourced by ./demo and ./test: makes .venv from the lock files, once, and again only when they change.
# Everything it needs goes into .venv; nothing outside the checkout is touched.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "dcabot needs Python 3.10 or newer; python3 here is: $(python3 --version 2>&1 || true)"
}

# Debian ships Python without pip (no ensurepip) unless python3-venv is installed. Its pip is one small package with
# no dependencies of its own: fetch it with apt's signature check into private folders, which needs no root.
fetch_debian_pip() {
    local folder=$1 options
    [ -x /usr/bin/apt-get ] ||
        die "This Python cannot make virtual environments with pip (no ensurepip): install python3-venv, then try again."
    say "  this Python has no pip: fetching Debian's into .venv"
    mkdir -p "$folder/lists/partial" "$folder/archives/partial"
    options=(-qq -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder" -o APT::Sandbox::User=root
        -o Acquire::Languages=none)
    (cd "$folder" && apt-get "${options[@]}" update && apt-get "${options[@]}" download python3-pip-whl &&
        dpkg-deb -x python3-pip-whl_*.deb .) >&2 ||
        die "Could not fetch Debian's pip. As root, 'apt-get install python3-venv' does it too; then try again."
}

make_venv() {
    local python wheel
    python=$(find_python) || exit 1
    rm -rf .venv
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv .venv
        return
    fi
    "$python" -m venv --without-pip .venv
    fetch_debian_pip "$PWD/.venv/debian-pip"
    wheel=$(echo .venv/debian-pip/usr/share/python-wheels/pip-*.whl)
    .venv/bin/python "$wheel/pip" install -qq --no-index "$wheel"
    rm -rf .venv/debian-pip
}

pip_install() {
    .venv/bin/python -m pip --disable-pip-version-check install -qq --no-input "$@" </dev/null ||
        die "Installing into .venv failed (see above); is the network there?"
}

# ready_venv FILE: .venv has what the lock file FILE (requirements.txt or requirements-dev.txt) says, and dcabot in place.
ready_venv() {
    local lock=$1 stamp wanted
    stamp=.venv/.ready-$lock
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        say "Setting up .venv (once; about a minute)"
        make_venv
    fi
    wanted=$( (printf "%s\n" "$PWD"; cat setup.cfg pyproject.toml requirements-build.txt "$lock") | sha256sum)
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    say "Installing what $lock names into .venv"
    # The build tool comes from its own lock, and nothing is built in a place that fetches another one.
    pip_install --require-hashes -r requirements-build.txt
    pip_install --require-hashes --no-build-isolation --use-pep517 -r "$lock"
    pip_install --no-build-isolation --no-deps --editable .
    printf '%s\n' "$wanted" >"$stamp"
}
