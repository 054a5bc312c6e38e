# Shared by the scripts that build images of whole hosts, which boot an init of their own in a container. Source it after lib.sh and bootstrap.sh.
# shellcheck shell=bash

# host_image INIT FOLDER PACKAGES makes millwright/INIT:bookworm on the local engine, or with MILLWRIGHT_SUITE=trixie millwright/INIT:trixie: Debian with
# PACKAGES (comma-separated), an sshd, and an engine that is not started. FOLDER has the caller's build.sh, and entry.sh, which the image begins with.
# Standard input is a shell script that runs on the outside at the end, with the new root file system as $root.
# It does nothing when the engine holds an image made by this very recipe. Needs root and mmdebstrap (installed by apt if missing); elsewhere it makes
# nothing.
host_image() {
	local init=$1 folder=$2 packages=$3 suite=${MILLWRIGHT_SUITE:-bookworm} label=io.millwright.recipe ci tag recipe before
	ci=$(dirname "${BASH_SOURCE[0]}")
	tag=millwright/$init:$suite
	recipe=$(hash_of "$folder/build.sh" "$folder/entry.sh" "$ci/host-image.sh" "$ci/bootstrap.sh")

	docker version >/dev/null 2>&1 || die "no Docker engine answers; run \`go tool task engine\` first"
	if [ "$(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$tag" 2>/dev/null)" = "$recipe" ]; then
		say "$tag is there already"
		return 0
	fi
	if ! on_debian; then
		say "$tag is made of Debian's packages, by root on Debian or Ubuntu; without it the tests that boot it are skipped"
		return 0
	fi
	before=$(docker image inspect -f '{{.Id}}' "$tag" 2>/dev/null || true)
	tools
	host_work=$(mktemp -d "${TMPDIR:-/tmp}/millwright-$init.XXXXXX") # not local: the trap runs at the end of the script
	trap 'rm -rf "$host_work"' EXIT
	{
		printf 'set -eu\nroot=$1\n'
		printf '%s\n' 'install -m 0755 "$FOLDER/entry.sh" "$root/usr/local/sbin/host-entry"' 'rm -f "$root"/etc/ssh/ssh_host_*'
		cat
		printf '%s\n' 'rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/* "$root"/var/log/* "$root"/usr/lib/udev/hwdb*'
	} >"$host_work/hook.sh"
	packages+=,procps,docker.io,openssh-server,iptables,ca-certificates
	[ "$suite" = bookworm ] || packages+=,docker-cli # until then a part of docker.io
	say "bootstrapping Debian $suite with $init (about 45 s)"
	beat mmdebstrap bootstrap "$host_work/root.tar" minbase "$packages" --customize-hook="FOLDER='$folder' sh '$host_work/hook.sh' \"\$1\""
	say "importing $(du -h "$host_work/root.tar" | cut -f 1) into the engine"
	beat "docker import" docker import --change "LABEL $label=$recipe" \
		--change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
		--change 'ENTRYPOINT ["/usr/local/sbin/host-entry"]' "$host_work/root.tar" "$tag"
	# The image that this one replaces would lie there without a name; one that is in use stays.
	[ -z "$before" ] || docker rmi "$before" >/dev/null 2>&1 || true
	say "$tag is ready"
}
