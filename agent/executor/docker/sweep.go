package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/config"
)

// Sweep says whose leavings on an engine are to go.
type Sweep struct {
	Config *config.Docker // names the engine
	Agent  string         // Name.Agent of those who made them; never ""
	// Known tells whether somebody still cares for a job. It is asked after the engine's list was made, so that a job that begins meanwhile
	// is either not in the list or known.
	Known func(jobID int64) bool
	// Seen are the executors that were found without a known job before; what others made stays for this time.
	Seen map[string]bool
	Log  *slog.Logger
}

// leaving is something on an engine that an executor made.
type leaving struct {
	kind, name string
	made       string // value of ownLabel: a job's id and the executor's stem
	remove     func(context.Context) error
}

// Run removes what executors have left behind whose job nobody knows, now and when the engine was looked at before, and returns the executors
// without a known job that it found, as the next Seen. Caches stay.
func (s Sweep) Run(ctx context.Context) (seen map[string]bool, err error) {
	api, err := dial(Options{Config: s.Config})
	if err != nil {
		return nil, err
	}
	defer api.Close()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := s.list(ctx, api)
	if err != nil {
		return nil, engineErr(fmt.Errorf("what lost jobs left on the engine: %w", err))
	}
	seen = map[string]bool{}
	var errs []error
	for _, l := range list { // containers first: they hold the rest
		id, err := strconv.ParseInt(strings.SplitN(l.made, "-", 2)[0], 10, 64)
		if err != nil || s.Known(id) {
			continue
		}
		seen[l.made] = true
		if !s.Seen[l.made] {
			continue
		}
		if err := l.remove(ctx); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // conflict: it goes already
			errs = append(errs, fmt.Errorf("%s %s: %w", l.kind, l.name, err))
			continue
		}
		s.Log.Warn("Removed what a job has left that this agent knows nothing of", "job", id, l.kind, l.name)
	}
	return seen, errors.Join(errs...)
}

func (s Sweep) list(ctx context.Context, api *client.Client) ([]leaving, error) {
	mine := filters.NewArgs(filters.Arg("label", agentLabel+"="+s.Agent), filters.Arg("label", ownLabel))
	containers, err := api.ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
	if err != nil {
		return nil, err
	}
	var out []leaving
	for _, c := range containers {
		out = append(out, leaving{"container", strings.Join(c.Names, ","), c.Labels[ownLabel], func(ctx context.Context) error {
			return api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		}})
	}
	networks, err := api.NetworkList(ctx, network.ListOptions{Filters: mine})
	if err != nil {
		return nil, err
	}
	for _, n := range networks {
		out = append(out, leaving{"network", n.Name, n.Labels[ownLabel], func(ctx context.Context) error { return api.NetworkRemove(ctx, n.ID) }})
	}
	temporary := mine.Clone()
	temporary.Add("label", temporaryLabel)
	volumes, err := api.VolumeList(ctx, volume.ListOptions{Filters: temporary})
	if err != nil {
		return nil, err
	}
	for _, v := range volumes.Volumes {
		out = append(out, leaving{"volume", v.Name, v.Labels[ownLabel], func(ctx context.Context) error { return api.VolumeRemove(ctx, v.Name, true) }})
	}
	return out, nil
}
