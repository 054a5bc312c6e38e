package conformance

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// traceRows are about masking, and the trace's form.
func traceRows() []row {
	hide := func(lines ...string) coordinator.Job {
		j := script(lines)
		j.Variables = coordinator.Variables{{Key: "S3CR", Value: "abcd1234", Masked: true}}
		return j
	}
	bare := script([]string{"echo hi"})
	bare.Features.FailureReasons = []string{"runner_interrupted"} // so that the coordinator does not fill in its own features
	const pause = `sleep 1.5`                                     // longer than an unfinished line waits
	return []row{
		{n: 21, name: "masked", payload: hide("echo abcd1234"), want: []string{"$ echo [MASKED]\n[MASKED]\n"}, not: []string{"abcd1234"}},
		{n: 22, name: "masked across writes", payload: hide("printf 'ab'; " + pause + "; echo 'cd1234'"), want: []string{"\n[MASKED]\n"}, not: []string{"abcd1234", "\nab\n"}},
		{n: 23, name: "not masked across streams", payload: hide("printf abcd; " + pause + "; echo 1234 >&2"), check: raw(`Z 01O abcd\n`, `Z 01E 1234\n`)},
		{n: 24, name: "a token by its prefix", payload: script([]string{"echo glpat-abc.def"}), want: []string{"$ echo glpat-[MASKED]\nglpat-[MASKED]\n"}, not: []string{"abc.def"}},
		{n: 25, name: "a parameter of a URL", payload: script([]string{"echo 'https://x/?private_token=q&b=1'"}), want: []string{"\nhttps://x/?private_token=[MASKED]&b=1\n"}, not: []string{"token=q"}},
		{n: 26, name: "output limit", payload: script([]string{"i=0; while [ $i -lt 100 ]; do echo 12345678901234567890123456789012345678901234567890; i=$((i+1)); done"}),
			runner: func(r *config.Runner) { r.OutputLimit = 1 }, check: cutAt(1024)},
		{n: 27, name: "no UTF-8", payload: script([]string{`printf '\377\n'`}), want: []string{"\n\uFFFD\n"}, check: sealed},
		{n: 28, name: "carriage returns", run: progress},
		{n: 29, name: "no sections", payload: bare, want: []string{`Preparing the "docker" executor`, "Getting source from Git repository", `Executing "step_script" stage of the job script`}, not: []string{"section_start", "section_end"}},
		{n: 30, name: "no time stamps", payload: with(script([]string{"echo hi"}), "FF_TIMESTAMPS", "false"),
			check: raw(`(?m)^section_start:\d+:prepare_executor\r\x1b\[0K\x1b\[0K\x1b\[36;1mPreparing the "docker" executor\x1b\[0;m\x1b\[0;m$`, `(?m)^hi$`), not: []string{"Z 01O", "Z 00O"}},
	}
}

// progress prints a line in two parts, the second one when the first has come.
func progress(t *testing.T, b *jobtest.Bench) {
	const first = "Z 01O 10%\r20%\r\n"
	url := b.Signal(t, func() { awaitTrace(b, first) })
	e := b.Run(t, t.Context(), script([]string{`printf '10%%\r20%%\r'; wget -q -O /dev/null ` + url + `; echo 30`}), nil)
	jobtest.CheckEnd(t, e, "", 0)
	raw(regexp.QuoteMeta(first)+`\S+Z 01O\+30\n`)(t, b, e)
}

// awaitTrace returns when the coordinator holds words of the last job's trace, which comes to it in pieces.
// After a minute it gives up, and what the row wants of the trace fails.
func awaitTrace(b *jobtest.Bench, words string) {
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if trace, err := b.Server.Trace(b.Last()); err != nil || strings.Contains(string(trace), words) {
			return
		}
	}
}

// raw wants the trace as it was sent to match expressions.
func raw(expressions ...string) func(*testing.T, *jobtest.Bench, jobtest.Ended) {
	return func(t *testing.T, _ *jobtest.Bench, e jobtest.Ended) {
		t.Helper()
		for _, x := range expressions {
			if !regexp.MustCompile(x).MatchString(e.Raw) {
				t.Errorf("nothing matches %s in\n%q", x, e.Raw)
			}
		}
	}
}

// cutAt wants a trace of so many bytes with the notice behind it.
func cutAt(limit int) func(*testing.T, *jobtest.Bench, jobtest.Ended) {
	return func(t *testing.T, b *jobtest.Bench, e jobtest.Ended) {
		t.Helper()
		const notice = "\n\x1b[33;1mJob's log exceeded limit of 1024 bytes.\nJob execution will continue but no more output will be collected.\x1b[0;m\n"
		if len(e.Raw) != limit+len(notice) || !strings.HasSuffix(e.Raw, notice) {
			t.Errorf("the trace has %d bytes, want %d and the notice:\n%s", len(e.Raw), limit, e.Raw)
		}
		sealed(t, b, e)
	}
}
