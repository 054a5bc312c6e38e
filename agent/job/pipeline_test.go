package job_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/millwright-ci/millwright/agent/ciyaml"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// A pipeline goes on after a failure that allow_failure:exit_codes names, and after no other: the coordinator has each script's exit code.
func TestAllowedExitCodes(t *testing.T) {
	b := jobtest.New(t)
	line, err := ciyaml.Parse(".gitlab-ci.yml", fmt.Appendf(nil, `
stages: [first, second, third]
default: {image: %q}
variables: {GIT_STRATEGY: none}
allowed: {stage: first, script: [exit 42], allow_failure: {exit_codes: [3, 42]}}
single: {stage: first, script: ["true", sh -c 'exit 137'], allow_failure: {exit_codes: 137}}
goes on: {stage: second, script: [echo went on]}
other code: {stage: second, script: [exit 41], allow_failure: {exit_codes: [3, 42]}}
never: {stage: third, script: [echo ran]}
`, b.Image))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Server.StartPipeline(line); err != nil {
		t.Fatal(err)
	}
	client, err := coordinator.New(coordinator.Options{URL: b.Runner.URL, Token: b.Runner.Token, SystemID: "s_test",
		Info: coordinator.Info{Executor: "docker"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for {
		j, err := client.RequestJob(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if j == nil {
			break
		}
		runner := b.Runner
		if res := job.Run(t.Context(), b.Params(t, j, client, &runner)); res.Unsent != nil {
			t.Errorf("%s: %v", j.Info.Name, res.Unsent)
		}
	}
	sum := b.Server.Summary()
	var got []string
	for _, j := range sum.Jobs {
		got = append(got, fmt.Sprintf("%s: %s %d %t", j.Name, j.State, j.ExitCode, j.AllowFailure))
	}
	want := []string{"allowed: failed 42 true", "single: failed 137 true", "goes on: success 0 false", "other code: failed 41 false", "never: skipped 0 false"}
	if !slices.Equal(got, want) || sum.State != embedded.Failed {
		t.Errorf("the pipeline %s: %q, want %q", sum.State, got, want)
	}
}
