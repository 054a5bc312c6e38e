#!/usr/bin/env bash
# Builds the machine image millwright/machine:bookworm on the local engine: Debian with sshd and a Docker engine that is not started.
# MILLWRIGHT_SUITE=trixie makes millwright/machine:trixie.
# Does nothing when the engine holds an image made by this very recipe. Needs root and mmdebstrap (installed by apt if missing);
# elsewhere it takes docker:dind from a registry.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
MILLWRIGHT_STEP=machine-image
. "$here/../../../.ci/lib.sh"
. "$here/../../../.ci/bootstrap.sh"

suite=${MILLWRIGHT_SUITE:-bookworm}
tag=millwright/machine:$suite
label=io.millwright.recipe
recipe=$(hash_of "$here/build.sh" "$here/entry.sh" "$here/sshd_config" "$here/Dockerfile" "$here/../../../.ci/bootstrap.sh")

present() { [ "$(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$tag" 2>/dev/null)" = "$recipe" ]; }

# The hooks run on the outside with the new root file system as $1.
customize() {
	cat <<'HOOK'
set -eu
root=$1
install -m 0755 "$HERE/entry.sh" "$root/usr/local/sbin/millwright-machine"
install -m 0644 "$HERE/sshd_config" "$root/etc/ssh/sshd_config"
install -d -m 0700 "$root/etc/millwright"
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id"
# The init script's limits are fatal where the container may not raise them.
sed -i 's/^\([[:space:]]*\)\(ulimit .*\)$/\1\2 2>\/dev\/null || true/' "$root/etc/init.d/docker"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/* "$root"/var/log/* "$root"/usr/share/i18n "$root"/usr/lib/udev/hwdb* "$root"/usr/share/common-licenses
HOOK
}

from_debian() {
	tools
	say "bootstrapping Debian $suite with sshd and a Docker engine (about 40 s)"
	work=$(mktemp -d "${TMPDIR:-/tmp}/millwright-machine.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	customize >"$work/hook.sh"
	beat mmdebstrap bootstrap "$work/root.tar" minbase \
		docker.io,$([ "$suite" = bookworm ] || echo docker-cli,)openssh-server,openssh-sftp-server,iptables,ca-certificates,iproute2,pigz,procps,sudo \
		--customize-hook="HERE='$here' sh '$work/hook.sh' \"\$1\""
	say "importing $(du -h "$work/root.tar" | cut -f 1) into the engine"
	beat "docker import" docker import \
		--change "LABEL $label=$recipe" --change 'EXPOSE 22' --change 'EXPOSE 2376' \
		--change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
		--change 'ENTRYPOINT ["/usr/local/sbin/millwright-machine"]' "$work/root.tar" "$tag"
}

from_registry() {
	say "no root and apt here: taking docker:dind from the registry"
	beat "docker build" docker build --label "$label=$recipe" -t "$tag" "$here" ||
		die "cannot make the machine image: run this as root on Debian or Ubuntu, or where docker:dind can be pulled"
}

docker version >/dev/null 2>&1 || die "no Docker engine answers; run \`go tool task engine\` first"
if present; then
	say "$tag is there already"
	exit 0
fi
before=$(docker image inspect -f '{{.Id}}' "$tag" 2>/dev/null || true)
if on_debian; then from_debian; else from_registry; fi
# The image that this one replaces would lie there without a name; one that machines still use stays.
[ -z "$before" ] || docker rmi "$before" >/dev/null 2>&1 || true
say "$tag is ready"
