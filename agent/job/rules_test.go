package job

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
)

// The table of GitLab's rules for expanding variables, once.
func TestExpand(t *testing.T) {
	v := newVariables("/b/p.tmp", coordinator.Variables{
		{Key: "C", Value: "old"}, {Key: "C", Value: "x"}, {Key: "B", Value: "$C"}, {Key: "A", Value: "$B"}, {Key: "R", Value: "$C", Raw: true},
		{Key: "F", Value: "v=$C", File: true}, {Key: "SELF", Value: "$SELF:more"}, {Key: "S", Value: "<$R>"},
	})
	for _, tt := range []struct{ text, want string }{
		{"$A", "$B"}, {"$$C", "$C"}, {"$NOPE${NOPE}$1$-", ""}, {"${C:-def}", ""}, {"%C%", "%C%"}, {"a $ b", "a $ b"}, {"end$", "end$"},
		{"${C", "C"}, {"$F", "/b/p.tmp/F"}, {"${C}y", "xy"}, {"no dollar", "no dollar"},
	} {
		if got := v.expand(tt.text); got != tt.want {
			t.Errorf("expand(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
	for key, want := range map[string]string{"A": "$C", "B": "x", "R": "$C", "S": "<$C>", "SELF": "$SELF:more:more", "F": "/b/p.tmp/F", "NOPE": ""} {
		if got := v.get(key); got != want {
			t.Errorf("get(%s) = %q, want %q", key, got, want)
		}
	}
	if got := v.content("F"); got != "v=x" {
		t.Errorf("content of F = %q", got)
	}
	env := v.environment(func(v coordinator.Variable) bool { return v.Key == "C" || v.Key == "F" })
	if diff := cmp.Diff([]string{"C=x", "F=/b/p.tmp/F"}, env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestFlags(t *testing.T) {
	r := &config.Runner{FeatureFlags: map[string]bool{"FF_NETWORK_PER_BUILD": true, "FF_TIMESTAMPS": true}}
	job := coordinator.Variables{{Key: "FF_NETWORK_PER_BUILD", Value: "false"}, {Key: "FF_SCRIPT_SECTIONS", Value: "1"}, {Key: "FF_HASH_CACHE_KEYS", Value: "perhaps"}}
	environment := coordinator.Variables{{Key: "FF_SCRIPT_SECTIONS", Value: "false"}, {Key: "FF_USE_FASTZIP", Value: "false"}}
	f, warnings := resolveFlags(r, job, environment)
	if got := f.changed(); got != "FF_NETWORK_PER_BUILD:true, FF_SCRIPT_SECTIONS:true, FF_USE_FASTZIP:false" {
		t.Errorf("changed: %s", got)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "FF_HASH_CACHE_KEYS") {
		t.Errorf("warnings: %q", warnings)
	}
}

func TestClassify(t *testing.T) {
	kind := func(k executor.Kind) error { return fmt.Errorf("wrapped: %w", executor.Errorf(k, "x")) }
	for _, tt := range []struct {
		err     error
		reason  coordinator.FailureReason
		code    int
		verdict string
	}{
		{&executor.ExitError{Code: 3}, coordinator.ScriptFailure, 3, "Job failed: exit code 3"},
		{kind(executor.Configuration), coordinator.ConfigurationError, 0, "Job failed: wrapped: x"},
		{kind(executor.External), coordinator.ExternalDependencyFailure, 0, "Job failed: wrapped: x"},
		{kind(executor.ImagePull), coordinator.ImagePullFailure, 0, "Job failed: wrapped: x"},
		{kind(executor.Engine), coordinator.RunnerSystemFailure, 0, "Job failed (system failure): wrapped: x"},
		{errors.New("x"), coordinator.RunnerSystemFailure, 0, "Job failed (system failure): x"},
		{unsupported("x"), coordinator.RunnerSystemFailure, 3, "Job failed (system failure): x"},
		{timeoutf("x"), coordinator.JobExecutionTimeout, 0, "Job failed: x"},
		{errCanceled, coordinator.JobCanceled, 0, "Job failed: canceled"},
		{&interruptedError{errors.New("terminated")}, coordinator.RunnerInterrupted, 0, "Job failed: aborted: terminated"},
	} {
		reason, code, classified := classify(tt.err)
		if reason != tt.reason || code != tt.code || verdict(reason, classified, tt.err) != tt.verdict {
			t.Errorf("%v: got %s, %d, %q", tt.err, reason, code, verdict(reason, classified, tt.err))
		}
	}
}

func TestPaths(t *testing.T) {
	base := Params{Job: &coordinator.Job{Git: coordinator.GitInfo{RepoURL: "https://u:p@h/group/sub/project.git"}}}
	for _, tt := range []struct {
		name     string
		change   func(*config.Runner)
		clone    string
		strategy string
		project  string
		err      string
	}{
		{name: "plain", project: "/builds/group/sub/project"},
		{name: "empty", strategy: "empty", project: "/builds/group/sub/project-empty"},
		{name: "own folder", change: func(r *config.Runner) { r.BuildsDir = "/srv/b/" }, project: "/srv/b/group/sub/project"},
		{name: "shared", change: func(r *config.Runner) { r.Docker.Volumes = []string{"/srv/b:/builds:rw"} }, project: "/builds/token/2/group/sub/project"},
		{name: "GIT_CLONE_PATH", clone: "$CI_BUILDS_DIR/x/../y", project: "/builds/y"},
		{name: "GIT_CLONE_PATH outside", clone: "$CI_BUILDS_DIR/../etc", err: "has to be within"},
		{name: "relative", change: func(r *config.Runner) { r.BuildsDir = "b" }, err: "must be an absolute path"},
		{name: "root", change: func(r *config.Runner) { r.BuildsDir = "/" }, err: "must be an absolute path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := base
			p.Runner, p.ProjectSlot = &config.Runner{Token: "token"}, 2
			if tt.change != nil {
				tt.change(p.Runner)
			}
			early := newVariables("", coordinator.Variables{{Key: "CI_BUILDS_DIR", Value: "/builds"}, {Key: "GIT_CLONE_PATH", Value: tt.clone}})
			got, err := (&run{p: p, strategy: tt.strategy}).resolvePaths(early)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want an error with %q", err, tt.err)
				}
				return
			}
			if err != nil || got.project != tt.project || got.temp != tt.project+".tmp" {
				t.Errorf("got %+v, %v; want %s", got, err, tt.project)
			}
		})
	}
	for url, want := range map[string]string{"http://h/a/../../b.git": "b", "http://h/": "project", "::": "project", "http://h/a b.git": "a b"} {
		if got := repoPath(url); got != want {
			t.Errorf("repoPath(%s) = %s, want %s", url, got, want)
		}
	}
}

func TestRewriteKeepsTheTokenAtHome(t *testing.T) {
	r := newRun(Params{Job: &coordinator.Job{Git: coordinator.GitInfo{RepoURL: "https://ci:tok@git.example/g/p.git", SHA: "0123456789"}}, Runner: &config.Runner{CloneURL: "http://inner:8080/base"}})
	src, err := r.sources()
	if err != nil {
		t.Fatal(err)
	}
	if src.URL != "http://inner:8080/base/g/p.git" {
		t.Errorf("URL %s", src.URL)
	}
	want := []string{"http://inner:8080/ http://ci:tok@inner:8080/", "https://git.example/ https://ci:tok@git.example/"}
	for i, w := range src.Rewrite {
		if got := w.From + " " + w.To; got != want[i] {
			t.Errorf("rewrite %s, want %s", got, want[i])
		}
	}
}
