# Installs Debian packages that are missing. Sourced by the run scripts.
# shellcheck shell=bash

# A WANT is a package, or command:package where any program of that name will do.
is_installed() { # WANT
    local want=$1
    if [[ $want == *:* ]] && command -v "${want%%:*}" >/dev/null; then return 0; fi
    [[ $(dpkg-query -W -f='${db:Status-Status}' "${want#*:}" 2>/dev/null) == installed ]]
}

# The package lists are fetched only where the lists at hand do not do.
apt_install() { # PACKAGE..., with the command that makes it root in the array as_root
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=120)
    "${apt[@]}" install --no-install-recommends "$@" ||
        { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "$@"; }
}

# Installs what is not there, saying what and for what; asks for nothing. Fails, saying what to do, where it cannot.
install_missing() { # PURPOSE WANT...
    local purpose=$1 want log status=0 missing=() as_root=()
    shift
    for want in "$@"; do
        is_installed "$want" || missing+=("${want#*:}")
    done
    if ((${#missing[@]} == 0)); then return 0; fi

    if ((EUID != 0)); then as_root=(sudo -n); fi
    if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
        echo "Missing for $purpose: ${missing[*]}. As root: apt-get install ${missing[*]}" >&2
        return 1
    fi
    echo "Installing ${missing[*]}, needed for $purpose"
    log=$(mktemp)
    apt_install "${missing[@]}" </dev/null >"$log" 2>&1 || status=1
    if ((status != 0)); then
        tail -n 15 "$log" >&2
        echo "Installing failed: ${missing[*]}" >&2
    fi
    rm -f "$log"
    return "$status"
}
