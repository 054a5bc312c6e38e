#!/usr/bin/env bash
# Builds the image millwright/systemd:bookworm on the local engine: Debian with systemd as its first process, for the test of the service, and
# for those of provisioning. MILLWRIGHT_SUITE=trixie makes millwright/systemd:trixie.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
MILLWRIGHT_STEP=systemd-image
. "$here/../../../../.ci/lib.sh"
. "$here/../../../../.ci/bootstrap.sh"
. "$here/../../../../.ci/host-image.sh"

host_image systemd "$here" systemd,systemd-sysv,mount,sudo <<'HOOK'
for unit in docker.service docker.socket containerd.service ssh.service ssh.socket; do
	rm -f "$root"/etc/systemd/system/*.wants/"$unit"
done
: >"$root/etc/machine-id"
# What a container has no use for.
for unit in systemd-udevd.service systemd-journald-audit.socket systemd-logind.service getty@.service; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
HOOK
