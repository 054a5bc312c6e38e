package job_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// host is a bench whose jobs run on a host.
type host struct {
	*jobtest.Bench
	on      job.OnHost
	engines job.Engines // nil: the bench's own
}

func (h *host) run(t *testing.T, ctx context.Context, payload coordinator.Job) jobtest.Ended {
	t.Helper()
	return h.Run(t, ctx, payload, func(p *job.Params, _ *config.Runner) {
		p.OnHost = h.on
		if h.engines != nil {
			p.Engines = h.engines
		}
	})
}

// hostRow is what any executor on a host makes of a payload. <project> stands for CI_PROJECT_DIR.
type hostRow struct {
	name    string
	payload coordinator.Job
	want    []string
	not     []string
	reason  coordinator.FailureReason
	code    int
	same    bool // it depends on the scripts alone, so that one executor shows it for all
}

func hostRows() []hostRow {
	file := jobtest.Script([]string{`printf '[%s]\n' "$(cat $F)"`, "echo $F"})
	file.Variables = coordinator.Variables{{Key: "F", Value: "v=$C", File: true}, {Key: "C", Value: "x"}}
	secret := jobtest.Script([]string{"echo abcd1234"})
	secret.Variables = coordinator.Variables{{Key: "S3CR", Value: "abcd1234", Masked: true}}
	timeout := jobtest.Script([]string{"sleep 60"}, "echo after")
	timeout.Runner.Timeout = 3
	const failed = coordinator.ScriptFailure
	return []hostRow{
		{name: "succeeds", payload: jobtest.Script([]string{"echo hi; echo err >&2"}), want: []string{"Running on ", "Getting source from Git repository", "$ echo hi", "\nhi\n", "Job succeeded"}},
		{name: "exit code", payload: jobtest.Script([]string{"exit 3"}), want: []string{"ERROR: Job failed: exit code 3"}, reason: failed, code: 3},
		{name: "no input", payload: jobtest.Script([]string{"read x; echo got=$x"}), not: []string{"\ngot="}, reason: failed, code: 1},
		{name: "after_script sees files", payload: jobtest.Script([]string{"echo x >f"}, "cat f", "pwd"), want: []string{"$ cat f\nx\n", "$ pwd\n<project>\n"}},
		{name: "GITLAB_ENV", same: true, payload: jobtest.Script([]string{"echo A=1 >> $GITLAB_ENV", "export B=1"}, "echo [$A$B]"), want: []string{"\n[1]\n"}},
		{name: "variables", payload: jobtest.Script([]string{"echo shared=$CI_SHARED_ENVIRONMENT disposable=$CI_DISPOSABLE_ENVIRONMENT", "echo $CI_PROJECT_DIR"}), want: []string{"\nshared=true disposable=\n", "\n<project>\n"}},
		{name: "file variable", same: true, payload: file, want: []string{"\n[v=x]\n", "\n<project>.tmp/F\n"}},
		{name: "masked", same: true, payload: secret, want: []string{"\n[MASKED]\n"}, not: []string{"abcd1234"}},
		{name: "no token in the checkout", same: true, payload: jobtest.Script([]string{"cat .git/config", "grep -r glcbt- .git && exit 1; true"}), want: []string{"\turl = http://"}, not: []string{"gitlab-ci-token"}},
		{name: "no sources", same: true, payload: jobtest.With(jobtest.Script([]string{"ls -A"}), "GIT_STRATEGY", "none"), want: []string{"Skipping Git repository setup", "Job succeeded"}},
		{name: "empty", payload: jobtest.With(jobtest.Script([]string{"pwd"}), "GIT_STRATEGY", "empty"), want: []string{"\n<project>-empty\n"}},
		{name: "own clone path", same: true, payload: jobtest.With(jobtest.Script([]string{"pwd"}), "GIT_CLONE_PATH", "$CI_BUILDS_DIR/x"), want: []string{"GIT_CLONE_PATH is not allowed"}, reason: coordinator.ConfigurationError},
		{name: "job timeout", same: true, payload: timeout, want: []string{"ERROR: Job failed: execution took longer than 3s"}, not: []string{"after\n"}, reason: coordinator.JobExecutionTimeout},
		{name: "script timeout", payload: jobtest.With(jobtest.Script([]string{"sleep 60"}, "echo $CI_JOB_STATUS"), "RUNNER_SCRIPT_TIMEOUT", "2s"), want: []string{"step_script could not run to completion", "\ntimedout\n"}, reason: coordinator.JobExecutionTimeout},
		{name: "binary output", payload: jobtest.Script([]string{`printf '\000\377\001x\n'`}), want: []string{"\x00\uFFFD\x01x\n"}},
	}
}

