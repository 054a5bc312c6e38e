package conformance

import (
	"context"
	"errors"
	"testing"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// endRows are about secrets and inputs, and an agent that is told to stop.
func endRows() []row {
	return []row{
		{n: 99, name: "inputs", payload: inputs("go test -race=${{ job.inputs.race }}"), want: []string{"$ echo go test -race=true"}},
		{n: 99, name: "unknown input", payload: inputs("${{ job.inputs.other }}"), want: []string{`unknown input "other"`}, not: []string{"Preparing the"}, reason: coordinator.ConfigurationError},
		{n: 100, name: "the agent is told to stop", run: interrupted},
	}
}

func inputs(line string) coordinator.Job {
	j := script([]string{"echo " + line})
	in := coordinator.Input{Key: "race"}
	in.Value.Type, in.Value.Content = "boolean", []byte("true")
	j.Inputs = []coordinator.Input{in}
	return j
}

func interrupted(t *testing.T, b *jobtest.Bench) {
	ctx, stop := context.WithCancelCause(t.Context())
	url := b.Signal(t, func() { stop(errors.New("terminated")) })
	e := b.Run(t, ctx, script([]string{jobtest.Ticking(url)}, "echo after ran"), nil)
	jobtest.CheckTrace(t, e, []string{"tick", "ERROR: Job failed: aborted: terminated"}, []string{"after ran"})
	jobtest.CheckEnd(t, e, coordinator.RunnerInterrupted, 0)
}
