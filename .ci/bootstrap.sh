# Shared by the scripts that build images from Debian packages. Source it after lib.sh. What it does is part of each image's recipe.
# shellcheck shell=bash

# tools makes sure that bootstrap can run here.
tools() {
	command -v mmdebstrap >/dev/null && return 0
	on_debian || die "mmdebstrap is missing: install it (apt-get install mmdebstrap debian-archive-keyring), or run as root on Debian or Ubuntu"
	apt_install mmdebstrap debian-archive-keyring
}

# bootstrap OUT.tar VARIANT PACKAGES OPTION... makes a root file system of Debian with mmdebstrap.
# PACKAGES is comma-separated. MILLWRIGHT_DEBIAN_MIRROR names another server than Debian's own, MILLWRIGHT_SUITE another release than bookworm.
bootstrap() {
	local out=$1 variant=$2 packages=$3 p
	shift 3
	local excludes=(--skip=output/dev --dpkgopt=force-unsafe-io)
	[ "$variant" != extract ] || excludes+=(--skip=cleanup) # the recipe's hook removes more than that
	for p in '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/info/*' '/usr/share/locale/*' '/usr/share/lintian/*' \
		'/usr/share/bash-completion/*' '/usr/share/zsh/*' '/usr/share/fish/*'; do
		excludes+=(--dpkgopt="path-exclude=$p")
	done
	local proxy
	proxy=$(apt-config shell p Acquire::http::Proxy 2>/dev/null | sed "s/^p='\(.*\)'$/\1/")
	[ -z "$proxy" ] || excludes+=(--aptopt="Acquire::http::Proxy \"$proxy\"")
	mmdebstrap --variant="$variant" --include="$packages" --format=tar \
		--aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
		"${excludes[@]}" "$@" "${MILLWRIGHT_SUITE:-bookworm}" "$out" ${MILLWRIGHT_DEBIAN_MIRROR:+"$MILLWRIGHT_DEBIAN_MIRROR"}
}
