package job_test

import (
	"archive/zip"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job"
)

// vector is one row of the test vectors for the docker executor: a payload, and what can be seen of it.
type vector struct {
	n       int
	name    string
	payload coordinator.Job
	runner  func(*config.Runner)
	want    []string // in the trace, in this order
	not     []string // nowhere in the trace
	reason  coordinator.FailureReason
	code    int
	check   func(t *testing.T, e ended)
}

const (
	scriptFailure = coordinator.ScriptFailure
	timedOut      = coordinator.JobExecutionTimeout
)

// vectors are the rows that need nothing but one job.
func vectors() []vector {
	collapsed := script([]string{"echo a\necho b"})
	sections := with(collapsed, "FF_SCRIPT_SECTIONS", "true")
	sections.Features = coordinator.Features{TraceSections: true, FailureReasons: []string{"job_canceled"}}
	timeout := script([]string{"sleep 60"}, "echo after")
	timeout.Runner.Timeout = 5
	file := script([]string{"printf '[%s]\n' \"$(cat $F)\"", "echo $F", "tail -c1 $F"})
	file.Variables = coordinator.Variables{{Key: "F", Value: "v=$C", File: true}, {Key: "C", Value: "x"}}
	secret := script([]string{"echo abcd1234", "printf 'ab'; sleep 0.3; echo 'cd1234'"})
	secret.Variables = coordinator.Variables{{Key: "S3CR", Value: "abcd1234", Masked: true}}
	noFile := script([]string{"echo ran"})
	noFile.Dependencies = []coordinator.Dependency{{ID: 1, Name: "lint"}}
	return []vector{
		{n: 1, name: "succeeds", payload: script([]string{"echo hi"}), want: []string{"Running with millwright 0.0.0 (test), compatible with gitlab-runner", "$ echo hi", "\nhi\n", "Job succeeded"}, check: sealed},
		{n: 2, name: "exit code", payload: script([]string{"exit 3"}), want: []string{"ERROR: Job failed: exit code 3"}, reason: scriptFailure, code: 3},
		{n: 3, name: "stops at a failure", payload: script([]string{"false", "echo no"}), not: []string{"\nno\n", "$ echo no"}, reason: scriptFailure, code: 1},
		{n: 4, name: "pipefail", payload: script([]string{"false | true"}), reason: scriptFailure, code: 1},
		{n: 5, name: "no input", payload: script([]string{"read x; echo got=$x"}), not: []string{"\ngot="}, reason: scriptFailure, code: 1},
		{n: 6, name: "collapsed command", payload: collapsed, want: []string{"$ echo a # collapsed multi-line command\na\nb\n"}},
		{n: 7, name: "command section", payload: sections, check: inSection},
		{n: 8, name: "after_script sees files", payload: script([]string{"echo x >f"}, "cat f", "pwd"), want: []string{"Running after script...", "$ cat f\nx\n", "$ pwd\n/builds/group/project\n"}},
		{n: 9, name: "variables do not carry over", payload: script([]string{"export A=1"}, "echo [$A]"), want: []string{"\n[]\n"}},
		{n: 10, name: "GITLAB_ENV does", payload: script([]string{"echo A=1 >> $GITLAB_ENV"}, "echo [$A]"), want: []string{"\n[1]\n"}},
		{n: 11, name: "the same container", payload: script([]string{"touch /tmp/z"}, "ls /tmp/z"), want: []string{"\n/tmp/z\n"}},
		{n: 12, name: "CI_JOB_STATUS", payload: script([]string{"exit 4"}, "echo $CI_JOB_STATUS"), want: []string{"\nfailed\n"}, reason: scriptFailure, code: 4},
		{n: 13, name: "after_script fails", payload: script([]string{"true"}, "exit 9"), want: []string{"WARNING: after_script failed", "Job succeeded"}},
		{n: 14, name: "and counts", payload: with(script([]string{"true"}, "exit 9"), "AFTER_SCRIPT_IGNORE_ERRORS", "false"), reason: scriptFailure, code: 9},
		{n: 15, name: "one pass", payload: with(script([]string{"echo $A"}), "A", "$B", "B", "$C", "C", "x"), want: []string{"\n$C\n"}},
		{n: 16, name: "dollars and unknown names", payload: with(script([]string{`echo "<$P> <$U>"`}), "P", "a$$b", "U", "${NOPE}z"), want: []string{"\n<a$b> <z>\n"}},
		{n: 18, name: "file variable", payload: file, want: []string{"\n[v=x]\n", "\n/builds/group/project.tmp/F\n", "\nx"}},
		{n: 19, name: "the last one wins", payload: with(script([]string{"echo $K"}), "K", "one", "K", "two"), want: []string{"\ntwo\n"}, not: []string{"\none\n"}},
		{n: 20, name: "the payload's status wins", payload: with(script([]string{"echo 1$CI_JOB_STATUS"}, "echo 2$CI_JOB_STATUS"), statusKey, "mine"), want: []string{"\n1mine\n", "\n2mine\n"}},
		{n: 21, name: "masked", payload: secret, want: []string{"$ echo [MASKED]\n[MASKED]\n", "\n[MASKED]\n"}, not: []string{"abcd1234"}},
		{n: 31, name: "job timeout", payload: timeout, want: []string{"ERROR: Job failed: execution took longer than 5s"}, not: []string{"after\n"}, reason: timedOut},
		{n: 32, name: "script timeout", payload: archived(with(script([]string{"echo x >f; sleep 60"}, "echo $CI_JOB_STATUS"), "RUNNER_SCRIPT_TIMEOUT", "2s"), coordinator.Artifact{Paths: []string{"f"}, When: "on_failure"}),
			want: []string{"step_script could not run to completion because the timeout was exceeded", "\ntimedout\n", "Uploading artifacts for failed job", "ERROR: Job failed: script timeout"}, reason: timedOut, check: uploads(1)},
		{n: 33, name: "bad timeout", payload: with(script([]string{"true"}), "RUNNER_SCRIPT_TIMEOUT", "abc"), want: []string{"WARNING: Ignoring RUNNER_SCRIPT_TIMEOUT", "Job succeeded"}},
		{n: 34, name: "after_script timeout", payload: with(script([]string{"true"}, "sleep 60"), "RUNNER_AFTER_SCRIPT_TIMEOUT", "1s"), want: []string{"after_script could not run to completion", "Job succeeded"}},
		{n: 46, name: "clone", payload: with(script([]string{"ls", "git --version || true"}), "GIT_STRATEGY", "clone"), want: []string{"Checking out", "README.md", "src"}},
		{n: 47, name: "no sources", payload: with(script([]string{"ls -A"}), "GIT_STRATEGY", "none"), want: []string{"Skipping Git repository setup"}},
		{n: 48, name: "empty", payload: with(script([]string{"pwd; ls -A"}), "GIT_STRATEGY", "empty"), want: []string{"creating an empty build directory", "/builds/group/project-empty\n"}},
		{n: 49, name: "unknown strategy", payload: with(script([]string{"cat README.md"}), "GIT_STRATEGY", "bogus"), want: []string{`GIT_STRATEGY "bogus" is unknown`, "a project"}},
		{n: 50, name: "no checkout", payload: with(script([]string{"ls -A"}), "GIT_STRATEGY", "clone", "GIT_CHECKOUT", "false"), want: []string{"Skipping Git checkout", "$ ls -A\n.git\n"}},
		{n: 53, name: "no token in the checkout", payload: script([]string{"cat .git/config", "grep -r glcbt- .git && exit 1; true"}), want: []string{"\n\turl = http://"}, not: []string{"gitlab-ci-token"}},
		{n: 56, name: "hook fails", payload: hooked("exit 4"), not: []string{"Checking out"}, reason: scriptFailure, code: 4},
		{n: 57, name: "unknown submodule strategy", payload: with(script([]string{"true"}), "GIT_SUBMODULE_STRATEGY", "bogus"), want: []string{"system failure", "unknown GIT_SUBMODULE_STRATEGY"}, reason: coordinator.RunnerSystemFailure},
		{n: 58, name: "busybox", payload: script([]string{"cat README.md"}), want: []string{"\na project\n"}},
		{n: 62, name: "image not allowed", payload: script([]string{"true"}), runner: func(r *config.Runner) { r.Docker.Image = ""; r.Docker.AllowedImages = []string{"ruby:*"} }, reason: coordinator.ConfigurationError},
		{n: 70, name: "unsupported option", payload: options(`{"docker":{"bogus":1}}`), want: []string{"unsupported executor_opts", "bogus"}, not: []string{"Preparing the"}, reason: coordinator.RunnerSystemFailure, code: 3},
		{n: 78, name: "artifacts", payload: archived(script([]string{"mkdir -p out/a out/tmp; echo 1 >out/a/x.txt; echo 2 >out/tmp/y.txt; echo 3 >out/z.md"}),
			coordinator.Artifact{Paths: []string{"out/**/*.txt"}, Exclude: []string{"out/tmp/**"}}), want: []string{"found ", "matching", "excluded "}, check: zipHolds("out/a/x.txt")},
		{n: 79, name: "no artifacts", payload: archived(script([]string{"true"}), coordinator.Artifact{Paths: []string{"nothing"}}), want: []string{"no matching files", "No files to upload", "Job succeeded"}, check: uploads(0)},
		{n: 82, name: "artifacts on failure", payload: archived(script([]string{"echo 1 >good; echo 2 >bad; exit 1"}),
			coordinator.Artifact{Paths: []string{"good"}, When: "on_success"}, coordinator.Artifact{Paths: []string{"bad"}, When: "on_failure"}), reason: scriptFailure, code: 1, check: zipHolds("bad")},
		{n: 88, name: "dependency without artifacts", payload: noFile, want: []string{"\nran\n"}, not: []string{"Downloading artifacts"}},
		{n: 99, name: "inputs", payload: inputs("go test -race=${{ job.inputs.race }}"), want: []string{"$ echo go test -race=true"}},
		{n: 99, name: "unknown input", payload: inputs("${{ job.inputs.other }}"), want: []string{`unknown input "other"`}, not: []string{"Preparing the"}, reason: coordinator.ConfigurationError},
	}
}

