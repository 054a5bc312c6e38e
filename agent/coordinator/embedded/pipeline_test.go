package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/ciyaml"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

// recorder keeps the events.
type recorder struct {
	mu     sync.Mutex // guards events
	events []string
}

func (r *recorder) take(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Pipeline != nil {
		r.events = append(r.events, "pipeline "+string(e.Pipeline.State))
		return
	}
	r.events = append(r.events, e.Job.Name+" "+string(e.Job.State))
}

func begin(t *testing.T, o Options, text string, only ...string) (*Server, *peer) {
	t.Helper()
	need.Command(t, "git")
	if o.Root == "" {
		o.Root = folder(t, map[string]string{"README": "hello", "go.sum": "a b c"})
	}
	s, p := start(t, o)
	line, err := ciyaml.Parse("ci.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.StartPipeline(line, only...); err != nil {
		t.Fatal(err)
	}
	return s, p
}

func (p *peer) wait() Summary {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	sum, err := p.s.Wait(ctx)
	if err != nil {
		p.t.Fatalf("%v: %+v", err, sum)
	}
	return sum
}

func states(sum Summary) string {
	var out []string
	for _, j := range sum.Jobs {
		out = append(out, j.Name+"="+string(j.State))
	}
	return strings.Join(out, " ")
}

func TestPipeline(t *testing.T) {
	var events recorder
	s, p := begin(t, Options{OnEvent: events.take}, `
stages: [build, test, deliver]
compile:
  stage: build
  script: make
  artifacts: {paths: [bin], reports: {dotenv: build.env}}
lint:
  stage: build
  script: lint
  allow_failure: {exit_codes: [3]}
unit:
  stage: test
  parallel: 2
  script: test
early:
  stage: test
  needs: []
  script: x
deliver:
  stage: deliver
  script: x
  needs: [{job: compile, artifacts: true}, {job: lint, artifacts: false}]
ask:
  stage: deliver
  when: manual
  script: x
mend:
  stage: .post
  when: on_failure
  script: x
`)
	compile, lint, early := p.take(), p.take(), p.take()
	p.want("the rest waits", p.request(), 204)
	if compile.Info.Name != "compile" || lint.Info.Name != "lint" || early.Info.Name != "early" {
		t.Fatalf("got %s, %s, %s", compile.Info.Name, lint.Info.Name, early.Info.Name)
	}
	p.put(compile, map[string]any{"state": "running"})
	p.want("upload", p.uploadFile(compile, "archive", "zip", "artifacts.zip", []byte("PK")), 201)
	p.want("upload", p.uploadFile(compile, "dotenv", "gzip", ".env.gz", gzipped("VERSION=7\n")), 201)
	p.put(compile, map[string]any{"state": "success"})
	p.run(lint, "failed", 3)
	p.run(early, "success", 0)
	one, two, deliver := p.take(), p.take(), p.take()
	if diff := cmp.Diff([]string{"deliver", "unit 1/2", "unit 2/2"}, sorted(one, two, deliver)); diff != "" {
		t.Error(diff)
	}
	for _, j := range []wire{one, two, deliver} {
		var names []string
		for _, d := range j.Dependencies {
			names = append(names, fmt.Sprintf("%s:%v", d.Name, d.ArtifactsFile != nil))
		}
		want := []string{"compile:true", "lint:false"}
		if j.Info.Name == "deliver" {
			want = want[:1]
		} else if j.Variables.Get("CI_NODE_TOTAL") != "2" || j.Variables.Get("CI_NODE_INDEX") != j.Info.Name[5:6] {
			t.Errorf("%s: %s of %s", j.Info.Name, j.Variables.Get("CI_NODE_INDEX"), j.Variables.Get("CI_NODE_TOTAL"))
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("%s: %s", j.Info.Name, diff)
		}
		if got := j.Variables.Get("VERSION"); got != "7" {
			t.Errorf("%s: the dotenv variable is %q", j.Info.Name, got)
		}
	}
	p.put(deliver, map[string]any{"state": "running"})
	p.want("download", p.downloadOf(deliver, compile.ID, ""), 200)
	p.put(deliver, map[string]any{"state": "success"})
	p.run(one, "success", 0)
	p.run(two, "success", 0)
	sum := p.wait()
	want := "compile=success lint=failed unit 1/2=success unit 2/2=success early=success deliver=success ask=skipped mend=skipped"
	if got := states(sum); got != want || sum.State != Success || sum.Finished.IsZero() {
		t.Errorf("got %s: %s; want success: %s", sum.State, got, want)
	}
	if l := sum.Jobs[1]; !l.AllowFailure || l.ExitCode != 3 || l.FailureReason != coordinator.ScriptFailure {
		t.Errorf("got %+v", l)
	}
	p.clean()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	events.mu.Lock()
	defer events.mu.Unlock()
	if e := events.events; e[0] != "pipeline running" || e[len(e)-1] != "pipeline success" ||
		!slices.Contains(e, "compile queued") || !slices.Contains(e, "compile pending") || !slices.Contains(e, "ask skipped") {
		t.Errorf("got %v", e)
	}
}

