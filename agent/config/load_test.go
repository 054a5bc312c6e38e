package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/sdk/go/period"
)

// checks is what the agent passes in: the reader of periods, and what stands for the drivers' descriptions.
var checks = Options{
	Period: func(text string) ([]string, error) {
		e, err := period.Parse(text)
		return e.Warnings(), err
	},
	Cron: func(text string) ([]string, error) {
		e, err := period.ParseCron(text)
		return e.Warnings(), err
	},
	Driver: func(name string, options []string) []Problem {
		var problems []Problem
		for _, o := range options {
			if n := optionName(o); name == "docker" && n == "docker-memery" {
				problems = append(problems, Problem{Option: n, Message: "unknown option; did you mean docker-memory?"})
			}
		}
		return problems
	},
}

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

const wantMark = "# want: "

// Each file of testdata states in its first lines, in order, every diagnostic that it must give. A good one has no errors.
func TestFiles(t *testing.T) {
	t.Setenv("MW_TOKEN", "glrt-fromtheenvironment")
	t.Setenv("MW_HOST", "gitlab.example.com")
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, path := range files {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, errors := parseFile(name, data)
			if *update {
				rewrite(t, path, data, len(got))
				return
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				if w, ok := strings.CutPrefix(line, wantMark); ok {
					want = append(want, strings.TrimSpace(w))
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if good := strings.HasSuffix(name, ".good.toml"); good != (errors == 0) {
				t.Errorf("%d errors", errors)
			}
		})
	}
}

func parseFile(name string, data []byte) (got []string, errors int) {
	_, diagnostics := checks.Parse(name, data)
	for _, d := range diagnostics {
		got = append(got, d.String())
		if d.Severity == SeverityError {
			errors++
		}
	}
	return got, errors
}

// rewrite puts n expectations on top of the file; they shift what they speak of.
func rewrite(t *testing.T, path string, data []byte, n int) {
	body := string(data)
	for strings.HasPrefix(body, wantMark) {
		_, body, _ = strings.Cut(body, "\n")
	}
	got, _ := parseFile(filepath.Base(path), []byte(strings.Repeat("#\n", n)+body))
	var top strings.Builder
	for _, g := range got {
		top.WriteString(wantMark + g + "\n")
	}
	if err := os.WriteFile(path, []byte(top.String()+body), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	c, diagnostics, err := Load("testdata/full.good.toml")
	if err != nil || len(diagnostics) > 0 {
		t.Fatal(err, diagnostics)
	}
	age := Duration(15 * time.Minute)
	if c.Concurrent != 12 || c.CheckInterval != 3 || *c.ConnectionMaxAge != age || c.SessionServer.SessionTimeout != 1800 {
		t.Errorf("global section: %+v", c)
	}
	if d := c.Machine.ShutdownDrain; d.Concurrency != 5 || d.MaxRetries != 3 || d.RetryBackoff != Duration(2*time.Second) {
		t.Errorf("drain: %+v", d)
	}
	r := c.Runners[0]
	if r.Limit != 20 || r.OutputLimit != 8192 || r.RequestConcurrency != 1 || r.UnhealthyInterval != Duration(90*time.Minute) {
		t.Errorf("runner: %+v", r)
	}
	if !r.TokenExpiresAt.IsZero() || !r.TokenObtainedAt.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("times: %v %v", r.TokenObtainedAt, r.TokenExpiresAt)
	}
	if *r.Cache.S3.DualStack || r.Cache.S3.PathStyle != nil || r.Cache.S3.SecretKey.Reveal() != "x" {
		t.Errorf("cache: %+v", r.Cache.S3)
	}
	if diff := cmp.Diff([]string{"if-not-present"}, r.Docker.PullPolicy); diff != "" {
		t.Error(diff)
	}
	if r.Docker.Services[0].Alias != "cache" || r.Docker.Ulimit["nofile"] != "1024:2048" || r.Docker.ServicesDevices["gpu/*"][0] != "/dev/dri" {
		t.Errorf("docker: %+v", r.Docker)
	}
	m := r.Machine
	if m.IdleScaleFactor != 1 || m.Autoscaling[0].IdleScaleFactor != 0.5 || m.Autoscaling[0].Timezone != "Europe/Berlin" || len(m.MachineOptions) != 3 {
		t.Errorf("machine: %+v", m)
	}
	a := c.Runners[1].Autoscaler
	want := map[string]any{"name": "group", "retries": int64(3), "nested": map[string]any{"on": true}}
	if diff := cmp.Diff(want, a.PluginConfig); diff != "" {
		t.Error(diff)
	}
	if a.Policy[0].IdleTime != Duration(20*time.Minute) || a.OperationTimeBuckets[1] != 2.5 {
		t.Errorf("autoscaler: %+v", a)
	}
}

