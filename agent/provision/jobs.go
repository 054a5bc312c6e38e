package provision

import (
	"context"
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// jobLabel holds the number of a container's job, in GitLab Runner's words.
const jobLabel = "com.gitlab.gitlab-runner.job.id"

// Jobs asks an engine, of whoever's machine, which jobs have containers that run on it now; a job whose number no label tells is "unknown". It
// waits 10 seconds at most.
// Source: GitLab Runner documentation, "Docker executor", the labels of containers.
func Jobs(ctx context.Context, at fleet.Endpoint) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	engine, err := newClient(at)
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	running, err := engine.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", managedLabel))})
	if err != nil {
		return nil, fmt.Errorf("engine at %s: %w", at.Host, err)
	}
	var jobs []string
	for _, c := range running {
		job := c.Labels[jobLabel]
		if job == "" {
			job = "unknown"
		}
		jobs = append(jobs, job)
	}
	slices.Sort(jobs)
	return slices.Compact(jobs), nil
}
