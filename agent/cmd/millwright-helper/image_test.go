package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// stages is what the scripts of a job's stages do with the helper image, without a network.
const stages = `set -eu
umask
gitlab-runner-helper --version
millwright-helper --version >/dev/null
git --version
git lfs version >/dev/null
ssh -V 2>/dev/null
ssh-keygen -q -t ed25519 -N '' -f /tmp/key && eval "$(ssh-agent)" >/dev/null && ssh-add -q /tmp/key 2>/dev/null && ssh-add -D 2>/dev/null
GIT_SSH_COMMAND='ssh -o BatchMode=yes' git ls-remote ssh://git@127.0.0.1:1/x 2>&1 | grep -qi 'connection refused' || echo "no https or ssh transport"
git ls-remote https://127.0.0.1:1/x 2>&1 | grep -i connect >/dev/null || echo "no https transport"
grep -q 'BEGIN CERTIFICATE' /etc/ssl/certs/ca-certificates.crt
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git config --global protocol.file.allow always
git init -q /tmp/sub && cd /tmp/sub && echo x >f && git add f && git commit -qm x
git init -q /tmp/top && cd /tmp/top && git submodule --quiet add /tmp/sub sub && git commit -qm x
git clone -q --depth 1 --recurse-submodules file:///tmp/top /tmp/copy && cd /tmp/copy
test "$(cat sub/f)" = x
touch junk && git clean -ffdxq && git submodule foreach --recursive 'git clean -ffdx && git reset --hard' >/dev/null
test ! -e junk
gitlab-runner-helper cache-archiver --file ../cache/k/cache.zip --path sub --untracked 2>/dev/null
mkdir /tmp/other && cd /tmp/other && gitlab-runner-helper cache-extractor --file ../cache/k/cache.zip 2>/dev/null
test -f sub/f
hostname >/dev/null; date >/dev/null; find . -name f | xargs cat | awk '{print}' | sed s/x/done/
`

// The archive that machines load must be complete: every program that a stage calls, with its libraries.
func TestHelperImage(t *testing.T) {
	need.Docker(t)
	docker := need.Command(t, "docker")
	archive := need.File(t, "../../../bin/helper-image-"+runtime.GOARCH+".tar", "`go tool task helper-image` builds it")
	if info, err := os.Stat(archive); err != nil || info.Size() > 60<<20 {
		t.Errorf("the archive is larger than 60 MB, or gone: %v, %v", info, err)
	}
	if out, err := exec.Command(docker, "load", "-i", archive).CombinedOutput(); err != nil {
		t.Fatalf("docker load: %v: %s", err, out)
	}
	name := fmt.Sprintf("millwright-test-helper-%d", os.Getpid())
	t.Cleanup(func() { exec.Command(docker, "rm", "-fv", name).Run() })
	cmd := exec.CommandContext(t.Context(), docker, "run", "--rm", "-i", "--network", "none", "--name", name, "millwright/helper:"+runtime.GOARCH)
	cmd.Stdin = strings.NewReader(stages)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if s := string(out); !strings.HasPrefix(s, "0000\nmillwright-helper ") || !strings.HasSuffix(s, "\ndone\n") || strings.Contains(s, "no https") {
		t.Errorf("the stages said %s", s)
	}
}

// The binary goes into every machine with the image.
func TestBinaryIsSlim(t *testing.T) {
	binary := need.File(t, "../../../bin/millwright-helper", "`go tool task helper` builds it")
	if info, err := os.Stat(binary); err != nil || info.Size() > 12<<20 {
		t.Errorf("%v, %v; want 12 MB at most", info.Size(), err)
	}
}
