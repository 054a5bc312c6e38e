#!/usr/bin/env bash
# Finds the programs that the tests want beside Go, or on Debian and Ubuntu as root installs them: git, and a C compiler for -race.
set -euo pipefail
MILLWRIGHT_STEP=tools
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"

command -v git >/dev/null && command -v cc >/dev/null && exit 0
on_debian || die "git or a C compiler (cc) is missing; install both, or run this as root on Debian or Ubuntu"
apt_install git gcc libc6-dev
