package job_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// driver is a driver of the executor custom in bash. It keeps a diary, and does what the file named after its stage in its folder says.
const driver = `#!/usr/bin/env bash
here=$(dirname "$0")
what=$1; shift
echo "$what ${2:-} job=$CUSTOM_ENV_CI_JOB_ID env=$FROM_CONFIG response=$(grep -c '"token"' "$JOB_RESPONSE_FILE") services=$CUSTOM_ENV_CI_JOB_SERVICES" >>"$here/diary"
[ -f "$here/$what" ] && . "$here/$what"
case $what in
config) echo '{"builds_dir": "'"$here"'/builds", "cache_dir": "'"$here"'/cache", "builds_dir_is_shared": true, "more": 1,
  "driver": {"name": "bash driver", "version": "v7"}, "job_env": {"FROM_CONFIG": "yes"}}'; echo configured >&2 ;;
prepare) echo prepared; echo "in $CUSTOM_ENV_CI_PROJECT_DIR" >&2 ;;
run)
  bash "$1"
  code=$?
  if [ $code -ne 0 ]; then echo $code >"$BUILD_EXIT_CODE_FILE"; exit $BUILD_FAILURE_EXIT_CODE; fi ;;
cleanup) echo cleaned; echo "and said so" >&2 ;;
esac
`

// newCustom is a bench with that driver; the folder holds its diary.
func newCustom(t *testing.T, on job.OnHost) (*host, string) {
	t.Helper()
	need.Command(t, "bash")
	h := &host{Bench: jobtest.NewHost(t, "custom"), on: on}
	folder := t.TempDir()
	path := filepath.Join(folder, "driver")
	if err := os.WriteFile(path, []byte(driver), 0o700); err != nil {
		t.Fatal(err)
	}
	second := 1
	h.Runner.BuildsDir, h.Runner.CacheDir = "", ""
	h.Runner.Custom = &config.Custom{
		ConfigExec: path, ConfigArgs: []string{"config"}, PrepareExec: path, PrepareArgs: []string{"prepare"},
		RunExec: path, RunArgs: []string{"run"}, CleanupExec: path, CleanupArgs: []string{"cleanup"}, GracefulKillTimeout: &second,
	}
	return h, folder
}

func diary(t *testing.T, folder string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "diary"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A driver that runs scripts on this host gives what any host does. The helper is found along PATH.
func TestCustom(t *testing.T) {
	on := jobtest.Helper(t)
	t.Setenv("PATH", filepath.Dir(on.Helper(goos, goarch))+":"+os.Getenv("PATH"))
	h, folder := newCustom(t, on)
	testHostRows(t, h, filepath.Join(folder, "builds", config.ShortToken(h.Runner.Token), "0", "group", "project"))
}

func TestCustomProtocol(t *testing.T) {
	t.Parallel()
	h, folder := newCustom(t, job.OnHost{})
	payload := jobtest.Script([]string{"echo [$FROM_CONFIG]"}, "true")
	payload.Services = []coordinator.Image{{Name: "postgres:17", Alias: "db", Command: []string{"x"}}}
	e := h.run(t, t.Context(), payload)
	jobtest.CheckTrace(t, e, []string{"configured", "Using Custom executor with driver bash driver v7...", "prepared", "\n[yes]\n", "Job succeeded"}, []string{"cleaned", "runs no services"})
	if !strings.Contains(e.Trace, "\nin "+filepath.Join(folder, "builds")+"/") {
		t.Errorf("what prepare_exec says on stderr is not in the trace:\n%s", e.Trace)
	}
	var stages []string
	for line := range strings.Lines(diary(t, folder)) {
		words := strings.Fields(line)
		name := words[0]
		if name == "run" {
			name = words[1]
		}
		stages = append(stages, name)
		env := "env=yes"
		if name == "config" {
			env = "env="
		}
		for _, want := range []string{"job=" + words[len(words)-4][len("job="):], env, "response=1", `services=[{"name":"postgres:17","alias":"db","entrypoint":null,"command":["x"]}]`} {
			if !strings.Contains(line, want) {
				t.Errorf("%q lacks %q", line, want)
			}
		}
	}
	if got, want := strings.Join(stages, " "), "config prepare prepare_script get_sources step_script after_script cleanup_file_variables cleanup"; got != want {
		t.Errorf("stages: %s\nwant:   %s", got, want)
	}
}

// What a driver's programs may do wrong, and what becomes of the job. Clean-up comes whatever happened.
func TestCustomFailures(t *testing.T) {
	t.Parallel()
	const system = coordinator.RunnerSystemFailure
	for _, tt := range []struct {
		name, stage, does string
		change            func(*config.Custom)
		want              []string
		reason            coordinator.FailureReason
		code              int
	}{
		{name: "the script's code is not noted", stage: "run", does: "[ $2 = step_script ] && exit $BUILD_FAILURE_EXIT_CODE", reason: coordinator.ScriptFailure, code: 1},
		{name: "system failure", stage: "run", does: "[ $2 = step_script ] && exit $SYSTEM_FAILURE_EXIT_CODE", want: []string{"(system failure)", "run_exec: the driver reports a failure of the system"}, reason: system},
		{name: "another code", stage: "run", does: "[ $2 = step_script ] && exit 9", want: []string{"it ended with exit code 9"}, reason: system},
		{name: "prepare fails", stage: "prepare", does: "exit $SYSTEM_FAILURE_EXIT_CODE", want: []string{"Preparation failed: prepare_exec", "Will be retried in 3s", "Preparation failed", "(system failure)"}, reason: system},
		{name: "prepare fails the job", stage: "prepare", does: "exit $BUILD_FAILURE_EXIT_CODE", reason: coordinator.ScriptFailure, code: 1},
		{name: "no JSON", stage: "config", does: "echo hello; exit 0", want: []string{"config_exec: what it printed is no JSON"}, reason: system},
		{name: "too slow", stage: "config", does: "sleep 1000", change: func(c *config.Custom) { one := 1; c.ConfigExecTimeout = &one }, want: []string{"config_exec: it took longer than 1s; mend it, or raise config_exec_timeout"}, reason: system},
		{name: "no directories", stage: "config", does: "exit 0", want: []string{"the executor custom needs builds_dir"}, reason: coordinator.ConfigurationError},
		{name: "no program", stage: "config", change: func(c *config.Custom) { c.RunExec = "" }, want: []string{"has no run_exec"}, reason: coordinator.ConfigurationError},
		{name: "clean-up fails", stage: "cleanup", does: "exit 1", want: []string{"Job succeeded"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, folder := newCustom(t, job.OnHost{})
			if err := os.WriteFile(filepath.Join(folder, tt.stage), []byte(tt.does), 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.change != nil {
				tt.change(h.Runner.Custom)
			}
			e := h.run(t, t.Context(), jobtest.With(jobtest.Script([]string{"true"}), "GIT_STRATEGY", "none"))
			jobtest.CheckTrace(t, e, tt.want, nil)
			jobtest.CheckEnd(t, e, tt.reason, tt.code)
			text, err := os.ReadFile(filepath.Join(folder, "diary"))
			if tt.name != "no program" && (err != nil || !strings.Contains(string(text), "\ncleanup ")) {
				t.Errorf("the driver was not told to clear up: %v\n%s", err, text)
			}
			if tt.name == "no program" && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the driver was called: %v\n%s", err, text)
			}
		})
	}
}
