#!/usr/bin/env bash
# Builds the image millwright/systemd:bookworm on the local engine: Debian with systemd as its first process, for the test of the
# service, and with an sshd and an engine that are not started, for those of provisioning. MILLWRIGHT_SUITE=trixie makes millwright/systemd:trixie.
# Does nothing when the engine holds an image made by this very recipe. Needs root and mmdebstrap (installed by apt if missing);
# elsewhere it makes nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
ci=$here/../../../../.ci
MILLWRIGHT_STEP=systemd-image
. "$ci/lib.sh"
. "$ci/bootstrap.sh"

suite=${MILLWRIGHT_SUITE:-bookworm}
tag=millwright/systemd:$suite
label=io.millwright.recipe
recipe=$(hash_of "$here/build.sh" "$here/entry.sh" "$ci/bootstrap.sh")

docker version >/dev/null 2>&1 || die "no Docker engine answers; run \`go tool task engine\` first"
if [ "$(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$tag" 2>/dev/null)" = "$recipe" ]; then
	say "$tag is there already"
	exit 0
fi
if ! on_debian; then
	say "$tag is made of Debian's packages, by root on Debian or Ubuntu; without it the test of the service is skipped"
	exit 0
fi
tools
work=$(mktemp -d "${TMPDIR:-/tmp}/millwright-systemd.XXXXXX")
trap 'rm -rf "$work"' EXIT
cat >"$work/hook.sh" <<'HOOK'
set -eu
root=$1
install -m 0755 "$HERE/entry.sh" "$root/usr/local/sbin/systemd-host"
rm -f "$root"/etc/ssh/ssh_host_*
for unit in docker.service docker.socket containerd.service ssh.service ssh.socket; do
	rm -f "$root"/etc/systemd/system/*.wants/"$unit"
done
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/* "$root"/var/log/* "$root"/usr/lib/udev/hwdb* "$root/etc/machine-id"
: >"$root/etc/machine-id"
# What a container has no use for.
for unit in systemd-udevd.service systemd-journald-audit.socket systemd-logind.service getty@.service; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
HOOK
say "bootstrapping Debian $suite with systemd (about 45 s)"
beat mmdebstrap bootstrap "$work/root.tar" minbase \
	systemd,systemd-sysv,mount,procps,docker.io,openssh-server,iptables,ca-certificates,sudo --customize-hook="HERE='$here' sh '$work/hook.sh' \"\$1\""
say "importing $(du -h "$work/root.tar" | cut -f 1) into the engine"
beat "docker import" docker import --change "LABEL $label=$recipe" \
	--change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
	--change 'ENTRYPOINT ["/usr/local/sbin/systemd-host"]' "$work/root.tar" "$tag"
say "$tag is ready"
