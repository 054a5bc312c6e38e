package cli

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// project is a folder with a pipeline, and a state directory of its own, for `exec`.
type project struct {
	t      *testing.T
	binary string
	dir    string
	state  string
	config string
	images string
}

// newProject needs all that exec needs. What it makes on the engine is removed at the end in any case, and complained about.
func newProject(t *testing.T, pipeline string) *project {
	t.Helper()
	need.Command(t, "git")
	need.Image(t, defaultMachineImage, "`go tool task machine-image` builds it")
	need.File(t, filepath.Join(repository, "bin", "helper-image-"+runtime.GOARCH+".tar"), "`go tool task helper-image` builds it")
	images := need.File(t, filepath.Join(repository, ".cache", "demo-images"), "`go tool task demo-images` makes it")
	p := &project{t: t, binary: millwright(t), dir: t.TempDir(), state: stateDir(t), images: images}
	p.write(".gitlab-ci.yml", pipeline)
	p.config = p.write("config.toml", machineConfig("http://set-by-exec", "set-by-exec", 0))
	t.Cleanup(func() {
		checkNothingLeft(t, p.state)
		run(t, p.binary, "machine", "rm", "--all", "--state-dir", p.state)
	})
	return p
}

func (p *project) write(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// exec starts it.
func (p *project) exec(env []string, args ...string) *process {
	p.t.Helper()
	return start(p.t, p.binary, env, append([]string{"exec", "-f", filepath.Join(p.dir, ".gitlab-ci.yml"), "-c", p.config,
		"--state-dir", p.state, "--images", p.images, "--offline"}, args...)...)
}

// machine runs one of the commands of that name.
func (p *project) machine(args ...string) (code int, text string) {
	p.t.Helper()
	return run(p.t, p.binary, append(append([]string{"machine"}, args...), "--state-dir", p.state)...)
}

// traceOf reads a job's trace where the summary says that it lies.
func (p *project) traceOf(text, job string) string {
	p.t.Helper()
	found := regexp.MustCompile(`(?m)^` + job + ` .* (/\S+\.log)$`).FindStringSubmatch(text)
	if found == nil {
		p.t.Fatalf("the summary names no trace of %s:\n%s", job, text)
	}
	data, err := os.ReadFile(found[1])
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

func check(t *testing.T, text string, has, lacks []string) {
	t.Helper()
	wrong := false
	for _, want := range has {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q", want)
			wrong = true
		}
	}
	for _, bad := range lacks {
		if strings.Contains(text, bad) {
			t.Errorf("it has %q", bad)
			wrong = true
		}
	}
	if wrong {
		t.Log(text)
	}
}

const passAndFail = `
default:
  image: busybox:1.35
stages: [build, test]
make:
  stage: build
  script:
    - echo "the token is $TOKEN, for $WHO"
    - echo made > out
  artifacts:
    paths: [out]
use:
  stage: test
  script: [cat out]
broken:
  stage: test
  script: [echo going down, exit 3]
`

// TestExec runs some jobs of a pipeline, then others that fail, then none; all on machines of their own.
func TestExec(t *testing.T) {
	t.Parallel()
	p := newProject(t, passAndFail)
	t.Run("passes", func(t *testing.T) {
		e := p.exec([]string{"MACHINE_DEBUG=true", "TOKEN=s3cr3t-and-long"}, "--secret", "TOKEN", "--var", "WHO=you", "use")
		code, text := e.wait(), e.text()
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
		check(t, text, []string{
			"2 jobs, stages: build, test", "scaling   idlescale: ", "is being created", "ready after", "make (build) started on ",
			"use (test) passed", "removing every machine", "the pipeline passed after", "jobs: 2 passed\n", "machines: ",
			"phase engine took", // of the provisioning's log: MACHINE_DEBUG
		}, []string{"broken", "PRIVATE KEY", "s3cr3t", "violation", "level=ERROR"})
		check(t, p.traceOf(text, "make"), []string{"the token is [MASKED], for you", "Job succeeded"}, []string{"s3cr3t"})
		check(t, p.traceOf(text, "use"), []string{"made", "Job succeeded"}, nil)
	})
	t.Run("fails", func(t *testing.T) {
		e := p.exec(nil, "broken")
		code, text := e.wait(), e.text()
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
		check(t, text, []string{
			"broken (test) failed after", ": exit code 3\n", "broken (test) failed; the end of its trace:\n", "    going down\n",
			"    ERROR: Job failed: exit code 3\n", "jobs: 1 passed, 1 failed\n", "the pipeline failed after",
		}, []string{"millwright: \n"})
	})
	t.Run("no such job", func(t *testing.T) {
		e := p.exec(nil, "nosuch")
		code, text := e.wait(), e.text()
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
		check(t, text, []string{`there is no job "nosuch" in this pipeline; there are make, use, broken`}, []string{"being created"})
	})
	checkNothingLeft(t, p.state)
}

const endless = `
default:
  image: busybox:1.35
one:
  script: ["while :; do echo working; sleep 0.2; done"]
two:
  script: ["while :; do echo working; sleep 0.2; done"]
`

// Ctrl-C in the middle of jobs removes every machine, network and volume; so does a reader that goes away.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	p := newProject(t, endless)
	e := p.exec(nil)
	e.until("one (test) started")
	e.until("two (test) started")
	if len(left(t, p.state)) < 5 { // two containers, two volumes, a network
		t.Errorf("on the engine: %v", left(t, p.state))
	}
	e.signal(syscall.SIGINT)
	if code := e.wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	check(t, e.text(), []string{"interrupt: stopping the jobs", "removing every machine: 2", "runner_interrupted", "machines: 2 created, 2 removed",
		"the pipeline failed after"}, []string{"level=ERROR", "canceled after"})
	checkNothingLeft(t, p.state)

	code, text := p.machine("ls")
	if code != 0 || text != "no machines\n" {
		t.Errorf("machine ls: %d %s", code, text)
	}
}

