package jobtest

import "github.com/millwright-ci/millwright/agent/coordinator"

// Script is a payload with one script and, when there is one, an after_script.
func Script(lines []string, after ...string) coordinator.Job {
	j := coordinator.Job{
		Info:          coordinator.JobInfo{Name: "vector", Stage: "test", ProjectID: 3, PipelineID: 5},
		AllowGitFetch: true,
		Steps:         []coordinator.Step{{Name: "script", Script: lines}},
	}
	if len(after) > 0 {
		j.Steps = append(j.Steps, coordinator.Step{Name: "after_script", Script: after, When: "always", AllowFailure: true})
	}
	return j
}

// With adds variables, NAME and value in turn.
func With(j coordinator.Job, pairs ...string) coordinator.Job {
	for i := 0; i < len(pairs); i += 2 {
		j.Variables = append(j.Variables, coordinator.Variable{Key: pairs[i], Value: pairs[i+1], Public: true})
	}
	return j
}

// Archived adds artifacts; those without a type are archives.
func Archived(j coordinator.Job, artifacts ...coordinator.Artifact) coordinator.Job {
	for _, a := range artifacts {
		if a.Type == "" {
			a.Type, a.Format = "archive", "zip"
		}
		j.Artifacts = append(j.Artifacts, a)
	}
	return j
}

// Ticking is a line that calls an address (see Signal) and then prints for a long time, so that an answer to its trace reaches the job
// soon.
func Ticking(url string) string {
	return "wget -q -O /dev/null " + url + " & while :; do echo tick; sleep 0.2; done"
}
