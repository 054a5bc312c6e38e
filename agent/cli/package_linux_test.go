package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// TestPackage makes the packages and takes a host of Debian's with systemd through their life: installed, with a service, made anew while that
// runs, and removed, which waits for the agent's end.
func TestPackage(t *testing.T) {
	t.Parallel()
	dir := packages(t, "v1.2.3-rc1")
	h := newHost(t)
	h.do("rm /usr/local/bin/millwright")
	for _, name := range []string{"millwright_1.2.3+rc1_" + runtime.GOARCH + ".deb", "millwright-v1.2.3-rc1-linux-" + runtime.GOARCH + ".tar.gz", "SHA256SUMS"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		h.put("/srv/"+name, 0o644, data)
	}
	h.do("cd /srv && sha256sum -c SHA256SUMS && mv *.deb millwright.deb && mkdir /opt/millwright && tar -xzf *.tar.gz -C /opt/millwright --strip-components 1")

	h.do("dpkg -i /srv/millwright.deb")
	for _, prefix := range []string{"/usr", "/opt/millwright"} {
		if out := h.do(prefix + "/bin/millwright --version"); !strings.Contains(out, "v1.2.3-rc1 (abcd1234)") {
			t.Errorf("%s: %s", prefix, out)
		}
		h.do("cd " + prefix + "/share/millwright && test -s helper-image-amd64.tar && test -s helper-image-arm64.tar && " +
			"test -x millwright-helper-linux-amd64 && test -x millwright-helper-linux-arm64 && ./millwright-helper-linux-" + runtime.GOARCH + " --version")
	}
	// This host's dpkg leaves out what programs don't need.
	h.do("cd /opt/millwright/share && test -s doc/millwright/examples/monitoring/dashboard.json && test -s doc/millwright/docs/migration.md && " +
		"test -s doc/millwright/copyright && test -s zsh/vendor-completions/_millwright && bash -n bash-completion/completions/millwright")
	if out := h.do("find /usr/bin/millwright /usr/share/millwright ! -user root -o ! -type l -perm /022"); out != "" {
		t.Errorf("others may write to, or own:\n%s", out)
	}

	h.do("mkdir -p /etc/gitlab-runner")
	h.put("/etc/gitlab-runner/config.toml", 0o600, []byte("concurrent = 1\n"))
	h.do("millwright install && millwright start")
	h.until("its agent answers", func() bool { return h.try("millwright machine ls").code == 0 })
	pid := h.property("MainPID")
	if out := h.do("dpkg -i /srv/millwright.deb"); !strings.Contains(out, "`millwright restart` goes on with the new one") || h.property("MainPID") != pid {
		t.Errorf("an upgrade ended the agent, or does not say how to end it:\n%s", out)
	}
	if s := h.try("dpkg -r millwright"); s.code == 0 || !strings.Contains(s.err, "the agent runs; end it first") {
		t.Errorf("removed below an agent that runs: exit code %d\n%s%s", s.code, s.out, s.err)
	}
	h.do("millwright restart")
	h.until("the new program runs", func() bool { return h.property("ActiveState") == "active" && h.property("MainPID") != pid })
	h.do("millwright stop")
	h.do("dpkg -r millwright")
	h.do("test ! -e /usr/bin/millwright && test ! -e /usr/share/millwright && ! systemctl cat millwright.service && test -s /etc/gitlab-runner/config.toml")
}

// packages makes this architecture's, of a version, and returns their folder.
func packages(t *testing.T, version string) string {
	t.Helper()
	need.Command(t, "dpkg-deb")
	need.Command(t, "git")
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		need.File(t, filepath.Join(top, "bin", "helper-image-"+arch+".tar"), "`go tool task helper-image` builds it")
	}
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), need.Command(t, "bash"), filepath.Join(top, "agent", "cmd", "millwright", "package", "build.sh"), runtime.GOARCH)
	build.Env = append(os.Environ(), "PACKAGES="+dir, "VERSION="+version, "REVISION=abcd1234")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}