// A reader of the output that goes away, such as head, ends it as Ctrl-C does.
func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	p := newProject(t, endless)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	e := p.command(w)
	w.Close()
	buf := make([]byte, 4096)
	var text strings.Builder
	for !strings.Contains(text.String(), "is being created") {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatalf("%v\n%s", err, text.String())
		}
		text.Write(buf[:n])
	}
	r.Close()
	if code := e.wait(); code != 1 {
		t.Errorf("exit code %d\n%s", code, e.text())
	}
	checkNothingLeft(t, p.state)
}

// command is exec with its standard output elsewhere.
func (p *project) command(stdout *os.File) *process {
	p.t.Helper()
	return startTo(p.t, stdout, p.binary, nil, "exec", "-f", filepath.Join(p.dir, ".gitlab-ci.yml"), "-c", p.config,
		"--state-dir", p.state, "--images", p.images, "--offline")
}

// machineImages are the ids of the images that machines and jobs are made of.
func machineImages(t *testing.T) []string {
	t.Helper()
	list, err := dockertest.Engine(t).ImageList(t.Context(), image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", "millwright/machine"))})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, i := range list {
		ids = append(ids, i.ID)
	}
	slices.Sort(ids)
	return ids
}

// After kill -9 nothing is lost: the machines are listed, and removed by hand or by the next exec.
func TestKill9(t *testing.T) {
	t.Parallel()
	p := newProject(t, endless)
	images := machineImages(t)
	e := p.exec(nil)
	e.until("one (test) started")
	e.signal(syscall.SIGKILL)
	e.wait()

	code, text := p.machine("ls", "--json")
	var listed []supervisor.Machine
	if err := json.Unmarshal([]byte(text), &listed); err != nil || code != 0 || len(listed) == 0 || listed[0].Driver != "docker" || listed[0].Runner != "machines" {
		t.Errorf("machine ls: %d, %v\n%s", code, err, text)
	}
	if code, text = p.machine("rm", "--all"); code != 0 || strings.Count(text, "removed runner-") != len(listed) || strings.Count(text, "removed network millwright-") != 1 {
		t.Errorf("machine rm --all: %d, %d machines\n%s", code, len(listed), text)
	}
	checkNothingLeft(t, p.state)
	if code, text = p.machine("ls"); text != "no machines\n" {
		t.Errorf("afterwards: %d %s", code, text)
	}
	if code, text = p.machine("rm", "--all"); code != 0 || text != "" {
		t.Errorf("removed again: %d %q", code, text)
	}

	// Killed while a machine is being made; the next run takes care of it.
	e = p.exec(nil)
	e.until("is being created")
	e.signal(syscall.SIGKILL)
	e.wait()
	p.write(".gitlab-ci.yml", "one:\n  image: busybox:1.35\n  script: [echo done]\n")
	next := p.exec(nil)
	if code := next.wait(); code != 0 {
		t.Errorf("the next run: exit code %d\n%s", code, next.text())
	}
	checkNothingLeft(t, p.state)
	if after := machineImages(t); !slices.Equal(images, after) {
		t.Errorf("the images were %v and are %v", images, after)
	}
}

