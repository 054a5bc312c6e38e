package job_test

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// The operator's scripts and the job's hooks run where GitLab Runner runs them: the sources' around the fetch, the operator's outside, and
// the build's around each step, after_script left out. A line that fails ends the stage, so what stands behind it is not reached.
func TestScriptsOfTheConfiguration(t *testing.T) {
	site := jobtest.NewSite(t)
	hooked := jobtest.Script([]string{"export A=1; echo the script"}, "echo after [$A]")
	hooked.Steps = append(hooked.Steps[:1:1], coordinator.Step{Name: "release", Script: []string{"echo releasing"}}, hooked.Steps[1])
	hooked.Hooks = []coordinator.Hook{
		{Name: "pre_get_sources_script", Script: []string{"echo the job, before; ls README.md || echo no sources"}},
		{Name: "post_get_sources_script", Script: []string{"echo the job, behind; ls README.md"}},
	}
	around := func(r *config.Runner) {
		r.PreGetSourcesScript, r.PostGetSourcesScript = "echo the operator, before", "echo the operator, behind"
		r.PreBuildScript, r.PostBuildScript = "echo set up\nexport B=2", "echo torn down [$A] [$B]"
	}
	for _, tt := range []struct {
		name      string
		payload   coordinator.Job
		runner    func(*config.Runner)
		want, not []string
		code      int
	}{
		{"all", hooked, around, []string{
			"\nthe operator, before\n", "\nthe job, before\n", "\nno sources\n", "Checking out", "\nthe job, behind\n", "\nREADME.md\n", "\nthe operator, behind\n",
			`Executing "step_script" stage`, "\nset up\n", "\nthe script\n", "\ntorn down [1] [2]\n",
			`Executing "step_release" stage`, "\nset up\n", "\nreleasing\n", "\ntorn down [] [2]\n",
			"Running after_script", "\nafter []\n", "Job succeeded",
		}, nil, 0},
		{"pre_build_script fails", jobtest.Script([]string{"echo the script"}, "echo after $CI_JOB_STATUS"), func(r *config.Runner) { r.PreBuildScript = "exit 5" },
			[]string{"$ exit 5\n", "\nafter failed\n", "ERROR: Job failed: exit code 5"}, []string{"the script"}, 5},
		{"the script fails", jobtest.Script([]string{"exit 6"}), around, []string{"\nset up\n", "ERROR: Job failed: exit code 6"}, []string{"torn down"}, 6},
		{"post_build_script fails", jobtest.Script([]string{"echo the script"}), func(r *config.Runner) { r.PostBuildScript = "exit 7" },
			[]string{"\nthe script\n", "ERROR: Job failed: exit code 7"}, nil, 7},
		{"the operator's hook fails", hooked, func(r *config.Runner) { r.PostGetSourcesScript = "exit 8" }, []string{"\nthe job, behind\n", "ERROR: Job failed: exit code 8"}, []string{"the script", "after ["}, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reason := coordinator.FailureReason("")
			if tt.code != 0 {
				reason = coordinator.ScriptFailure
			}
			e := site.Bench(t).Run(t, t.Context(), tt.payload, func(_ *job.Params, r *config.Runner) { tt.runner(r) })
			jobtest.CheckTrace(t, e, tt.want, tt.not)
			jobtest.CheckEnd(t, e, reason, tt.code)
		})
	}
}
