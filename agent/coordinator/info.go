package coordinator

import "runtime"

// Info is what the coordinator is told of the runner.
type Info struct {
	Executor string            // as in config.toml
	Shell    string            // "" means bash
	GPUs     string            // of the docker section
	Labels   map[string]string // global and of the runner
	Revision string            // short commit of the agent; may be ""
	Agent    string            // the agent's own name and version, shown in the User-Agent; "" means millwright
}

// wireInfo is the info object of the API. Every request that carries it carries all of it: GitLab takes a runner's features from the
// first request that it sees and looks again only after the best part of an hour.
type wireInfo struct {
	Name         string            `json:"name"`
	Version      string            `json:"version"`
	Revision     string            `json:"revision,omitempty"`
	Platform     string            `json:"platform"`
	Architecture string            `json:"architecture"`
	Executor     string            `json:"executor,omitempty"`
	Shell        string            `json:"shell,omitempty"`
	Features     map[string]bool   `json:"features"`
	Config       wireConfig        `json:"config"`
	Labels       map[string]string `json:"labels,omitempty"`
}

type wireConfig struct {
	Gpus string `json:"gpus"`
}

func (i Info) wire() wireInfo {
	shell := i.Shell
	if shell == "" {
		shell = "bash"
	}
	return wireInfo{
		Name:         CompatName,
		Version:      CompatVersion,
		Revision:     i.Revision,
		Platform:     runtime.GOOS,
		Architecture: runtime.GOARCH,
		Executor:     i.Executor,
		Shell:        shell,
		Features:     features(i.Executor),
		Config:       wireConfig{Gpus: i.GPUs},
		Labels:       i.Labels,
	}
}

// features are the 31 abilities that a coordinator asks about, all present. One that is missing where a job needs it makes GitLab drop
// the job. Source: GitLab's runner API, the info object.
func features(executor string) map[string]bool {
	docker, shared, steps := false, false, false
	switch executor {
	case "docker", "docker-windows", "docker+machine", "docker-autoscaler":
		docker, steps = true, true
	case "instance":
		shared, steps = true, true
	case "ssh", "shell", "custom":
		shared = true
	}
	return map[string]bool{
		"trace_reset":           true,
		"trace_checksum":        true,
		"trace_size":            true,
		"cancelable":            true,
		"cancel_gracefully":     true,
		"two_phase_job_commit":  true,
		"job_inputs":            true,
		"variables":             true,
		"raw_variables":         true,
		"masking":               true,
		"refspecs":              true,
		"multi_build_steps":     true,
		"return_exit_code":      true,
		"vault_secrets":         true,
		"cache":                 true,
		"fallback_cache_keys":   true,
		"artifacts":             true,
		"artifacts_exclude":     true,
		"upload_raw_artifacts":  true,
		"image":                 docker,
		"services":              docker,
		"service_variables":     docker,
		"image_executor_opts":   docker,
		"service_executor_opts": docker,
		"session":               docker,
		"terminal":              docker,
		"shared":                shared,
		"proxy":                 false,

		"upload_multiple_artifacts": true,
		"service_multiple_aliases":  docker,
		"native_steps_integration":  steps,
	}
}
