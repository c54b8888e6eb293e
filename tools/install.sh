#!/usr/bin/env bash
# Makes .venv and installs the project into it, editable, at the versions of constraints.txt.
# Usage: tools/install.sh [EXTRAS]   EXTRAS is '' or '[test,dev]'; PYTHON names the interpreter. `make install` calls this.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=${1:-}
venv=.venv
log=$venv/install.log

stop() { printf 'stillhouse: %s\n' "$1" >&2; exit 1; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# The chosen interpreter, else the newest one that is new enough.
find_python() {
    local name
    for name in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if new_enough "$name"; then echo "$name"; return; fi
    done
    name=${PYTHON:-python3}
    stop "Python 3.11 or newer is needed and $name is $("$name" --version 2>/dev/null || echo missing). Install it (Debian, \
Ubuntu: apt install python3 python3-venv; macOS: brew install python) or name one: make run PYTHON=/path/to/python3"
}

make_venv() {
    local python
    python=$(find_python)
    "$python" -c 'import venv, ensurepip' >/dev/null 2>&1 ||
        stop "$python comes without its venv module; on Debian and Ubuntu: apt install python3-venv"
    echo "Making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
}

# pip talks a lot; what a waiting person wants to see is the big downloads and the errors. The log keeps all of it.
show() {
    awk '/^ *Downloading .*\([0-9.]+ [MG]B\)/ { name = $2; sub(/.*\//, "", name); sub(/-(cp|py|none).*/, "", name)
             printf "  %s %s %s\n", name, $(NF - 1), $NF; fflush() }
         /^Installing collected packages/ { print "  unpacking (about a minute)"; fflush() }
         /^ERROR/ { print; fflush() }'
}

new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1 || make_venv
if ! "$venv/bin/python" -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("torch"))'; then
    echo "Installing into $venv. The first time this downloads about 3.2 GB and fills 6.7 GB on Linux (torch brings NVIDIA's"
    echo "libraries along; much less on a Mac), which takes 2 to 5 minutes on a good line. Later starts install nothing."
fi
if ! "$venv/bin/python" -m pip install --progress-bar off -c constraints.txt -e ".$extras" 2>&1 | tee "$log" | show; then
    tail -n 5 "$log" >&2
    stop "the installation failed; the whole story is in $log. Run the same command again to go on from here"
fi
echo "Installed."
