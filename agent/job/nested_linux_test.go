package job_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/executor/nesting"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/internal/nestd"
	"github.com/millwright-ci/millwright/agent/internal/sshd"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

func init() { nestd.Main() } // the daemon is this program in a process of its own

// nested is a bench whose jobs run in virtual machines on one instance.
type nested struct {
	*jobtest.Bench
	there  *sshd.Host
	nest   *nestd.Daemon
	target *connect.Target
	broken int // how often the instance was called broken
}

func (n *nested) Engine(context.Context) (job.Engine, error) {
	return job.Engine{Machine: "m-1", Instance: "i-1", Target: n.target}, nil
}

func (n *nested) Broken(error) { n.broken++ }

func newNested(t *testing.T, most int) *nested {
	t.Helper()
	need.Command(t, "bash")
	n := &nested{there: sshd.Start(t), nest: nestd.Start(t, most), Bench: jobtest.NewHost(t, "instance")}
	key, err := os.ReadFile(n.there.Identity)
	if err != nil {
		t.Fatal(err)
	}
	n.target, err = connect.New(connect.Options{
		Connector:  config.Connector{ProtocolPort: n.there.Port},
		Connection: group.Connection{Username: n.there.User, Key: config.Secret(key), InternalAddr: n.there.Address},
		PinFile:    filepath.Join(t.TempDir(), "host_key.pub"),
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Runner.BuildsDir, n.Runner.CacheDir = "", ""
	n.Runner.Autoscaler = &config.Autoscaler{VMIsolation: config.VMIsolation{
		Enabled: true, NestingHost: "unix://" + n.nest.Socket, NestingConfig: map[string]any{"password": nestd.Password},
		Image:           "macos-$VERSION",
		ConnectorConfig: config.Connector{Username: "nested", Password: nestd.Password, Timeout: config.Duration(time.Minute)},
	}}
	n.Runner.Instance = &config.Instance{AllowedImages: []string{"macos-*", "b*", "mute"}}
	return n
}

func (n *nested) run(t *testing.T, ctx context.Context, payload coordinator.Job) jobtest.Ended {
	t.Helper()
	return n.Run(t, ctx, payload, func(p *job.Params, _ *config.Runner) { p.Engines = n })
}

// inImage is a job without sources in an image.
func inImage(image string, lines ...string) coordinator.Job {
	j := jobtest.With(jobtest.Script(lines), "GIT_STRATEGY", "none", "VERSION", "15")
	if image != "" {
		j.Image = &coordinator.Image{Name: image}
	}
	return j
}

// A job has a virtual machine of its image for itself, where that is allowed, and nothing of it is left.
func TestNested(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		payload coordinator.Job
		change  func(*config.Autoscaler)
		want    []string
		made    string // images, each as often as a machine of it was made
		reason  coordinator.FailureReason
		code    int
	}{
		{name: "image", payload: inImage("macos-14", "pwd"), made: "macos-14",
			want: []string{"Using machine m-1 (i-1) ...", "Creating a virtual machine of macos-14 on ", " as nested...", " via m-1...", "/builds/", "Job succeeded"}},
		{name: "its variables", payload: inImage("macos-${VERSION}-xcode", "true"), made: "macos-15-xcode"},
		{name: "default", payload: inImage("", "true"), made: "macos-15"},
		{name: "the default is allowed in any case", payload: inImage("", "true"), made: "ubuntu", change: func(a *config.Autoscaler) { a.VMIsolation.Image = "ubuntu" }},
		{name: "not allowed", payload: inImage("windows", "true"), reason: coordinator.ConfigurationError,
			want: []string{`The image "windows" is not present on list of allowed images:`, "\n- macos-*\n", "allowed_images in [runners.instance]"}},
		{name: "none", payload: inImage("", "true"), reason: coordinator.ConfigurationError, change: func(a *config.Autoscaler) { a.VMIsolation.Image = "" },
			want: []string{"no image of a virtual machine", "[runners.autoscaler.vm_isolation]"}},
		{name: "script fails", payload: inImage("macos-14", "exit 3"), made: "macos-14", reason: coordinator.ScriptFailure, code: 3},
		{name: "image that is not there", payload: inImage(nestd.Broken, "true"), reason: coordinator.RunnerSystemFailure,
			want: []string{`nesting daemon: create a virtual machine of "broken": no image "broken"`}},
		{name: "no login", payload: inImage(nestd.Mute, "true"), made: "mute mute mute", reason: coordinator.RunnerSystemFailure,
			change: func(a *config.Autoscaler) { a.VMIsolation.ConnectorConfig.Timeout = config.Duration(time.Second) },
			want:   []string{"no login within 1s", "unable to authenticate"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNested(t, 1)
			if tt.change != nil {
				tt.change(n.Runner.Autoscaler)
			}
			e := n.run(t, t.Context(), tt.payload)
			jobtest.CheckTrace(t, e, tt.want, []string{nestd.Password})
			jobtest.CheckEnd(t, e, tt.reason, tt.code)
			if got := strings.Join(n.nest.Made(t), " "); got != tt.made {
				t.Errorf("made %q, want %q", got, tt.made)
			}
			if left := n.nest.VMs(t); len(left) != 0 || n.broken != 0 {
				t.Errorf("left are %v; the instance was called broken %d times", left, n.broken)
			}
		})
	}
}

// An instance that can't be reached is no good, nor is one whose daemon is not there: the job gets another one.
func TestNestedUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().(*net.TCPAddr).Port
	l.Close()
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *nested)
		want   string
	}{
		{"daemon", func(_ *testing.T, n *nested) {
			n.Runner.Autoscaler.VMIsolation.NestingHost = "unix:///nowhere/nesting.sock"
		}, "/nowhere/nesting.sock on the instance"},
		{"daemon at its usual places", func(_ *testing.T, n *nested) { n.Runner.Autoscaler.VMIsolation.NestingHost = "" }, "name its socket by nesting_host"},
		{"instance", func(t *testing.T, n *nested) {
			var err error
			n.target, err = connect.New(connect.Options{
				Connector: config.Connector{ProtocolPort: nobody, Password: "p"}, Connection: group.Connection{InternalAddr: "127.0.0.1"},
				PinFile: filepath.Join(t.TempDir(), "host_key.pub"),
			})
			if err != nil {
				t.Fatal(err)
			}
		}, "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNested(t, 1)
			tt.change(t, n)
			e := n.run(t, t.Context(), inImage("macos-14", "true"))
			jobtest.CheckTrace(t, e, []string{tt.want}, nil)
			if e.Reason != coordinator.RunnerSystemFailure || !e.Result.Broken || n.broken != 2 { // the last of three is the result's
				t.Errorf("%s, broken: %v; the instance was called broken %d times", e.Reason, e.Result.Broken, n.broken)
			}
		})
	}
}