func TestExpansion(t *testing.T) {
	t.Setenv("MW_TOKEN", "glrt-secretsecret")
	t.Setenv("MW_HOST", "gitlab.example.com")
	c, diagnostics, err := Load("testdata/expand.good.toml")
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Runners[0]; r.URL != "https://gitlab.example.com" || r.Token.Reveal() != "glrt-secretsecret" {
		t.Errorf("url %q, token %q", r.URL, r.Token.Reveal())
	}
	if s := fmt.Sprint(diagnostics, c.Runners[0]); strings.Contains(s, "secretsecret") {
		t.Errorf("the token shows: %s", s)
	}
}

func TestMissingFile(t *testing.T) {
	c, diagnostics, err := Load(filepath.Join(t.TempDir(), "config.toml"))
	if err != nil || c.Concurrent != 1 || len(c.Runners) != 0 {
		t.Fatal(c, err)
	}
	if len(diagnostics) != 1 || diagnostics[0].Severity != SeverityWarning || Err(diagnostics) != nil {
		t.Errorf("diagnostics = %v", diagnostics)
	}
}

func TestUnreadableFile(t *testing.T) {
	if _, _, err := Load(t.TempDir()); err == nil {
		t.Error("a folder was read as a file")
	}
}

func TestBrokenEntriesLeaveTheOthers(t *testing.T) {
	data := "[[runners]]\nurl='https://x'\ntoken='a'\nexecutor='docker'\n[[runners]]\nurl='https://x'\ntoken='b'\nexecutor='dockr'\n"
	_, diagnostics := Parse("config.toml", []byte(data))
	if err := Err(diagnostics); err != nil {
		t.Errorf("Err = %v, want nil: GitLab Runner runs such a file", err)
	}
	broken := Broken(diagnostics)
	if len(broken) != 1 || !strings.HasPrefix(broken[1], "config.toml:8: runners[1].executor: ") {
		t.Errorf("Broken = %v", broken)
	}
	_, diagnostics = Parse("config.toml", []byte("concurrent = 'x'"))
	if Err(diagnostics) == nil {
		t.Error("a wrong type did not forbid the file")
	}
}

func TestNearest(t *testing.T) {
	known := []string{"IdleCount", "IdleTime", "IdleScaleFactor", "MaxBuilds"}
	for word, want := range map[string]string{
		"idle_count": "IdleCount", "IdleTimes": "IdleTime", "maxbuild": "MaxBuilds", "x": "", "SomethingElse": "", "IdleFactor": "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.toml")
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("[[runners]]\n[Runners.machine]\nrunners.x={a.b=[{}]}\n\"a\\nb\"=1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, diagnostics := Parse("config.toml", data)
		lines := strings.Count(string(data), "\n") + 1
		for _, d := range diagnostics {
			if d.Line < 0 || d.Line > lines {
				t.Errorf("line %d of %d: %v", d.Line, lines, d)
			}
			if d.Runner >= len(c.Runners) {
				t.Errorf("runner %d of %d: %v", d.Runner, len(c.Runners), d)
			}
		}
	})
}
