#!/usr/bin/env bash
# Makes what a manager host installs: bin/packages/millwright_VERSION_ARCH.deb, the same as millwright-VERSION-linux-ARCH.tar.gz, and
# their SHA256SUMS. Each holds the program, the helpers and their images for both architectures (machines may have the other one), completions
# for bash and zsh, and the documentation and examples of the commit. The same commit makes the same bytes.
#
# build.sh [ARCH...]: amd64 and arm64 by default. VERSION and REVISION are the program's, PACKAGES is another folder than bin/packages.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../../.." && pwd)
MILLWRIGHT_STEP=package
. "$top/.ci/lib.sh"

[ $# -gt 0 ] || set -- amd64 arm64
version=${VERSION:-dev} revision=${REVISION:-unknown}
SOURCE_DATE_EPOCH=$(git -C "$top" log -1 --format=%ct)
export SOURCE_DATE_EPOCH CGO_ENABLED=0
# A Debian version begins with a number and grows: what is no release is older than all of them, and sorted by its commit's time.
case $version in
v[0-9]*.* | [0-9]*.*) debian=${version#v} debian=${debian//-/+} ;;
*) debian=0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).$revision ;;
esac
host=$(go env GOHOSTARCH)
other=$([ "$host" = arm64 ] && echo amd64 || echo arm64)
helper=$top/bin/millwright-helper
images=("$top/bin/helper-image-amd64.tar" "$top/bin/helper-image-arm64.tar")
for file in "$helper" "$helper-linux-$other" "${images[@]}"; do
	[ -f "$file" ] || die "${file#"$top"/} is missing; \`go tool task helper-image\` builds it"
done
command -v dpkg-deb >/dev/null || die "dpkg-deb is missing: packages are made on Debian or Ubuntu"
to=${PACKAGES:-$top/bin/packages}
work=$(mktemp -d "${TMPDIR:-/tmp}/millwright-package.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$to"

# program ARCH FILE
program() {
	GOOS=linux GOARCH=$1 go build -C "$top" -trimpath -ldflags "-s -w -X github.com/millwright-ci/millwright/agent/cli.Version=$version -X github.com/millwright-ci/millwright/agent/cli.Revision=$revision" \
		-o "$2" ./agent/cmd/millwright
}

program "$host" "$work/native"
for arch; do
	rm -f "$to"/millwright_*_"$arch".deb "$to"/millwright-*-linux-"$arch".tar.gz # of other versions
	root=$work/$arch
	install -d "$root/usr/bin" "$root/usr/share/millwright" "$root/usr/share/doc/millwright" \
		"$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" "$root/DEBIAN"
	if [ "$arch" = "$host" ]; then cp "$work/native" "$root/usr/bin/millwright"; else program "$arch" "$root/usr/bin/millwright"; fi
	cp "${images[@]}" "$helper-linux-$other" "$root/usr/share/millwright/"
	cp "$helper" "$root/usr/share/millwright/millwright-helper-linux-$host"
	cp "$top/LICENSE" "$root/usr/share/doc/millwright/copyright"
	git -C "$top" archive HEAD README.md CHANGELOG.md docs examples | tar -xC "$root/usr/share/doc/millwright"
	"$work/native" completion bash >"$root/usr/share/bash-completion/completions/millwright"
	"$work/native" completion zsh >"$root/usr/share/zsh/vendor-completions/_millwright"

	name=millwright-$version-linux-$arch
	tar -C "$root" --exclude ./DEBIAN --transform "s,^\./usr,$name," --sort=name --owner=0 --group=0 --numeric-owner --mode=go-w,a+rX \
		--mtime="@$SOURCE_DATE_EPOCH" -cf - ./usr | gzip -n1 >"$to/$name.tar.gz"

	cat >"$root/DEBIAN/control" <<-END
		Package: millwright
		Version: $debian
		Architecture: $arch
		Maintainer: Millwright <millwright@localhost>
		Section: devel
		Priority: optional
		Recommends: ca-certificates
		Installed-Size: $(du -sk "$root/usr" | cut -f 1)
		Description: agent for GitLab CI that makes its machines in your cloud
		 It takes the config.toml of gitlab-runner with the executors docker+machine,
		 docker-autoscaler, instance, docker, ssh, shell and custom. Scaling policies
		 and machine drivers are sandboxed WebAssembly modules.
	END
	install -m 0755 "$here/postinst" "$here/prerm" "$root/DEBIAN/"
	chmod -R go-w,a+rX "$root"
	dpkg-deb --root-owner-group -Zgzip -z1 --build "$root" "$to/millwright_${debian}_$arch.deb" >/dev/null
	rm -rf "$root"
	say "${to#"$top"/}/$name.tar.gz and millwright_${debian}_$arch.deb are ready, $(du -h "$to/$name.tar.gz" | cut -f 1) each"
done
(cd "$to" && sha256sum -- *.deb *.tar.gz >SHA256SUMS)
