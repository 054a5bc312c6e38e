package docker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// console keeps the lines that the executor says.
type console struct {
	mu    sync.Mutex
	lines []string
}

func (c *console) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, text)
}
func (c *console) Println(s string)   { c.add(s) }
func (c *console) Infoln(s string)    { c.add(s) }
func (c *console) Warningln(s string) { c.add("WARNING: " + s) }
func (c *console) Errorln(s string)   { c.add("ERROR: " + s) }
func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.lines, "\n")
}

// job is an executor under test with what it says.
type job struct {
	*docker.Executor
	console *console
	label   string // of everything that it makes
}

// start prepares an executor whose build and helper image are the same small one.
func start(t *testing.T, change func(*docker.Options)) *job {
	t.Helper()
	j := build(t, change)
	if _, err := j.Prepare(t.Context()); err != nil {
		t.Fatalf("prepare: %v\n%s", err, j.console)
	}
	return j
}

func build(t *testing.T, change func(*docker.Options)) *job {
	t.Helper()
	image := dockertest.Busybox(t, `EXPOSE 8080`)
	token := dockertest.Random()
	j := &job{console: &console{}, label: "com.gitlab.gitlab-runner.runner.id=" + token}
	o := docker.Options{
		Config:     &config.Docker{PullPolicy: []string{"never"}, HelperImage: image},
		Console:    j.console,
		Expand:     func(s string) string { return os.Expand(s, func(string) string { return "" }) },
		Env:        []string{"FROM_ENGINE=yes"},
		Image:      docker.Image{Name: image},
		Name:       docker.Name{ShortToken: token, Token: config.Secret(token), JobID: 7, ProjectID: 3},
		BuildsDir:  "/builds",
		ProjectDir: "/builds/group/project",
	}
	if change != nil {
		change(&o)
	}
	e, err := docker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	j.Executor = e
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Cleanup(ctx); err != nil {
			t.Error(err)
		}
		if left := dockertest.Left(t, j.label); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return j
}

// script runs a script and returns what it wrote on both streams.
func (j *job) script(ctx context.Context, place executor.Place, script string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	err = j.Run(ctx, executor.Stage{Name: "test", Place: place, Script: []byte(script), Stdout: &out, Stderr: &errs})
	return out.String(), errs.String(), err
}

func TestStages(t *testing.T) {
	j := start(t, nil)
	for _, tt := range []struct {
		name, script   string
		place          executor.Place
		stdout, stderr string
		code           int
	}{
		{name: "streams apart", script: "echo out; echo err >&2", stdout: "out\n", stderr: "err\n"},
		{name: "exit code", script: "echo bye; exit 37", stdout: "bye\n", code: 37},
		{name: "no input", script: "cat; read x || echo end", stdout: "end\n"},
		{name: "engine's environment", script: "echo $FROM_ENGINE", stdout: "yes\n"},
		{name: "leaves a file", script: "echo kept >/root/f"},
		{name: "finds it: the same container", script: "cat /root/f", stdout: "kept\n"},
		{name: "not in the helper", place: executor.Helper, script: "cat /root/f || echo none", stdout: "none\n", stderr: "cat: can't open '/root/f': No such file or directory\n"},
		{name: "shares the builds", place: executor.Helper, script: "echo shared >/builds/f"},
		{name: "with the helper", script: "cat /builds/f", stdout: "shared\n"},
		{name: "no last newline", script: "printf end", stdout: "end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			place := tt.place
			if place == "" {
				place = executor.Build
			}
			stdout, stderr, err := j.script(t.Context(), place, tt.script)
			var exit *executor.ExitError
			switch {
			case tt.code == 0 && err != nil:
				t.Fatal(err)
			case tt.code != 0 && (!errors.As(err, &exit) || exit.Code != tt.code):
				t.Fatalf("got %v, want exit code %d", err, tt.code)
			}
			if stdout != tt.stdout || stderr != tt.stderr {
				t.Errorf("got %q and %q, want %q and %q", stdout, stderr, tt.stdout, tt.stderr)
			}
		})
	}
}