// Exec's own options win over those of the same name in the file; the runner's other settings stay.
func TestPoint(t *testing.T) {
	server, err := embedded.New(embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	e := &execution{server: server}
	e.config = &config.Config{Runners: []config.Runner{
		{Name: "a", Machine: &config.Machine{MachineOptions: []string{"docker-network=mine", "docker-memory=2g", "engine-registry-mirror=http://other"}}},
		{Name: "b", Executor: "docker"},
	}}
	before := e.config.Runners[0].Machine.MachineOptions
	e.point([]string{"docker-network=exec", "docker-dns=10.0.0.1"})
	a, b := e.config.Runners[0], e.config.Runners[1]
	if got := strings.Join(a.Machine.MachineOptions, " "); got != "docker-memory=2g engine-registry-mirror=http://other docker-network=exec docker-dns=10.0.0.1" {
		t.Error(got)
	}
	if before[0] != "docker-network=mine" {
		t.Error("the options of the file were changed in place")
	}
	if a.URL != e.server.URL() || a.Token != e.server.RunnerToken() || b.URL != a.URL || b.Token == "" || b.Token == a.Token {
		t.Error("the runners are not the coordinator's")
	}
}

// The network of exec bears the owner, is found again and goes; others' stay.
func TestBench(t *testing.T) {
	t.Parallel()
	host := need.Docker(t)
	owner := "test" + dockertest.Random()
	name := "millwright-test-" + dockertest.Random()
	first, err := openBench(t.Context(), host, owner, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.engine.NetworkRemove(t.Context(), name) })
	again, err := openBench(t.Context(), host, owner, name)
	if err != nil {
		t.Fatal(err)
	}
	defer again.engine.Close()
	if !first.Gateway.IsValid() || first.Gateway != again.Gateway {
		t.Errorf("gateways %s, %s", first.Gateway, again.Gateway)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(first.Gateway.String(), "0"))
	if err != nil {
		t.Errorf("the gateway is not this host: %v", err)
	} else {
		l.Close()
	}
	if removed, err := sweepBenches(t.Context(), "other"+owner); err != nil || len(removed) != 0 {
		t.Errorf("another owner's: %v, %v", removed, err)
	}
	if removed, err := sweepBenches(t.Context(), owner); err != nil || !slices.Equal(removed, []string{name}) {
		t.Errorf("swept %v, %v", removed, err)
	}
	if err := first.close(t.Context()); err != nil {
		t.Errorf("close of what is gone: %v", err)
	}
	err = (&bench{engine: dockertest.Engine(t)}).checkImages(t.Context(), &config.Config{Runners: []config.Runner{
		{Machine: &config.Machine{MachineDriver: "docker", MachineOptions: []string{"docker-image=millwright-test/nosuch:1"}}}}})
	if err == nil || !strings.Contains(err.Error(), "go tool task machine-image") {
		t.Errorf("an image that is not there: %v", err)
	}
	if _, err := openBench(t.Context(), "unix:///no/such.sock", owner, name); err == nil || !strings.Contains(err.Error(), "no Docker engine answers at unix:///no/such.sock") {
		t.Errorf("no engine: %v", err)
	}
}
