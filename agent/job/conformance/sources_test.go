package conformance

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// sourceRows are about git.
func sourceRows() []row {
	return []row{
		{n: 44, name: "fetch again", run: fetchAgain},
		{n: 45, name: "fetch without cleaning", run: fetchUncleaned},
		{n: 46, name: "clone", payload: with(script([]string{"ls", "git --version || true"}), "GIT_STRATEGY", "clone"), want: []string{"Checking out", "README.md", "src"}},
		{n: 47, name: "no sources", payload: with(script([]string{"ls -A"}), "GIT_STRATEGY", "none"), want: []string{"Skipping Git repository setup"}},
		{n: 48, name: "empty", payload: with(script([]string{"pwd; ls -A"}), "GIT_STRATEGY", "empty"), want: []string{"creating an empty build directory", "/builds/group/project-empty\n"}},
		{n: 49, name: "unknown strategy", payload: with(script([]string{"cat README.md"}), "GIT_STRATEGY", "bogus"), want: []string{`GIT_STRATEGY "bogus" is unknown`, "a project"}},
		{n: 50, name: "no checkout", payload: with(script([]string{"ls -A"}), "GIT_STRATEGY", "clone", "GIT_CHECKOUT", "false"), want: []string{"Skipping Git checkout", "$ ls -A\n.git\n"}},
		{n: 53, name: "no token in the checkout", payload: script([]string{"cat .git/config", "grep -r glcbt- .git && exit 1; true"}), want: []string{"\n\turl = http://"}, not: []string{"gitlab-ci-token"}},
		{n: 56, name: "hook fails", payload: hooked(script([]string{"true"}), "exit 4"), not: []string{"Checking out"}, reason: scriptFailure, code: 4},
		{n: 57, name: "unknown submodule strategy", payload: with(script([]string{"true"}), "GIT_SUBMODULE_STRATEGY", "bogus"), want: []string{"system failure", "unknown GIT_SUBMODULE_STRATEGY"}, reason: coordinator.RunnerSystemFailure},
	}
}

func hooked(j coordinator.Job, line string) coordinator.Job {
	j.Hooks = []coordinator.Hook{{Name: "pre_get_sources_script", Script: []string{line}}}
	return j
}

// fetchAgain has a second job find the first one's checkout, cleaned.
func fetchAgain(t *testing.T, b *jobtest.Bench) {
	first := b.Run(t, t.Context(), script([]string{"touch untracked; ls"}), nil)
	jobtest.CheckTrace(t, first, []string{"Created fresh repository.", "untracked"}, nil)
	second := b.Run(t, t.Context(), script([]string{"ls -A"}), nil)
	jobtest.CheckTrace(t, second, []string{"Removing untracked", "$ ls -A\n.git\nREADME.md\nsrc\n", "Job succeeded"}, []string{"Created fresh repository."})
}

func fetchUncleaned(t *testing.T, b *jobtest.Bench) {
	_ = b.Run(t, t.Context(), script([]string{"touch untracked"}), nil)
	kept := b.Run(t, t.Context(), with(script([]string{"ls"}), "GIT_CLEAN_FLAGS", "none"), nil)
	jobtest.CheckTrace(t, kept, []string{"\nuntracked\n", "Job succeeded"}, nil)
}
