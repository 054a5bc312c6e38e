package job_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/internal/winrmd"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

func newWinRM(t *testing.T, secure bool, on job.OnHost) (*host, *winrmd.Host) {
	t.Helper()
	there := winrmd.Start(t, secure)
	protocol := connect.WinRM
	if secure {
		protocol = connect.WinRMHTTPS
	}
	target, err := connect.New(connect.Options{
		Connector:  config.Connector{OS: "windows", Protocol: protocol, ProtocolPort: there.Port, Keepalive: config.Duration(time.Minute)},
		Connection: group.Connection{Username: winrmd.User, Password: winrmd.Password, InternalAddr: there.Address},
		PinFile:    filepath.Join(t.TempDir(), "host_key.pub"),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Bench: jobtest.NewHost(t, "instance"), on: on, engines: oneInstance{job.Engine{Machine: "m-1", Instance: "i-1", Target: target}}}
	h.Runner.BuildsDir, h.Runner.CacheDir = "", ""
	return h, there
}

// All that jobs do on hosts they do over WinRM, and no shell is left open.
func TestWinRM(t *testing.T) {
	t.Parallel()
	h, there := newWinRM(t, true, jobtest.Helper(t))
	testHostRows(t, h, filepath.Join(there.Home, "builds", config.ShortToken(h.Runner.Token), "0", "group", "project"))
	if n := there.Shells(); n != 0 {
		t.Errorf("%d shells are left open", n)
	}
}

// What runs outlives lost connections, and the agent; nothing of the output is lost or comes twice.
func TestWinRMOutlives(t *testing.T) {
	t.Parallel()
	need.Command(t, "wget")
	h, there := newWinRM(t, false, job.OnHost{})
	reached := make(chan struct{}, 10)
	url := h.Signal(t, func() { reached <- struct{}{} })
	const rounds, lines = 3, 2000
	// Each round says much, then that it has, and goes on when the file is there.
	script := fmt.Sprintf("for i in $(seq %d); do seq -f \"round $i line %%g\" %d; wget -q -O /dev/null %s; while [ ! -e $HOME/$i ]; do sleep 0.05; done; done; exit 5", rounds, lines, url)
	pass := func(round int) {
		if err := os.WriteFile(filepath.Join(there.Home, fmt.Sprint(round)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	e := h.Run(t, t.Context(), jobtest.With(jobtest.Script([]string{script}), "GIT_STRATEGY", "none"), func(p *job.Params, r *config.Runner) {
		p.Engines, p.Keep = h.engines, filepath.Join(t.TempDir(), "job")
		if err := (&job.Record{Job: p.Job, Runner: r}).Save(p.Keep); err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancelCause(t.Context())
		defer leave(nil)
		first := make(chan job.Result)
		go func() { first <- job.Run(ctx, *p) }()
		<-reached
		there.Cut()
		pass(1)
		<-reached
		leave(executor.ErrLeft)
		if res := <-first; !res.Left {
			t.Fatalf("the first agent ended the job: %+v", res)
		}
		pass(2)
		pass(3)
	})
	jobtest.CheckEnd(t, e, coordinator.ScriptFailure, 5)
	var want, got strings.Builder
	for i := range rounds {
		for line := range lines {
			fmt.Fprintf(&want, "round %d line %d\n", i+1, line+1)
		}
	}
	for line := range strings.Lines(e.Trace) {
		if strings.HasPrefix(line, "round ") {
			got.WriteString(line)
		}
	}
	if got.String() != want.String() {
		t.Errorf("the trace has %d bytes of output, want %d\n%.2000s", got.Len(), want.Len(), e.Trace)
	}
}

// The user's scripts are PowerShell's, as a file of its kind; those of git, caches and artifacts stay those of bash.
func TestWinRMPowerShell(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{config.Pwsh, config.PowerShell} { // Windows PowerShell takes a file without a byte order mark for another encoding
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			h, there := newWinRM(t, false, job.OnHost{})
			h.Runner.Shell = shell
			payload := jobtest.Script([]string{"Write-Output 'hä'", "exit 3 # so"})
			if err := os.WriteFile(filepath.Join(there.Home, "bin", shell), []byte(strings.Replace(standIn, "\n", "\nfor script; do :; done; od -An -tx1 -N3 \"$script\"\n", 1)), 0o755); err != nil {
				t.Fatal(err)
			}
			e := h.run(t, t.Context(), payload)
			if marked := strings.Contains(e.Trace, "\n ef bb bf\n"); marked != (shell == config.PowerShell) {
				t.Errorf("a byte order mark: %v", marked)
			}
			jobtest.CheckTrace(t, e, []string{"Getting source from Git repository", "pwsh called with -NoProfile -NoLogo -NonInteractive -ExecutionPolicy Bypass -File SCRIPT", "Write-Output 'hä'"}, nil)
			jobtest.CheckEnd(t, e, coordinator.ScriptFailure, 3)
		})
	}
}

// What can be wrong with a host over WinRM, and what the job says of it.
func TestWinRMRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		password config.Secret
		secure   bool // speaks HTTPS to a host that does not
		want     string
	}{
		{"password", "wrong", false, "the host refuses the login of " + winrmd.User},
		{"no password", "", false, "set password in connector_config"},
		{"no tls", winrmd.Password, true, "server gave HTTP response to HTTPS client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, there := newWinRM(t, false, job.OnHost{})
			protocol := connect.WinRM
			if tt.secure {
				protocol = connect.WinRMHTTPS
			}
			target, err := connect.New(connect.Options{
				Connector:  config.Connector{Protocol: protocol, ProtocolPort: there.Port, Username: winrmd.User, Password: tt.password},
				Connection: group.Connection{InternalAddr: there.Address}, PinFile: filepath.Join(t.TempDir(), "host_key.pub"),
			})
			if err != nil {
				t.Fatal(err)
			}
			h.engines = oneInstance{job.Engine{Machine: "m-1", Target: target}}
			e := h.run(t, t.Context(), jobtest.Script([]string{"true"}))
			jobtest.CheckTrace(t, e, []string{tt.want}, []string{winrmd.Password})
			if e.Reason != coordinator.RunnerSystemFailure {
				t.Errorf("reason %s", e.Reason)
			}
		})
	}
}
