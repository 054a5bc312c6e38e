#!/usr/bin/env bash
# Builds the image millwright/sysv:bookworm on the local engine: Debian with System V's init as its first process, for the tests of provisioning.
# MILLWRIGHT_SUITE=trixie makes millwright/sysv:trixie. `go tool task e2e:provision` calls it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
MILLWRIGHT_STEP=sysv-image
. "$here/../../../../.ci/lib.sh"
. "$here/../../../../.ci/bootstrap.sh"
. "$here/../../../../.ci/host-image.sh"

host_image sysv "$here" sysvinit-core,initscripts <<'HOOK'
# What a container has no use for: the first boot's checks of disks and clocks, and terminals.
printf 'id:2:initdefault:\nl0:0:wait:/etc/init.d/rc 0\nl2:2:wait:/etc/init.d/rc 2\nl6:6:wait:/etc/init.d/rc 6\n' >"$root/etc/inittab"
chroot "$root" update-rc.d docker disable
# The init script's limits are fatal where the container may not raise them.
sed -i 's/^\([[:space:]]*\)\(ulimit .*\)$/\1\2 2>\/dev\/null || true/' "$root/etc/init.d/docker"
HOOK