// All output is there when a stage ends, however much and however fast.
func TestOutputIsDrained(t *testing.T) {
	j := start(t, nil)
	const size = 8 << 20
	for range 3 {
		stdout, stderr, err := j.script(t.Context(), executor.Build, fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x; echo end >&2", size))
		if err != nil || len(stdout) != size || stderr != "end\n" {
			t.Fatalf("got %d bytes and %q, %v; want %d", len(stdout), stderr, err, size)
		}
	}
}

// A stopped script gets TERM, its children too, and what it left is there for the next stage.
func TestStop(t *testing.T) {
	j := start(t, nil)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	began := time.Now()
	var out signalWriter
	out.when, out.then = "ready", func() { cancel(cause) }
	err := j.Run(ctx, executor.Stage{Name: "test", Place: executor.Build, Stdout: &out, Stderr: &out, Script: []byte(`
		trap 'exit 1' TERM
		sh -c 'trap "echo child >/root/told; exit 0" TERM; echo ready; while :; do sleep 0.1; done'
		echo not reached`)})
	if !errors.Is(err, cause) {
		t.Fatalf("got %v, want the cause", err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("stopping took %s: the script was killed, not told", took)
	}
	if strings.Contains(out.String(), "not reached") {
		t.Error("the script went on after its child")
	}
	stdout, _, err := j.script(t.Context(), executor.Build, "cat /root/told")
	if err != nil || stdout != "child\n" {
		t.Errorf("got %q, %v; want what the child wrote on TERM", stdout, err)
	}
}

// With FF_USE_NATIVE_CONTAINER_STOP the first process alone is told, by the engine.
func TestNativeStop(t *testing.T) {
	for _, native := range []bool{false, true} {
		t.Run(fmt.Sprint(native), func(t *testing.T) {
			t.Parallel()
			j := start(t, func(o *docker.Options) { o.Flags.NativeStop = native })
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("enough")
			out := signalWriter{when: "ready", then: func() { cancel(cause) }}
			err := j.Run(ctx, executor.Stage{Name: "test", Place: executor.Build, Stdout: &out, Stderr: &out, Script: []byte(`
				trap 'echo first >/root/first; for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /root/child ] && break; sleep 0.5; done; exit 1' TERM
				sh -c 'trap "echo child >/root/child; exit 0" TERM; echo ready; while :; do sleep 0.1; done' &
				while :; do wait; done`)})
			if !errors.Is(err, cause) {
				t.Fatalf("got %v, want the cause", err)
			}
			want := "first\nchild\n"
			if native {
				want = "first\n"
			}
			if told, errs, err := j.script(t.Context(), executor.Build, "cd /root; cat first; [ ! -e child ] || cat child"); err != nil || told != want {
				t.Errorf("told: %q %q, %v; want %q", told, errs, err, want)
			}
		})
	}
}

// signalWriter calls then when the text has been written.
type signalWriter struct {
	mu   sync.Mutex
	b    bytes.Buffer
	when string
	then func()
}

func (w *signalWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b.Write(p)
	if w.then != nil && strings.Contains(w.b.String(), w.when) {
		w.then()
		w.then = nil
	}
	return len(p), nil
}

func (w *signalWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// A container that has vanished is told from a script that failed, and made anew at the next try.
func TestVanishedContainer(t *testing.T) {
	j := start(t, nil)
	var at executor.Position
	stage := executor.Stage{Name: "test", Place: executor.Build, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Script: []byte("true"),
		Started: func(p executor.Position) { at = p }}
	if err := j.Run(t.Context(), stage); err != nil {
		t.Fatal(err)
	}
	if at.Container == "" { // of its start nothing may be known: it ended at once
		t.Fatalf("position %+v lacks the container", at)
	}
	if err := dockertest.Engine(t).ContainerRemove(t.Context(), at.Container, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	var kind *executor.Error
	if err := j.Run(t.Context(), stage); !errors.As(err, &kind) || kind.Kind != executor.Gone {
		t.Fatalf("got %v, want an error of kind gone", err)
	}
	if err := j.Run(t.Context(), stage); err != nil {
		t.Errorf("the next try: %v", err)
	}
}

func TestServices(t *testing.T) {
	listen := []string{"sh", "-c", "echo up; while :; do echo hello | nc -l -p 8080; done"}
	for _, tt := range []struct {
		name       string
		network    bool
		perService string
	}{
		{name: "links"},
		{name: "network per build", network: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := start(t, func(o *docker.Options) {
				o.Config.WaitForServicesTimeout = -1
				o.Flags.NetworkPerBuild = tt.network
				o.Services = []docker.Service{
					{Image: docker.Image{Name: o.Image.Name}, Alias: "db,db2", Command: listen},
					{Image: docker.Image{Name: o.Image.Name}},
				}
			})
			if !strings.Contains(j.console.String(), "alias is already in use by another service") {
				t.Errorf("no warning of the second service's aliases:\n%s", j.console)
			}
			for _, host := range []string{"db", "db2", "millwright-test-busybox", "millwright-test__busybox"} {
				stdout, stderr, err := j.script(t.Context(), executor.Build, "for i in 1 2 3 4 5; do nc "+host+" 8080 && exit 0; sleep 1; done; exit 1")
				if err != nil || stdout != "hello\n" {
					t.Errorf("%s: got %q %q, %v", host, stdout, stderr, err)
				}
			}
		})
	}
}

// TestServicesSideBySide has an engine that makes no service before it was asked for both.
func TestServicesSideBySide(t *testing.T) {
	var asked atomic.Int32
	both := make(chan struct{})
	host := dockertest.Gate(t, func(r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/containers/create") {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the engine will say so
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if !bytes.Contains(body, []byte(`"com.gitlab.gitlab-runner.type":"service"`)) {
			return
		}
		if asked.Add(1) == 2 {
			close(both)
		}
		select {
		case <-both:
		case <-time.After(time.Minute):
			t.Error("one service waits for the other")
		}
	})
	start(t, func(o *docker.Options) {
		o.Host = host
		o.Config.WaitForServicesTimeout = -1
		for _, alias := range []string{"one", "two"} {
			o.Services = append(o.Services, docker.Service{Image: docker.Image{Name: o.Image.Name}, Alias: alias, Command: []string{"sleep", "60"}})
		}
	})
	if n := asked.Load(); n != 2 {
		t.Errorf("%d services were made, want 2", n)
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*docker.Options)
		want   string
	}{
		{"image not allowed", func(o *docker.Options) { o.Config.AllowedImages = []string{"ruby:*"} }, "disallowed image"},
		{"service not allowed", func(o *docker.Options) {
			o.Config.AllowedServices = []string{"postgres:*"}
			o.Services = []docker.Service{{Image: o.Image}}
		}, "disallowed service"},
		{"too many services", func(o *docker.Options) {
			limit := 0
			o.Config.ServicesLimit = &limit
			o.Services = []docker.Service{{Image: o.Image}}
		}, "too many services requested: 1, only 0 allowed"},
		{"user not allowed", func(o *docker.Options) { o.Config.User, o.Config.AllowedUsers = "root", []string{"user"} }, `user "root" is not one of the allowed users user`},
		{"no image", func(o *docker.Options) { o.Image.Name = "" }, "no image"},
		{"not on the engine", func(o *docker.Options) { o.Image.Name = "no/such:tag" }, "the pull policy is never"},
		{"pull policy not allowed", func(o *docker.Options) { o.Image.PullPolicy = []string{"always"} }, "is not one of the allowed ones [never]"},
		{"root as a volume", func(o *docker.Options) { o.Config.Volumes = []string{"/"} }, "root directory"},
		{"two volumes for one place", func(o *docker.Options) { o.Config.Volumes = []string{"/cache", "x:/cache"} }, "two entries for /cache"},
		{"bad memory", func(o *docker.Options) { o.Config.Memory = "much" }, `runners.docker.memory: "much"`},
		{"bad dns", func(o *docker.Options) { o.Config.DNS = []string{"nowhere"} }, `runners.docker.dns: "nowhere"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := build(t, tt.change)
			_, err := j.Prepare(t.Context())
			var kind *executor.Error
			if !errors.As(err, &kind) || kind.Kind != executor.Configuration || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a configuration error with %q", err, tt.want)
			}
		})
	}
}

func TestSilentEngine(t *testing.T) {
	j, err := docker.New(docker.Options{Host: "tcp://127.0.0.1:1", Config: &config.Docker{Image: "x"}, Console: &console{}, BuildsDir: "/builds", Expand: func(s string) string { return s }})
	if err != nil {
		t.Fatal(err)
	}
	_, err = j.Prepare(t.Context())
	var kind *executor.Error
	if !errors.As(err, &kind) || kind.Kind != executor.Engine {
		t.Errorf("got %v, want an error of kind engine", err)
	}
	_ = j.Cleanup(t.Context())
}

// With pwsh the build container runs the image's PowerShell, or says that there is none; the helper's scripts are a POSIX shell's.
func TestPwsh(t *testing.T) {
	j := start(t, func(o *docker.Options) { o.Pwsh = true })
	if out, _, err := j.script(t.Context(), executor.Helper, "echo hi"); err != nil || out != "hi\n" {
		t.Errorf("the helper: %q, %v", out, err)
	}
	out, _, err := j.script(t.Context(), executor.Build, "exit 0")
	if err == nil || err.Error() != "exit code 1" || !strings.Contains(out, "the image needs PowerShell 7") {
		t.Errorf("an image without it: %q, %v", out, err)
	}
}
