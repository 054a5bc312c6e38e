#!/usr/bin/env bash
# Lays a small Debian with moto, a model of AWS, into .cache/moto: what the tests of the driver amazonec2 run against. It is kept, and made anew
# only when this recipe changes.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
MILLWRIGHT_STEP=moto
. "$top/.ci/lib.sh"
. "$top/.ci/bootstrap.sh"

to=$top/.cache/moto
key=$(hash_of "$0")
if [ "$(cat "$to/millwright-recipe" 2>/dev/null)" = "$key" ]; then
	say "moto is there"
	exit 0
fi
on_debian || die "moto is laid out by mmdebstrap: run this as root on Debian or Ubuntu"
tools
mkdir -p "$top/.cache"
new=$(mktemp -d "$top/.cache/moto.XXXXXX")
trap 'rm -rf "$new"' EXIT
proxy=$(apt-config shell p Acquire::http::Proxy 2>/dev/null | sed "s/^p='\(.*\)'$/\1/")
# Version 5.1, of Debian 13: the one of Debian 12 knows too little of EC2.
beat "moto" mmdebstrap --variant=minbase --include=python3-moto,python3-flask,python3-flask-cors --format=directory \
	--aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
	--dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	${proxy:+--aptopt="Acquire::http::Proxy \"$proxy\""} trixie "$new" ${MILLWRIGHT_DEBIAN_MIRROR:+"$MILLWRIGHT_DEBIAN_MIRROR"}
echo "$key" >"$new/millwright-recipe"
chmod 755 "$new"
rm -rf "$to"
mv "$new" "$to"
trap - EXIT
say "moto is in .cache/moto"
