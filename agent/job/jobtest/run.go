package jobtest

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/job"
)

// Ended is a job at its end, as the runner and as the coordinator see it.
type Ended struct {
	job.Result
	Coordinator embedded.JobResult
	Raw         string // the trace as it came
	Trace       string // without time stamps and colours
}

// Params are for a job that has just been handed out.
func (b *Bench) Params(t *testing.T, j *coordinator.Job, client *coordinator.Client, runner *config.Runner) job.Params {
	return job.Params{
		Job: j, Runner: runner, Client: client, Engines: job.Local{}, Version: job.Version{Version: "0.0.0", Revision: "test"},
		SystemID: "s_test", Host: "bench", TraceDir: t.TempDir(),
		HelperArchive: func(string) string { return b.archive },
	}
}

// Run hands a job out over the API and runs it to its end. change, if not nil, changes what it runs with.
func (b *Bench) Run(t *testing.T, ctx context.Context, payload coordinator.Job, change func(*job.Params, *config.Runner)) Ended {
	t.Helper()
	id := b.Server.Enqueue(payload)
	client, err := coordinator.New(coordinator.Options{
		URL: b.Runner.URL, Token: b.Runner.Token, SystemID: "s_test", Info: coordinator.Info{Executor: "docker"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	j, err := client.RequestJob(t.Context())
	if err != nil || j == nil || j.ID != id {
		t.Fatalf("request a job: got %v, %v", j, err)
	}
	runner := b.Runner
	params := b.Params(t, j, client, &runner)
	if change != nil {
		change(&params, &runner)
	}
	out := Ended{Result: job.Run(ctx, params)}
	out.Coordinator, _ = b.Server.Job(id)
	raw, err := b.Server.Trace(id)
	if err != nil {
		t.Fatal(err)
	}
	out.Raw = string(raw)
	out.Trace = Plain(out.Raw)
	return out
}

var (
	stamp  = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT[\d:.]+Z [0-9a-f]{2}[OE]`)
	colour = regexp.MustCompile("\x1b\\[[0-9;]*[mK]|\r")
)

// Plain joins the parts of a trace's lines and strips stamps and colours.
func Plain(trace string) string {
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