const statusKey = "CI_JOB_STATUS"

func hooked(line string) coordinator.Job {
	j := script([]string{"true"})
	j.Hooks = []coordinator.Hook{{Name: "pre_get_sources_script", Script: []string{line}}}
	return j
}

func options(raw string) coordinator.Job {
	j := script([]string{"true"})
	j.Image = &coordinator.Image{Name: "x", ExecutorOpts: []byte(raw)}
	return j
}

func inputs(line string) coordinator.Job {
	j := script([]string{"echo " + line})
	in := coordinator.Input{Key: "race"}
	in.Value.Type, in.Value.Content = "boolean", []byte("true")
	j.Inputs = []coordinator.Input{in}
	return j
}

func TestVectors(t *testing.T) {
	b := newBench(t)
	for _, v := range vectors() {
		t.Run(fmt.Sprintf("%d %s", v.n, v.name), func(t *testing.T) {
			payload := v.payload
			if payload.Image == nil {
				payload.Image = &coordinator.Image{Name: b.image}
			}
			e := b.run(t, t.Context(), payload, func(_ *job.Params, r *config.Runner) {
				if v.runner != nil {
					v.runner(r)
				}
			})
			checkTrace(t, e, v.want, v.not)
			checkEnd(t, e, v.reason, v.code)
			if v.check != nil {
				v.check(t, e)
			}
		})
	}
}