// testHostRows runs what is alike on every host.
func testHostRows(t *testing.T, h *host, project string) {
	for _, row := range hostRows() {
		if row.same && h.Runner.Executor != "shell" {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			var want []string
			for _, w := range row.want {
				want = append(want, strings.ReplaceAll(w, "<project>", project))
			}
			e := h.run(t, t.Context(), row.payload)
			jobtest.CheckTrace(t, e, want, row.not)
			jobtest.CheckEnd(t, e, row.reason, row.code)
		})
	}
	t.Run("fetch again", func(t *testing.T) { testHostFetch(t, h) })
	t.Run("cache and artifacts", func(t *testing.T) { testHostKeeps(t, h) })
	t.Run("big output", func(t *testing.T) { testHostOutput(t, h) })
	t.Run("cancel", func(t *testing.T) { testHostCancel(t, h) })
}

func testHostFetch(t *testing.T, h *host) {
	h.run(t, t.Context(), jobtest.Script([]string{"touch untracked"}))
	e := h.run(t, t.Context(), jobtest.Script([]string{"ls -A"}))
	jobtest.CheckTrace(t, e, []string{"Removing untracked", "README.md", "Job succeeded"}, []string{"Created fresh repository."})
}

// testHostKeeps hands files from one job to the next, by the cache and by artifacts.
func testHostKeeps(t *testing.T, h *host) {
	keeps := func(line string) coordinator.Job {
		j := jobtest.With(jobtest.Script([]string{line}), "GIT_STRATEGY", "clone")
		j.Cache = []coordinator.Cache{{Key: "k", Paths: []string{"deps"}}}
		return j
	}
	first := h.run(t, t.Context(), jobtest.Archived(keeps("mkdir deps out; echo kept >deps/f; echo made >out/f"), coordinator.Artifact{Paths: []string{"out"}}))
	jobtest.CheckTrace(t, first, []string{"Failed to extract cache", "Created cache", "Uploading artifacts", "Job succeeded"}, nil)
	jobtest.CheckUploads(t, first, 1)
	taker := keeps("cat deps/f out/f")
	dependency := coordinator.Dependency{ID: first.Coordinator.ID, Name: "maker"}
	dependency.ArtifactsFile = &struct {
		Filename string `json:"filename"`
		Size     int64  `json:"size"`
	}{Filename: "artifacts.zip", Size: first.Coordinator.Artifacts[0].Size}
	taker.Dependencies = []coordinator.Dependency{dependency}
	second := h.run(t, t.Context(), taker)
	jobtest.CheckTrace(t, second, []string{"Successfully extracted cache", "Downloading artifacts for maker", "\nkept\nmade\n", "Job succeeded"}, nil)
	archive, err := zip.OpenReader(first.Coordinator.Artifacts[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if last := archive.File[len(archive.File)-1].Name; last != "out/f" {
		t.Errorf("the archive's last file is %s", last)
	}
}

// testHostOutput wants every line of much output, in its order.
func testHostOutput(t *testing.T, h *host) {
	const lines = 100_000
	e := h.run(t, t.Context(), jobtest.Script([]string{fmt.Sprintf("seq 1 %d", lines)}))
	jobtest.CheckEnd(t, e, "", 0)
	var want strings.Builder
	for i := range lines {
		fmt.Fprintln(&want, i+1)
	}
	if !strings.Contains(e.Trace, "\n"+want.String()) {
		t.Errorf("the trace of %d bytes lacks lines", len(e.Trace))
	}
}

var childPID = regexp.MustCompile(`child (\d+)`)

// testHostCancel wants the children of a script, one that ignores TERM among them, to end with its cancel.
func testHostCancel(t *testing.T, h *host) {
	need.Command(t, "wget")
	url := h.Signal(t, func() {
		if err := h.Server.Cancel(h.Last()); err != nil {
			t.Error(err)
		}
	})
	child := "(trap '' TERM; sleep 1000) & echo child $!; (sleep 1000 & echo child $!; wait) & sleep 0.2"
	e := h.run(t, t.Context(), jobtest.Script([]string{child, jobtest.Ticking(url)}, "echo status=$CI_JOB_STATUS"))
	jobtest.CheckTrace(t, e, []string{"tick", "script canceled externally (UI, API)", "\nstatus=canceled\n", "ERROR: Job failed: canceled"}, nil)
	children := childPID.FindAllStringSubmatch(e.Trace, -1)
	if len(children) != 2 {
		t.Fatalf("%d children:\n%s", len(children), e.Trace)
	}
	for _, c := range children {
		gone(t, c[1])
	}
}

// gone waits for a process to be no more than a corpse.
func gone(t *testing.T, pid string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
	}
	t.Errorf("process %s lives on", pid)
}

const goos, goarch = runtime.GOOS, runtime.GOARCH

func TestShell(t *testing.T) {
	on := jobtest.Helper(t)
	t.Setenv("HOME", t.TempDir()) // whose profile costs nothing
	for _, name := range []string{"bash", "sh"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			need.Command(t, name)
			h := &host{Bench: jobtest.NewHost(t, "shell"), on: on}
			h.Runner.Shell = name
			testHostRows(t, h, filepath.Join(h.Runner.BuildsDir, config.ShortToken(h.Runner.Token), "0", "group", "project"))
		})
	}
}

