#!/usr/bin/env bash
# Builds what the demo and the end-to-end tests need beside the binary, at the same time: machine image, helper image, job images, and a host
# with systemd. Each is kept and made anew only when its recipe changes. Without a terminal watching, every line says whose it is.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
MILLWRIGHT_STEP=images
. "$top/.ci/lib.sh"
. "$top/.ci/bootstrap.sh"

tools_needed() {
	! docker image inspect millwright/machine:bookworm millwright/systemd:bookworm >/dev/null 2>&1 || [ ! -d "$top/.cache/demo-images/cc" ] || ! ls "$top"/bin/helper-image-*.tar >/dev/null 2>&1
}
if tools_needed && on_debian; then tools; fi

{ "$top/providers/docker/image/build.sh" && "$top/agent/cli/testdata/systemd/build.sh"; } &
machine=$!
# One after the other: two bootstraps at a time are what two cores bear.
other=arm64
[ "$(go env GOHOSTARCH)" = amd64 ] || other=amd64
{ "$top/agent/cmd/millwright-helper/image/build.sh" && "$top/agent/cmd/millwright-helper/image/build.sh" "$other" && "$top/examples/demo/images/build.sh"; } &
others=$!
status=0
wait "$machine" || { status=1; say "the machine image, or the one with systemd, could not be made"; }
wait "$others" || { status=1; say "the helper image or the job images could not be made"; }
exit "$status"
