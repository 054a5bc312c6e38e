#!/usr/bin/env bash
# Builds the image millwright/sysv:bookworm on the local engine: Debian with System V's init as its first process, with an sshd, and with an engine
# that is not started. MILLWRIGHT_SUITE=trixie makes millwright/sysv:trixie. `go tool task e2e:provision` calls it.
# Does nothing when the engine holds an image made by this very recipe. Needs root on Debian or Ubuntu, and mmdebstrap (installed by apt if missing).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
ci=$here/../../../../.ci
MILLWRIGHT_STEP=sysv-image
. "$ci/lib.sh"
. "$ci/bootstrap.sh"

suite=${MILLWRIGHT_SUITE:-bookworm}
tag=millwright/sysv:$suite
label=io.millwright.recipe
recipe=$(hash_of "$here/build.sh" "$here/entry.sh" "$ci/bootstrap.sh")

docker version >/dev/null 2>&1 || die "no Docker engine answers; run \`go tool task engine\` first"
if [ "$(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$tag" 2>/dev/null)" = "$recipe" ]; then
	say "$tag is there already"
	exit 0
fi
on_debian || die "$tag is made of Debian's packages, by root on Debian or Ubuntu"
tools
work=$(mktemp -d "${TMPDIR:-/tmp}/millwright-sysv.XXXXXX")
trap 'rm -rf "$work"' EXIT
cat >"$work/hook.sh" <<'HOOK'
set -eu
root=$1
install -m 0755 "$HERE/entry.sh" "$root/usr/local/sbin/sysv-host"
rm -f "$root"/etc/ssh/ssh_host_*
# What a container has no use for: the first boot's checks of disks and clocks, and terminals.
printf 'id:2:initdefault:\nl0:0:wait:/etc/init.d/rc 0\nl2:2:wait:/etc/init.d/rc 2\nl6:6:wait:/etc/init.d/rc 6\n' >"$root/etc/inittab"
chroot "$root" update-rc.d docker disable
# The init script's limits are fatal where the container may not raise them.
sed -i 's/^\([[:space:]]*\)\(ulimit .*\)$/\1\2 2>\/dev\/null || true/' "$root/etc/init.d/docker"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/* "$root"/var/log/* "$root"/usr/lib/udev/hwdb*
HOOK
say "bootstrapping Debian $suite with System V's init (about 45 s)"
beat mmdebstrap bootstrap "$work/root.tar" minbase \
	sysvinit-core,initscripts,procps,docker.io,$([ "$suite" = bookworm ] || echo docker-cli,)openssh-server,iptables,ca-certificates \
	--customize-hook="HERE='$here' sh '$work/hook.sh' \"\$1\""
say "importing $(du -h "$work/root.tar" | cut -f 1) into the engine"
beat "docker import" docker import --change "LABEL $label=$recipe" \
	--change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
	--change 'ENTRYPOINT ["/usr/local/sbin/sysv-host"]' "$work/root.tar" "$tag"
say "$tag is ready"