// Services are named as left out. Without the helper, caches and artifacts are named as off, and the job goes on.
func TestShellWithoutHelper(t *testing.T) {
	t.Parallel()
	h := &host{Bench: jobtest.NewHost(t, "shell"), on: job.OnHost{HelperHint: "looked for in /nowhere"}}
	payload := jobtest.Archived(jobtest.Script([]string{"true"}), coordinator.Artifact{Paths: []string{"README.md"}})
	payload.Services = []coordinator.Image{{Name: "postgres:17"}}
	e := h.run(t, t.Context(), payload)
	jobtest.CheckTrace(t, e, []string{"WARNING: The executor shell runs no services", "WARNING: millwright-helper was not found (looked for in /nowhere)", "Missing gitlab-runner-helper. Uploading artifacts is disabled.", "Job succeeded"}, nil)
}

// standIn takes the place of PowerShell 7, which can't be had where the tests run: it shows what it is called with, and ends as a script that
// exits does.
const standIn = `#!/bin/sh
echo "pwsh called with $*" | sed 's/ [^ ]*\/script[^ ]*/ SCRIPT/'
for script; do :; done
grep -F 'Write-Output' "$script"
exit "$(sed -n 's/^exit \([0-9]*\) # .*/\1/p' "$script")"
`

// With pwsh the user's scripts are PowerShell's, made as for containers, and those of the helper the POSIX shell's; a host without it says so.
func testHostPwsh(t *testing.T, h *host, path string) {
	payload := jobtest.Archived(jobtest.Script([]string{"Write-Output 'hi'", "exit 3 # so"}, "exit 0 # after"), coordinator.Artifact{Paths: []string{"README.md"}, When: "on_failure"})
	h.Runner.Shell = "pwsh"
	if _, err := exec.LookPath("pwsh"); err != nil {
		e := h.run(t, t.Context(), payload)
		jobtest.CheckTrace(t, e, []string{"pwsh", "install PowerShell 7"}, []string{"Getting source"})
		if e.Reason == "" {
			t.Error("the job succeeded")
		}
	}
	if err := os.WriteFile(filepath.Join(path, "pwsh"), []byte(standIn), 0o755); err != nil {
		t.Fatal(err)
	}
	e := h.run(t, t.Context(), payload)
	const called = "\npwsh called with -NoProfile -NoLogo -NonInteractive -ExecutionPolicy Bypass -File SCRIPT\n"
	jobtest.CheckTrace(t, e, []string{"Getting source from Git repository", called, "\nWrite-Output 'hi'\n", "Running after_script", called, "Uploading artifacts for failed job", "ERROR: Job failed: exit code 3"}, nil)
	jobtest.CheckEnd(t, e, coordinator.ScriptFailure, 3)
	jobtest.CheckUploads(t, e, 1)
}

