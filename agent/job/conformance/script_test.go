package conformance

import (
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// scriptRows are about the user's scripts: what is shown of them, how they fail, what after_script finds.
func scriptRows() []row {
	collapsed := script([]string{"echo a\necho b"})
	sections := with(collapsed, "FF_SCRIPT_SECTIONS", "true")
	sections.Features = coordinator.Features{TraceSections: true, FailureReasons: []string{"job_canceled"}}
	return []row{
		{n: 1, name: "succeeds", payload: script([]string{"echo hi"}), want: []string{"Running with millwright 0.0.0 (test), compatible with gitlab-runner", "$ echo hi", "\nhi\n", "Job succeeded"}, check: succeeds},
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
	}
}

// succeeds looks at the first example to the byte.
func succeeds(t *testing.T, b *jobtest.Bench, e jobtest.Ended) {
	t.Helper()
	for _, want := range []string{" 01O \x1b[32;1m$ echo hi\x1b[0;m\n", " 01O hi\n"} {
		if !strings.Contains(e.Raw, want) {
			t.Errorf("the trace lacks %q:\n%s", want, e.Raw)
		}
	}
	sealed(t, b, e)
}

// sealed checks that the coordinator has what the runner sent, to the byte.
func sealed(t *testing.T, _ *jobtest.Bench, e jobtest.Ended) {
	t.Helper()
	last := e.Coordinator.Updates[len(e.Coordinator.Updates)-1]
	if want := fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE([]byte(e.Raw))); last.Checksum != want || last.ByteSize != int64(len(e.Raw)) {
		t.Errorf("reported %s of %d bytes, the coordinator has %s of %d", last.Checksum, last.ByteSize, want, len(e.Raw))
	}
}

func inSection(t *testing.T, _ *jobtest.Bench, e jobtest.Ended) {
	t.Helper()
	for _, want := range []string{"section_script_step_0[hide_duration=true,collapsed=true]", "$ echo a\necho b", "section_end:"} {
		if !strings.Contains(e.Trace, want) {
			t.Errorf("the trace lacks %q:\n%s", want, e.Trace)
		}
	}
	if end := strings.Index(e.Trace, "section_script_step_0\n"); end < 0 || !strings.Contains(e.Trace[end:], "\na\n") {
		t.Errorf("the output does not follow the section's end:\n%s", e.Trace)
	}
}
