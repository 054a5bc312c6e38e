package job_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/internal/sshd"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

func newSSH(t *testing.T, on job.OnHost) (*host, *sshd.Host) {
	t.Helper()
	need.Command(t, "bash")
	there := sshd.Start(t)
	h := &host{Bench: jobtest.NewHost(t, "ssh"), on: on}
	h.Runner.BuildsDir, h.Runner.CacheDir = "", ""
	h.Runner.SSH = &config.SSH{Host: there.Address, Port: there.PortText(), User: there.User, IdentityFile: there.Identity, KnownHostsFile: there.KnownHosts}
	t.Cleanup(func() {
		left, err := filepath.Glob("/tmp/millwright-job-*/*")
		if err != nil {
			t.Error(err)
		}
		for _, path := range left {
			if text, _ := os.ReadFile(filepath.Join(path, "script")); strings.Contains(string(text), there.Home) {
				t.Errorf("left on the host: %s", path)
			}
		}
	})
	return h, there
}

func TestSSH(t *testing.T) {
	t.Parallel()
	h, there := newSSH(t, jobtest.Helper(t))
	testHostRows(t, h, filepath.Join(there.Home, "builds", config.ShortToken(h.Runner.Token), "0", "group", "project"))
}

// A connection that is lost again and again costs no byte of the output, and runs nothing twice.
func TestSSHCut(t *testing.T) {
	t.Parallel()
	need.Command(t, "wget")
	h, there := newSSH(t, job.OnHost{})
	url := h.Signal(t, func() { // and the script goes on when there is a new one to be cut
		before := there.Logins()
		there.Cut()
		for end := time.Now().Add(time.Minute); there.Logins() == before && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond)
		}
	})
	const rounds, lines = 6, 3000
	script := fmt.Sprintf("echo ran >>$HOME/ran; for i in $(seq %d); do seq -f \"round $i line %%g\" %d; echo $i >&2; wget -q -O /dev/null %s; done; exit 5", rounds, lines, url)
	e := h.run(t, t.Context(), jobtest.With(jobtest.Script([]string{script}), "GIT_STRATEGY", "none"))
	jobtest.CheckEnd(t, e, coordinator.ScriptFailure, 5)
	var want strings.Builder
	for i := range rounds {
		for line := range lines {
			fmt.Fprintf(&want, "round %d line %d\n", i+1, line+1)
		}
	}
	var got strings.Builder
	for line := range strings.Lines(e.Trace) {
		if strings.HasPrefix(line, "round ") {
			got.WriteString(line)
		}
	}
	if got.String() != want.String() {
		t.Errorf("the trace has %d bytes of output, want %d\n%.2000s", got.Len(), want.Len(), e.Trace)
	}
	if ran, err := os.ReadFile(filepath.Join(there.Home, "ran")); string(ran) != "ran\n" {
		t.Errorf("the script ran: %q, %v", ran, err)
	}
	if n := there.Logins(); n < rounds {
		t.Errorf("%d logins: the connection was not lost", n)
	}
}

func TestSSHPwsh(t *testing.T) {
	t.Parallel()
	h, there := newSSH(t, jobtest.Helper(t))
	bin := filepath.Join(there.Home, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	testHostPwsh(t, h, bin)
}

// What can be wrong with host, key and login, and what the job says of it.
func TestSSHRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *config.SSH)
		want   string
		reason coordinator.FailureReason
	}{
		{name: "unknown host", change: func(t *testing.T, c *config.SSH) { c.KnownHostsFile = write(t, "") }, want: "does not know the host; it shows the key SHA256:", reason: coordinator.RunnerSystemFailure},
		{name: "another key", change: func(t *testing.T, c *config.SSH) {
			c.KnownHostsFile = write(t, fmt.Sprintf("[%s]:%s ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n", c.Host, c.Port))
		}, want: "which is not the one of", reason: coordinator.RunnerSystemFailure},
		{name: "no check", change: func(t *testing.T, c *config.SSH) {
			on := true
			c.KnownHostsFile, c.DisableStrictHostKeyChecking = write(t, ""), &on
		}, want: "Job succeeded"},
		{name: "no credentials", change: func(_ *testing.T, c *config.SSH) { c.IdentityFile = "" }, want: "has neither identity_file nor password", reason: coordinator.ConfigurationError},
		{name: "no host", change: func(_ *testing.T, c *config.SSH) { c.Host = "" }, want: "[runners.ssh] has no host", reason: coordinator.ConfigurationError},
		{name: "no such key", change: func(t *testing.T, c *config.SSH) { c.IdentityFile = write(t, "none") }, want: "use a private key without a passphrase", reason: coordinator.ConfigurationError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, _ := newSSH(t, job.OnHost{})
			tt.change(t, h.Runner.SSH)
			e := h.run(t, t.Context(), jobtest.With(jobtest.Script([]string{"true"}), "GIT_STRATEGY", "none"))
			jobtest.CheckTrace(t, e, []string{tt.want}, nil)
			jobtest.CheckEnd(t, e, tt.reason, 0)
		})
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