func checkTrace(t *testing.T, e ended, want, not []string) {
	t.Helper()
	rest, failed := e.trace, false
	for _, w := range want {
		i := strings.Index(rest, w)
		if i < 0 {
			t.Errorf("the trace lacks %q after what came before it", w)
			failed = true
			continue
		}
		rest = rest[i+len(w)-1:] // a newline may end one piece and begin the next
	}
	for _, w := range not {
		if strings.Contains(e.trace, w) {
			t.Errorf("the trace holds %q", w)
			failed = true
		}
	}
	if failed {
		t.Logf("the trace:\n%s", e.trace)
	}
}

func checkEnd(t *testing.T, e ended, reason coordinator.FailureReason, code int) {
	t.Helper()
	if e.Unsent != nil || e.Dropped || e.Broken {
		t.Errorf("unsent: %v, dropped: %v, broken: %v", e.Unsent, e.Dropped, e.Broken)
	}
	if e.Reason != reason || e.Code != code {
		t.Errorf("got %q with exit code %d (%v), want %q with %d\n%s", e.Reason, e.Code, e.Err, reason, code, e.trace)
	}
	if e.coordinator.ExitCode != code || (reason == "") != (e.coordinator.State == "success") {
		t.Errorf("the coordinator has %s with exit code %d, want %d", e.coordinator.State, e.coordinator.ExitCode, code)
	}
}

// sealed checks that the coordinator has what the runner sent, to the byte.
func sealed(t *testing.T, e ended) {
	t.Helper()
	last := e.coordinator.Updates[len(e.coordinator.Updates)-1]
	if want := fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE([]byte(e.raw))); last.Checksum != want || last.ByteSize != int64(len(e.raw)) {
		t.Errorf("reported %s of %d bytes, the coordinator has %s of %d", last.Checksum, last.ByteSize, want, len(e.raw))
	}
	if !strings.Contains(e.raw, " 01O hi\n") && !strings.Contains(e.raw, "Z 01O hi\n") {
		t.Errorf("hi is not on stream 01O:\n%s", e.raw)
	}
}

func inSection(t *testing.T, e ended) {
	t.Helper()
	for _, want := range []string{"section_script_step_0[hide_duration=true,collapsed=true]", "$ echo a\necho b", "section_end:"} {
		if !strings.Contains(e.trace, want) {
			t.Errorf("the trace lacks %q:\n%s", want, e.trace)
		}
	}
	if end := strings.Index(e.trace, "section_script_step_0\n"); end < 0 || !strings.Contains(e.trace[end:], "\na\n") {
		t.Errorf("the output does not follow the section's end:\n%s", e.trace)
	}
}

func uploads(n int) func(*testing.T, ended) {
	return func(t *testing.T, e ended) {
		t.Helper()
		if got := len(e.coordinator.Artifacts); got != n {
			t.Errorf("%d uploads, want %d:\n%s", got, n, e.trace)
		}
	}
}

// zipHolds checks the only upload's files, directories aside.
func zipHolds(names ...string) func(*testing.T, ended) {
	return func(t *testing.T, e ended) {
		t.Helper()
		if len(e.coordinator.Artifacts) != 1 {
			t.Fatalf("%d uploads, want 1:\n%s", len(e.coordinator.Artifacts), e.trace)
		}
		archive, err := zip.OpenReader(e.coordinator.Artifacts[0].Path)
		if err != nil {
			t.Fatal(err)
		}
		defer archive.Close()
		var got []string
		for _, f := range archive.File {
			if !strings.HasSuffix(f.Name, "/") {
				got = append(got, f.Name)
			}
		}
		if !slices.Equal(got, names) {
			t.Errorf("the archive holds %v, want %v", got, names)
		}
	}
}