func sorted(jobs ...wire) []string {
	var out []string
	for _, j := range jobs {
		out = append(out, j.Info.Name)
	}
	slices.Sort(out)
	return out
}

func TestRetry(t *testing.T) {
	_, p := begin(t, Options{}, "a:\n  script: x\n  retry: {max: 1, when: runner_system_failure}\nb:\n  stage: deploy\n  script: x\n")
	first := p.take()
	p.put(first, map[string]any{"state": "running"})
	p.want("failed", p.put(first, map[string]any{"state": "failed", "failure_reason": "runner_system_failure"}), 200)
	second := p.take()
	if second.Info.Name != "a" || second.ID == first.ID || second.Token == first.Token {
		t.Fatalf("got job %d %s", second.ID, second.Info.Name)
	}
	p.run(second, "failed", 1)
	sum := p.wait()
	if got := states(sum); got != "a=failed a=failed b=skipped" || sum.State != Failed || !sum.Jobs[0].Retried || sum.Jobs[1].Retried || sum.Jobs[1].Try != 2 {
		t.Errorf("got %s: %+v", sum.State, sum.Jobs)
	}
	if why := sum.Jobs[2].Why; why != `job "a" failed` {
		t.Errorf("got %q", why)
	}
}

func TestOnlySomeJobs(t *testing.T) {
	text := `
gen: {stage: build, script: x, artifacts: {paths: [a]}}
other: {stage: build, script: x}
unit: {stage: test, script: x}
ship: {stage: deploy, script: x, when: manual, needs: [unit]}
`
	t.Run("with what they need", func(t *testing.T) {
		_, p := begin(t, Options{}, text, "ship")
		for range 3 {
			p.run(p.take(), "success", 0)
		}
		if got := states(p.wait()); got != "gen=success unit=success ship=success" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		need.Command(t, "git")
		s, _ := start(t, Options{Root: t.TempDir()})
		line, err := ciyaml.Parse("ci.yml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want := `ci.yml: there is no job "shop" in this pipeline; there are gen, other, unit, ship`
		if err := s.StartPipeline(line, "shop"); err == nil || err.Error() != want {
			t.Errorf("got %v; want %s", err, want)
		}
	})
}

func TestCancelAll(t *testing.T) {
	s, p := begin(t, Options{}, "a: {script: x}\nb: {script: x}\nc: {stage: deploy, script: x}\nd: {stage: deploy, script: x, when: on_failure}\n")
	a := p.take()
	p.put(a, map[string]any{"state": "running"})
	s.CancelAll()
	if got := states(s.Summary()); !strings.HasPrefix(got, "a=canceling b=canceled") {
		t.Errorf("got %s", got)
	}
	p.want("none is started", p.request(), 204)
	s.CancelAll()
	if sum := p.wait(); sum.State != Canceled {
		t.Errorf("got %s: %s", sum.State, states(sum))
	}
}

func TestPayload(t *testing.T) {
	_, p := begin(t, Options{
		Project: "plant/hydro/turbine", Branch: "rotor/Speed", Registry: "registry.test:5000",
		Variables: []coordinator.Variable{Secret("DEPLOY_KEY", "$LEVEL")},
	}, `
variables: {LEVEL: "1", GREETING: "level $LEVEL of $CI_PROJECT_NAME, $NOPE", RAW: {value: $LEVEL, expand: false}, GIT_DEPTH: "5"}
job:
  image: {name: "golang:$GO", entrypoint: [""], pull_policy: if-not-present, docker: {user: "1000", platform: linux/amd64}}
  services: [{name: "postgres:17", alias: db, variables: {A: b}}, redis]
  hooks: {pre_get_sources_script: echo before}
  variables: {LEVEL: "2"}
  before_script: [one]
  script: [two, three]
  after_script: [four]
  timeout: 10m
  artifacts: {name: x, paths: [bin/], exclude: ["*.tmp"], expire_in: 1 week, reports: {dotenv: [a.env], junit: j.xml}}
  cache: [{key: k, paths: [c], fallback_keys: [m]}, {key: {files: [go.sum], prefix: go}, paths: [d], policy: pull}, {paths: [e]}]
`)
	j := p.take()
	v := j.Variables
	wants := map[string]string{
		"LEVEL": "2", "GREETING": "level 2 of turbine, $NOPE", "RAW": "$LEVEL", "DEPLOY_KEY": "$LEVEL",
		"CI_PROJECT_PATH": "plant/hydro/turbine", "CI_PROJECT_NAMESPACE": "plant/hydro", "CI_PROJECT_ROOT_NAMESPACE": "plant",
		"CI_COMMIT_REF_NAME": "rotor/Speed", "CI_COMMIT_REF_SLUG": "rotor-speed", "CI_COMMIT_BRANCH": "rotor/Speed",
		"CI_COMMIT_SHA": j.Git.SHA, "CI_COMMIT_SHORT_SHA": j.Git.SHA[:8], "CI_JOB_TOKEN": j.Token.Reveal(), "CI_JOB_NAME": "job",
		"CI_JOB_ID": fmt.Sprint(j.ID), "CI_SERVER_URL": p.s.URL(), "CI_NODE_TOTAL": "1", "CI_REGISTRY": "registry.test:5000",
		"CI_JOB_URL": fmt.Sprintf("%s/plant/hydro/turbine/-/jobs/%d", p.s.URL(), j.ID), "CI_PIPELINE_SOURCE": "push", "CI_REPOSITORY_URL": j.Git.RepoURL,
	}
	for key, want := range wants {
		if got := v.Get(key); got != want {
			t.Errorf("%s: got %q; want %q", key, got, want)
		}
	}
	for _, one := range v {
		switch one.Key {
		case "CI_JOB_TOKEN", "CI_BUILD_TOKEN", "CI_REGISTRY_PASSWORD", "DEPLOY_KEY":
			if one.Public || !one.Masked {
				t.Errorf("%s is public %v, masked %v", one.Key, one.Public, one.Masked)
			}
		case "CI_REPOSITORY_URL":
			if one.Public {
				t.Error("CI_REPOSITORY_URL is public")
			}
		default:
			if !one.Public {
				t.Errorf("%s is not public", one.Key)
			}
		}
	}
	want := coordinator.Job{
		Steps: []coordinator.Step{
			{Name: "script", Script: []string{"one", "two", "three"}, Timeout: 600, When: "on_success"},
			{Name: "after_script", Script: []string{"four"}, Timeout: 600, When: "always", AllowFailure: true},
		},
		Hooks: []coordinator.Hook{{Name: "pre_get_sources_script", Script: []string{"echo before"}}},
		Image: &coordinator.Image{Name: "golang:$GO", Entrypoint: []string{""}, PullPolicy: []string{"if-not-present"},
			ExecutorOpts: coordinator.ExecutorOpts(`{"docker":{"platform":"linux/amd64","user":"1000"}}`)},
		Services: []coordinator.Image{
			{Name: "postgres:17", Alias: "db", Variables: coordinator.Variables{{Key: "A", Value: "b", Public: true}}, ExecutorOpts: coordinator.ExecutorOpts("{}")},
			{Name: "redis", ExecutorOpts: coordinator.ExecutorOpts("{}")},
		},
		Artifacts: []coordinator.Artifact{
			{Name: "x", Paths: []string{"bin/"}, Exclude: []string{"*.tmp"}, When: "on_success", Type: "archive", Format: "zip", ExpireIn: "1 week"},
			{Name: "junit.xml", Paths: []string{"j.xml"}, When: "always", Type: "junit", Format: "gzip", ExpireIn: "1 week"},
			{Name: ".env", Paths: []string{"a.env"}, When: "always", Type: "dotenv", Format: "gzip", ExpireIn: "1 week"},
		},
		Cache: []coordinator.Cache{
			{Key: "k-1-non_protected", Paths: []string{"c"}, Policy: "pull-push", When: "on_success", FallbackKeys: []string{"m-1-non_protected"}},
			{Key: j.Cache[1].Key, Paths: []string{"d"}, Policy: "pull", When: "on_success", FallbackKeys: []string{}},
			{Key: "default-1-non_protected", Paths: []string{"e"}, Policy: "pull-push", When: "on_success", FallbackKeys: []string{}},
		},
	}
	got := coordinator.Job{Steps: j.Steps, Hooks: j.Hooks, Image: j.Image, Services: j.Services, Artifacts: j.Artifacts, Cache: j.Cache}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if key := j.Cache[1].Key; !strings.HasPrefix(key, "go-") || strings.Contains(key, "default") || len(key) < 40 {
		t.Errorf("the key of go.sum is %q", key)
	}
	if g := j.Git; g.Depth != 5 || g.Ref != "rotor/Speed" || g.Refspecs[1] != "+refs/heads/rotor/Speed:refs/remotes/origin/rotor/Speed" || g.RefType != "branch" {
		t.Errorf("got %+v", g)
	}
	if j.Runner.Timeout != 600 || j.Info.PipelineID != pipelineID || len(j.Credentials) != 1 || j.Credentials[0].Password != j.Token {
		t.Errorf("got %+v, %+v, %+v", j.Runner, j.Info, j.Credentials)
	}
	p.run(j, "success", 0)
	p.wait()
	p.clean()
}

func TestRulesSeeThePipeline(t *testing.T) {
	s, p := begin(t, Options{Branch: "main", Variables: []coordinator.Variable{Secret("KEY", "x")}}, `
yes:
  script: x
  rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $KEY && $CI_PIPELINE_SOURCE == "push", variables: {FROM: rule}}]
no:
  script: x
  rules: [{if: $CI_COMMIT_TAG}]
`)
	if got := states(s.Summary()); got != "yes=queued" {
		t.Errorf("got %s", got)
	}
	if got := p.take().Variables.Get("FROM"); got != "rule" {
		t.Errorf("got %q", got)
	}
}

// TestHammer runs many jobs by many runners at once, while others look on and cancel.
func TestHammer(t *testing.T) {
	s, p := start(t, Options{})
	const jobs, runners = 60, 8
	for i := range jobs {
		s.Enqueue(simple(fmt.Sprintf("job %d", i)))
	}
	var group sync.WaitGroup
	for range runners {
		other := *p
		group.Go(func() {
			for {
				r := other.request()
				if r.status != http.StatusCreated {
					return
				}
				var j wire
				if err := json.Unmarshal(r.body, &j); err != nil {
					t.Error(err)
					return
				}
				s.Jobs()
				if j.ID%7 == 0 {
					s.ForceCancel(j.ID)
					continue
				}
				other.run(j, "success", 0)
			}
		})
	}
	group.Wait()
	for _, j := range s.Jobs() {
		if !j.State.Final() {
			t.Errorf("job %d is %s", j.ID, j.State)
		}
	}
	p.clean()
}
