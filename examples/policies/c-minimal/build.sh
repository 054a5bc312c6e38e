#!/usr/bin/env bash
# Builds a policy of one C file: build.sh FOLDER OUT.wasm. FOLDER holds policy.c. It wants clang and wasm-ld, which it installs on Debian and Ubuntu as root.
# With MILLWRIGHT_INSTALL=no nothing is installed; a missing toolchain is exit code 69.
set -euo pipefail
[ $# = 2 ] || { echo "usage: build.sh FOLDER OUT.wasm" >&2; exit 1; }

if ! command -v clang >/dev/null || ! command -v wasm-ld >/dev/null; then
	if [ "${MILLWRIGHT_INSTALL:-yes}" = no ] || [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "build.sh: clang or wasm-ld is missing; install clang and lld" >&2
		exit 69
	fi
	echo "build.sh: installing clang and lld by apt" >&2
	export DEBIAN_FRONTEND=noninteractive
	options=(-qq -y --no-install-recommends -o DPkg::Lock::Timeout=120)
	apt-get install "${options[@]}" clang lld >/dev/null 2>&1 || { apt-get -qq update >&2 && apt-get install "${options[@]}" clang lld >&2; }
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/millwright-c.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Compiled and linked apart: in one step clang would run a wasm-opt that it finds, which may be of another age.
clang --target=wasm32 -std=c11 -O2 -Wall -Wextra -ffreestanding -nostdlib -c "$1/policy.c" -o "$work/policy.o"
wasm-ld --no-entry --strip-all "$work/policy.o" -o "$work/policy.wasm"
mv "$work/policy.wasm" "$2"