// What a job left in its slot gives way to the next one there, though there is room for one alone.
func TestNestedSlot(t *testing.T) {
	t.Parallel()
	n := newNested(t, 1)
	client := func(ctx context.Context) (*ssh.Client, error) { return n.target.Dial(ctx) }
	d, err := nesting.Open(t.Context(), nesting.Options{Host: "unix://" + n.nest.Socket, Config: map[string]any{"password": nestd.Password}}, client)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = d.Create(t.Context(), "left", 0)
	d.Close()
	if err != nil {
		t.Fatal(err)
	}
	e := n.run(t, t.Context(), inImage("macos-14", "true"))
	jobtest.CheckEnd(t, e, "", 0)
	if left := n.nest.VMs(t); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}

// A cancel ends the job's processes by ending their machine.
func TestNestedCancel(t *testing.T) {
	t.Parallel()
	need.Command(t, "wget")
	n := newNested(t, 1)
	url := n.Signal(t, func() {
		if err := n.Server.Cancel(n.Last()); err != nil {
			t.Error(err)
		}
	})
	e := n.run(t, t.Context(), inImage("macos-14", "sleep 1000 & echo child $!", jobtest.Ticking(url)))
	jobtest.CheckTrace(t, e, []string{"ERROR: Job failed: canceled"}, nil)
	child := childPID.FindStringSubmatch(e.Trace)
	if child == nil {
		t.Fatalf("no child:\n%s", e.Trace)
	}
	gone(t, child[1])
	if left := n.nest.VMs(t); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}

// The job goes on in its machine when the connection to the instance is lost, and when another agent comes.
func TestNestedOutlives(t *testing.T) {
	t.Parallel()
	need.Command(t, "wget")
	n := newNested(t, 1)
	reached := make(chan struct{}, 10)
	url := n.Signal(t, func() { reached <- struct{}{} })
	// It says where it is, and goes on when the file is there.
	wait := "wget -q -O /dev/null %s; while [ ! -e $HOME/%s ]; do sleep 0.05; done; echo passed %[2]s"
	payload := inImage("macos-14", fmt.Sprintf(wait, url, "one"), fmt.Sprintf(wait, url, "two"))
	pass := func(name string) {
		homes := n.nest.VMs(t)
		if len(homes) != 1 {
			t.Fatalf("virtual machines: %v", homes)
		}
		if err := os.WriteFile(filepath.Join(homes[0], name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	e := n.Run(t, t.Context(), payload, func(p *job.Params, r *config.Runner) {
		p.Engines, p.Keep = n, filepath.Join(t.TempDir(), "job")
		if err := (&job.Record{Job: p.Job, Runner: r}).Save(p.Keep); err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancelCause(t.Context())
		defer leave(nil)
		first := make(chan job.Result)
		go func() { first <- job.Run(ctx, *p) }()
		<-reached
		n.there.Cut()
		pass("one")
		<-reached
		leave(executor.ErrLeft)
		if res := <-first; !res.Left {
			t.Fatalf("the first agent ended the job: %+v", res)
		}
		pass("two")
	})
	jobtest.CheckTrace(t, e, []string{"\npassed one\n", "\npassed two\n", "Job succeeded"}, nil)
	jobtest.CheckEnd(t, e, "", 0)
	if made := n.nest.Made(t); len(made) != 1 || len(n.nest.VMs(t)) != 0 {
		t.Errorf("made %v; left %v", made, n.nest.VMs(t))
	}
}
