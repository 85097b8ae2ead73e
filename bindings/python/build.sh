# Sourced by test.sh and bench.sh, which set python=$(system_python): builds and installs the package from its source archive, against the library in
# TB_BUILD, with the system's Python and its setuptools. Nothing is downloaded.
# shellcheck shell=bash

# The system's interpreter, for which the system has packages; elsewhere the first on the path; nothing if there is none.
system_python() {
    if [[ -x /usr/bin/python3 ]]; then echo /usr/bin/python3; else command -v python3 || true; fi
}

# Why the package cannot be built here; nothing if it can.
missing_for_python() {
    [[ -n $python ]] || { echo "Python (python3) is not installed" && return; }
    "$python" - <<'PROGRAM'
import importlib.util, os, sys, sysconfig
names = {"setuptools": "python3-setuptools", "wheel": "python3-wheel", "pip": "python3-pip"}
missing = [package for name, package in names.items() if importlib.util.find_spec(name) is None]
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    missing.append("python3-dev")
if sys.version_info < (3, 10):
    print("Python %d.%d is older than 3.10" % sys.version_info[:2])
elif missing:
    print("for", sys.executable, "there is no", " ".join(missing))
PROGRAM
}

quietly() {
    local output
    output=$("$@" 2>&1) && return
    printf 'failed: %s\n%s\n' "$*" "$output" >&2
    return 1
}

# source_archive FOLDER: FOLDER/tokenbucket-*.tar.gz, made in a copy, so that the source tree stays clean.
source_archive() {
    mkdir -p "$1/source"
    tar -C "$TB_SOURCE" --exclude=__pycache__ --exclude='*.egg-info' --exclude=build -cf - bindings/python capi core |
        tar -C "$1/source" -xf -
    quietly env -C "$1/source/bindings/python" "$python" -B -c "import setuptools.build_meta as b; b.build_sdist('../../..')"
}

# wheel ARCHIVE FOLDER, site WHEEL FOLDER: as a user would with pip.
wheel() {
    quietly "$python" -B -m pip --disable-pip-version-check wheel --no-build-isolation --no-deps --no-index -w "$2" "$1"
}

site() {
    quietly "$python" -B -m pip --disable-pip-version-check install --no-deps --no-index --target "$2" "$1"
}
