#!/usr/bin/env bash
# Finds the programs that the tests want beside Go, or on Debian and Ubuntu as root installs them: git, a C compiler for -race, the static
# busybox that the tests' images are made of, sshd, which is started by tests alone, promtool, which reads the alert rules, docker-registry,
# which the recipe of docs/provisioning.md is tried with, and rsync and sshfs, which `machine scp -d` and `machine mount` call.
set -euo pipefail
MILLWRIGHT_STEP=tools
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"

command -v git >/dev/null && command -v cc >/dev/null && command -v busybox >/dev/null && command -v promtool >/dev/null && command -v docker-registry >/dev/null &&
	command -v rsync >/dev/null && command -v sshfs >/dev/null && [ -x /usr/sbin/sshd ] && exit 0
on_debian || die "git, a C compiler (cc), a static busybox, sshd, promtool, docker-registry, rsync or sshfs is missing; install them, or run this as root on Debian or Ubuntu"
apt_install git gcc libc6-dev busybox-static rsync sshfs
if [ ! -x /usr/sbin/sshd ]; then # without the service that its package would start
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
	fi
	apt_install openssh-server
fi
command -v promtool >/dev/null || apt_extract prometheus usr/bin/promtool /usr/local/bin/promtool
command -v docker-registry >/dev/null || apt_extract docker-registry usr/bin/docker-registry /usr/local/bin/docker-registry