func TestShellPwsh(t *testing.T) {
	path := t.TempDir()
	on := jobtest.Helper(t)
	t.Setenv("PATH", path+string(os.PathListSeparator)+os.Getenv("PATH"))
	testHostPwsh(t, &host{Bench: jobtest.NewHost(t, "shell"), on: on}, path)
}

// Jobs run with the rights of the user that the configuration names, and read nobody else's secrets.
func TestShellUser(t *testing.T) {
	t.Parallel()
	need.Root(t)
	need.Command(t, "bash")
	h := &host{Bench: jobtest.NewHost(t, "shell"), on: job.OnHost{User: "nobody"}}
	for dir := filepath.Dir(h.Runner.BuildsDir); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	e := h.run(t, t.Context(), jobtest.Script([]string{"id -un", "echo $USER", "touch f", `stat -c '%U %a' "$0" "$(dirname "$0")" $CI_PROJECT_DIR.tmp`}))
	jobtest.CheckTrace(t, e, []string{"\nnobody\n", "\nnobody\n", "\nnobody 700\nroot 711\nnobody 700\n", "Job succeeded"}, nil)
}

// A job whose agent is gone can't go on: it is reported with the reason.
func TestShellLost(t *testing.T) {
	t.Parallel()
	need.Command(t, "wget")
	h := &host{Bench: jobtest.NewHost(t, "shell")}
	keep := filepath.Join(t.TempDir(), "keep")
	ctx, leave := context.WithCancelCause(t.Context())
	url := h.Signal(t, func() { leave(executor.ErrLeft) })
	var kept job.Params
	first := h.Run(t, ctx, jobtest.Script([]string{jobtest.Ticking(url)}), func(p *job.Params, r *config.Runner) {
		record := job.Record{Job: p.Job, Runner: r, SystemID: p.SystemID, Began: time.Now()}
		if err := record.Save(keep); err != nil {
			t.Fatal(err)
		}
		p.Keep = keep
		kept = *p
	})
	if !first.Left {
		t.Fatalf("the job was not left: %+v", first.Result)
	}
	if job.Lasting("shell") || !job.Lasting("docker") {
		t.Error("jobs of the executor shell end with their agent, those of docker do not")
	}
	client, err := coordinator.New(coordinator.Options{URL: h.Runner.URL, Token: h.Runner.Token, SystemID: "s_test"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	kept.Client, kept.Lost = client, errors.New("its agent died")
	result := job.Run(t.Context(), kept)
	raw, err := h.Server.Trace(kept.Job.ID)
	if err != nil {
		t.Fatal(err)
	}
	end := jobtest.Ended{Result: result, Trace: jobtest.Plain(string(raw))}
	end.Coordinator, _ = h.Server.Job(kept.Job.ID)
	jobtest.CheckTrace(t, end, []string{"tick", "Job failed (system failure)", "can't go on with the job: its agent died"}, nil)
	jobtest.CheckEnd(t, end, coordinator.RunnerSystemFailure, 0)
}
