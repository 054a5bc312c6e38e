#!/usr/bin/env bash
# Finds the programs that the tests want beside Go, or on Debian and Ubuntu as root installs them: git, a C compiler for -race, and the static
# busybox that the tests' images are made of, and promtool, which reads the alert rules.
set -euo pipefail
MILLWRIGHT_STEP=tools
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"

command -v git >/dev/null && command -v cc >/dev/null && command -v busybox >/dev/null && command -v promtool >/dev/null && exit 0
on_debian || die "git, a C compiler (cc), a static busybox or promtool is missing; install them, or run this as root on Debian or Ubuntu"
apt_install git gcc libc6-dev busybox-static
command -v promtool >/dev/null || apt_extract prometheus usr/bin/promtool /usr/local/bin/promtool
