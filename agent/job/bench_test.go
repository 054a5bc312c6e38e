package job_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a coordinator, a runner and an engine: all that a job needs, and all of it real.
type bench struct {
	t       *testing.T
	server  *embedded.Server
	image   string // a busybox for build containers and services
	gateway string // where containers reach this host
	runner  config.Runner
	archive string // of the helper image
}

func newBench(t *testing.T) *bench {
	t.Helper()
	need.Command(t, "git")
	dockertest.ForgetImage(t, "millwright/helper:"+runtime.GOARCH)
	b := &bench{t: t, image: dockertest.Busybox(t)}
	// MILLWRIGHT_HELPER_IMAGE runs the tests with another helper image that lies on the engine, GitLab's own say.
	other := os.Getenv("MILLWRIGHT_HELPER_IMAGE")
	if other == "" {
		b.archive = need.File(t, "../../bin/helper-image-"+runtime.GOARCH+".tar", "`go tool task helper-image` builds it")
	}
	bridge, err := dockertest.Engine(t).NetworkInspect(t.Context(), "bridge", network.InspectOptions{})
	if err != nil || len(bridge.IPAM.Config) == 0 {
		t.Fatalf("the engine's bridge: %v", err)
	}
	if b.gateway = bridge.IPAM.Config[0].Gateway; b.gateway == "" {
		b.gateway = netip.MustParsePrefix(bridge.IPAM.Config[0].Subnet).Masked().Addr().Next().String()
	}

	root := t.TempDir()
	for name, content := range map[string]string{"README.md": "a project\n", "src/a.txt": "a\n"} {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	b.server, err = embedded.New(embedded.Options{
		Addr: net.JoinHostPort(b.gateway, "0"), Root: root, Project: "group/project", Branch: "main", TraceInterval: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, v := range b.server.Violations() {
			t.Errorf("the coordinator complains: %s", v)
		}
		if err := b.server.Close(); err != nil {
			t.Error(err)
		}
	})
	b.runner = config.Runner{Name: "bench", URL: b.server.URL(), Token: b.server.RunnerToken(), Executor: "docker"}
	b.runner.Docker = config.Docker{Image: b.image, HelperImage: other, PullPolicy: []string{"never"}, WaitForServicesTimeout: -1}
	label := "com.gitlab.gitlab-runner.runner.id=" + config.ShortToken(b.runner.Token)
	dockertest.RemoveVolumes(t, label)
	t.Cleanup(func() {
		for _, left := range dockertest.Left(t, label) {
			if !strings.HasPrefix(left, "volume runner-") || !strings.Contains(left, "-cache-") {
				t.Errorf("left behind: %s", left)
			}
		}
	})
	return b
}

// ended is a job at its end, as the runner and as the coordinator see it.
type ended struct {
	job.Result
	coordinator embedded.JobResult
	raw         string // the trace as it came
	trace       string // without time stamps and colours
}

// params are for a job that has just been handed out.
func (b *bench) params(j *coordinator.Job, client *coordinator.Client, runner *config.Runner) job.Params {
	return job.Params{
		Job: j, Runner: runner, Client: client, Engines: job.Local{}, Version: job.Version{Version: "0.0.0", Revision: "test"},
		SystemID: "s_test", Host: "bench", TraceDir: b.t.TempDir(),
		HelperArchive: func(string) string { return b.archive },
	}
}

// run hands a job out over the API and runs it to its end.
func (b *bench) run(t *testing.T, ctx context.Context, payload coordinator.Job, change func(*job.Params, *config.Runner)) ended {
	t.Helper()
	id := b.server.Enqueue(payload)
	client, err := coordinator.New(coordinator.Options{
		URL: b.server.URL(), Token: b.runner.Token, SystemID: "s_test", Info: coordinator.Info{Executor: "docker"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	j, err := client.RequestJob(t.Context())
	if err != nil || j == nil || j.ID != id {
		t.Fatalf("request a job: got %v, %v", j, err)
	}
	runner := b.runner
	params := b.params(j, client, &runner)
	if change != nil {
		change(&params, &runner)
	}
	out := ended{Result: job.Run(ctx, params)}
	out.coordinator, _ = b.server.Job(id)
	raw, err := b.server.Trace(id)
	if err != nil {
		t.Fatal(err)
	}
	out.raw = string(raw)
	out.trace = plain(out.raw)
	return out
}

var (
	stamp  = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT[\d:.]+Z [0-9a-f]{2}[OE]`)
	colour = regexp.MustCompile("\x1b\\[[0-9;]*[mK]|\r")
)

// plain joins the parts of lines and strips stamps and colours.
func plain(trace string) string {
	lines := strings.SplitAfter(trace, "\n")
	var out strings.Builder
	for _, line := range lines {
		cut := stamp.FindStringIndex(line)
		if cut == nil {
			out.WriteString(line)
			continue
		}
		rest := line[cut[1]:]
		if strings.HasPrefix(rest, "+") {
			joined := strings.TrimSuffix(out.String(), "\n")
			out.Reset()
			out.WriteString(joined)
		}
		if rest != "" {
			out.WriteString(rest[1:])
		}
	}
	return colour.ReplaceAllString(out.String(), "")
}

// signal is an address that a script calls to say that it has got somewhere.
func (b *bench) signal(t *testing.T, then func()) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(b.gateway, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { then() }))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// script is a payload with one script and, when there is one, an after_script.
func script(lines []string, after ...string) coordinator.Job {
	j := coordinator.Job{
		Info:          coordinator.JobInfo{Name: "vector", Stage: "test", ProjectID: 3, PipelineID: 5},
		AllowGitFetch: true,
		Steps:         []coordinator.Step{{Name: "script", Script: lines}},
	}
	if len(after) > 0 {
		j.Steps = append(j.Steps, coordinator.Step{Name: "after_script", Script: after, When: "always", AllowFailure: true})
	}
	return j
}

// with adds variables, NAME and value in turn.
func with(j coordinator.Job, pairs ...string) coordinator.Job {
	for i := 0; i < len(pairs); i += 2 {
		j.Variables = append(j.Variables, coordinator.Variable{Key: pairs[i], Value: pairs[i+1], Public: true})
	}
	return j
}

func archived(j coordinator.Job, artifacts ...coordinator.Artifact) coordinator.Job {
	for _, a := range artifacts {
		if a.Type == "" {
			a.Type, a.Format = "archive", "zip"
		}
		j.Artifacts = append(j.Artifacts, a)
	}
	return j
}
