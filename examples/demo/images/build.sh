#!/usr/bin/env bash
# Builds the demo's job images from Debian packages, each as an OCI layout below .cache/demo-images, without an engine or a registry.
# `millwright exec --demo` serves them to its machines as a mirror of Docker Hub. An image that this very recipe made is kept.
#
#   busybox:1.35         a shell and small tools, 2 MB
#   redis:7.0            a service with a port to wait for
#   millwright/cc:tcc    a C compiler (cc), make and bash; elsewhere gcc:12 does the same, 300 MB larger
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../.." && pwd)
MILLWRIGHT_STEP=demo-images
. "$top/.ci/lib.sh"
. "$top/.ci/bootstrap.sh"

out=$top/.cache/demo-images
recipe=$(hash_of "$here/build.sh" "$here/finish.sh" "$top/.ci/bootstrap.sh" "$top/.ci/slim.sh" "$top/agent/internal/mkimage/main.go")
path=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

present() { [ "$(cat "$out/$1/recipe" 2>/dev/null)" = "$recipe" ]; }

# make_image FOLDER TAG PACKAGES OPTION... : options are mkimage's.
make_image() {
	local folder=$1 tag=$2 packages=$3
	shift 3
	if present "$folder"; then
		say "$tag is there already"
		return
	fi
	beat "$tag" bootstrap "$work/$folder.tar" extract "$packages" \
		--extract-hook="sh '$here/finish.sh' $folder \"\$1\""
	"$work/mkimage" -root "$work/$folder.tar" -tag "$tag" -layout "$out/$folder" -env "$path" "$@"
	echo "$recipe" >"$out/$folder/recipe"
	say "$tag is ready ($(du -sh "$out/$folder" | cut -f 1) compressed)"
}

if present busybox && present redis && present cc; then
	say "all there already, in .cache/demo-images"
	exit 0
fi
tools
work=$(mktemp -d "${TMPDIR:-/tmp}/millwright-demo-images.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
beat "go build mkimage" go build -C "$top" -o "$work/mkimage" ./agent/internal/mkimage
make_image busybox busybox:1.35 busybox-static -cmd sh
make_image redis redis:7.0 redis-server \
	-expose 6379/tcp -entrypoint redis-server -cmd --protected-mode -cmd no -cmd --save -cmd ''
make_image cc millwright/cc:tcc bash,dash,coreutils,findutils,grep,sed,mawk,diffutils,gzip,tar,make,tcc,libc6-dev -cmd bash
