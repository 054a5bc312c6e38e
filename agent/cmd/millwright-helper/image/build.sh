#!/usr/bin/env bash
# Builds the helper image as bin/helper-image-ARCH.tar, for `docker load`: our helper binary with Debian's git, git-lfs, ssh, bash and
# CA certificates. Needs mmdebstrap (installed by apt if missing) and no engine. Does nothing when the archive was made from this very recipe
# and binary.
#
# build.sh [ARCH]: ARCH is amd64 or arm64, this machine's by default. Nothing of another architecture is run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../../.." && pwd)
MILLWRIGHT_STEP=helper-image
. "$top/.ci/lib.sh"
. "$top/.ci/bootstrap.sh"

native=$(go env GOHOSTARCH)
arch=${1:-$native}
archive=$top/bin/helper-image-$arch.tar
tag=millwright/helper:$arch
binary=$top/bin/millwright-helper init=$top/bin/millwright-init foreign=()
if [ "$arch" != "$native" ]; then
	binary=$binary-linux-$arch init=$init-linux-$arch
	foreign=(--architectures="$arch") # Debian's words for these two are Go's
fi
for program in "$binary" "$init"; do
	[ -x "$program" ] || die "${program#"$top"/} is missing; \`go tool task helper\` builds it"
done
key=$top/.cache/helper-image-$arch.recipe
recipe=$(hash_of "$here/build.sh" "$here/finish.sh" "$top/.ci/bootstrap.sh" "$top/.ci/slim.sh" "$binary" "$init" "$top/agent/internal/mkimage/main.go")

if [ -f "$archive" ] && [ "$(cat "$key" 2>/dev/null)" = "$recipe" ]; then
	say "bin/helper-image-$arch.tar is there already"
	exit 0
fi
tools
[ "$arch" = "$native" ] || command -v readelf >/dev/null || apt_install binutils
work=$(mktemp -d "${TMPDIR:-/tmp}/millwright-helper.XXXXXX")
trap 'rm -rf "$work"' EXIT
beat "git, ssh, bash and certificates" bootstrap "$work/root.tar" extract \
	bash,dash,coreutils,findutils,grep,sed,mawk,gzip,tar,hostname,git,git-lfs,openssh-client,ca-certificates \
	"${foreign[@]}" --extract-hook="HELPER='$binary' INIT='$init' FOREIGN=$([ "$arch" = "$native" ] || echo yes) sh '$here/finish.sh' \"\$1\""
beat "go build mkimage" go build -C "$top" -o "$work/mkimage" ./agent/internal/mkimage
"$work/mkimage" -root "$work/root.tar" -tag "$tag" -archive "$archive" -arch "$arch" \
	-env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -env LANG=C.UTF-8 -cmd gitlab-runner-build
mkdir -p "$top/.cache"
echo "$recipe" >"$key"
say "bin/helper-image-$arch.tar is ready, $(du -h "$archive" | cut -f 1)"
