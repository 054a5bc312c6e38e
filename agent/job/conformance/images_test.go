package conformance

import (
	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// imageRows are about the job's image: which one, where it comes from, and what it needs.
func imageRows() []row {
	return []row{
		{n: 58, name: "busybox", payload: script([]string{"cat README.md"}), want: []string{"\na project\n"}},
		{n: 62, name: "image not allowed", payload: script([]string{"true"}), runner: func(r *config.Runner) { r.Docker.Image = ""; r.Docker.AllowedImages = []string{"ruby:*"} }, reason: coordinator.ConfigurationError},
		{n: 70, name: "unsupported option", payload: options(`{"docker":{"bogus":1}}`), want: []string{"unsupported executor_opts", "bogus"}, not: []string{"Preparing the"}, reason: coordinator.RunnerSystemFailure, code: 3},
	}
}

func options(raw string) coordinator.Job {
	j := script([]string{"true"})
	j.Image = &coordinator.Image{Name: "x", ExecutorOpts: []byte(raw)}
	return j
}
