#!/usr/bin/env bash
# Sets up a fresh Debian-like machine: system packages, .venv, and the project in it, editable, at the pinned
# versions of constraints.txt. Needs PyPI and the distribution's own packages, nothing else. Safe to run again;
# when nothing has changed it is done at once. With the argument test, also the tools that only tests need: a browser, and
# place and route for FPGAs. With the argument bench, also what `make bench` compares with; PyTorch's build for the CPU
# is then looked for at its own index as well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { echo "setup: $*" >&2; exit 1; }
say() { echo "setup: $*"; }

extras="sim,verify,cost,sweep,test"
tools="iverilog:iverilog yosys:yosys berkeley-abc:berkeley-abc sta:opensta make:make g++:g++" # command:package
venv=.venv
stamp=$venv/.setup-stamp
case ${1:-} in
    '') ;;
    test) tools+=" nextpnr-ice40:nextpnr-ice40 chromium:chromium" ;;
    bench) extras+=",bench" stamp+="-bench" ;;
    *) die "the only arguments are test and bench, got $1" ;;
esac

# --- what is there -----------------------------------------------------------------------------------------------

missing_packages() { # prints the Debian packages of the tools that this machine lacks
    local pair
    for pair in $tools; do
        command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
    done
    [ -e /usr/share/qflow/tech/osu018/osu018_stdcells.lib ] || echo qflow-tech-osu018
    [ -e /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ] || echo dataset-fashion-mnist
}

usable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() { # prints a Python >= 3.11; the pins are those of 3.11, so that one first
    local candidate
    for candidate in ${PYTHON:-} python3.11 python3 python3.12 python3.13; do
        if usable "$candidate"; then command -v "$candidate"; return; fi
    done
}

fingerprint() { # of everything that decides what is installed, and of where
    { pwd; cat pyproject.toml constraints.txt scripts/setup.sh; grep '^__version__' lns/__init__.py; } | sha256sum
}

# --- installing --------------------------------------------------------------------------------------------------

apt_updated=
apt_install() { # installs Debian packages, or says in one line which are needed
    local root=() log
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "please install these packages and run this again: $*"
        root=(sudo)
        [ -t 0 ] || root=(sudo -n)
    fi
    command -v apt-get >/dev/null || die "no apt-get here; please install the equivalents of these and run this again: $*"
    say "installing $*"
    log=$(mktemp)
    if [ -z "$apt_updated" ]; then
        "${root[@]}" apt-get update -q >"$log" 2>&1 </dev/null || say "apt-get update failed: $(tail -n 1 "$log")"
        apt_updated=yes
    fi
    if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "$@" >"$log" 2>&1 </dev/null; then
        die "apt-get could not install $*: $(grep -m 1 -E '^(E:|sudo:)' "$log" || tail -n 1 "$log") (log: $log)"
    fi
    rm -f "$log"
}

shared_library() { # does this Python find its shared library, which cocotb loads into the simulator?
    "$1" -c 'import ctypes, sysconfig; ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))' >/dev/null 2>&1
}

pip_install() {
    local log
    log=$(mktemp)
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt "$@" >"$log" 2>&1 </dev/null ||
        die "pip could not install $*: $(grep -m 1 '^ERROR' "$log" || tail -n 1 "$log") (log: $log)"
    rm -f "$log"
}

make_venv() {
    local python
    python=$(find_python)
    if [ -z "$python" ]; then
        apt_install python3 python3-venv
        python=$(find_python)
        [ -n "$python" ] || die "Python 3.11 or newer is required, and this distribution's is older; set PYTHON to one"
    fi
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        apt_install "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    if ! shared_library "$python"; then
        case $("$python" -c 'import sys; print(sys.base_prefix)') in
            /usr) apt_install "$("$python" -c 'import sys; print("libpython%d.%d" % sys.version_info[:2])')" ;;
            *) say "warning: $python has no shared library, which cocotb needs; set PYTHON to another one" ;;
        esac
    fi
    say "creating $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" || die "$python could not create $venv"
}

packages=$(missing_packages)
now=$(fingerprint)
if [ -z "$packages" ] && [ -x "$venv/bin/lns" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$now" ]; then
    exit 0
fi
# shellcheck disable=SC2086 # one word a package
[ -z "$packages" ] || apt_install $packages
{ usable "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; } || make_venv
say "installing the Python packages"
# The build backends, ours and that of packages that come as source, pinned as well, so that no build environment fetches others.
pip_install hatchling setuptools
if [ "${1:-}" = bench ]; then # alone, so that no other package is looked for there
    pip_install --extra-index-url https://download.pytorch.org/whl/cpu --retries 0 --no-deps torch
fi
pip_install --no-build-isolation -e ".[$extras]"
[ -x "$venv/bin/lns" ] || die "the command lns was not installed"
echo "$now" >"$stamp"
say "done; $venv/bin/lns is ready"
