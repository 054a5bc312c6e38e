package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/config"
)

const (
	// ownerLabel is on everything that the docker driver makes.
	ownerLabel = "io.millwright.owner"
	// benchLabel is on exec's network, with the owner as its value. The driver removes a network of its own with the last machine on
	// it; exec's must outlive that, since the coordinator listens on its gateway.
	benchLabel = "io.millwright.exec"
)

// bench is exec's place on the local engine: the network of the machines, whose gateway is this host as the machines see it.
type bench struct {
	engine  *client.Client
	network string
	Gateway netip.Addr
}

// openBench finds the local engine and makes the network that exec's machines live on. dockerHost may be empty for the
// environment's choice.
func openBench(ctx context.Context, dockerHost, owner, name string) (*bench, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("exec: machines in containers need Linux: on %s the engine's networks can't be reached from here", runtime.GOOS)
	}
	opts := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if dockerHost != "" {
		opts = append(opts, client.WithHost(dockerHost))
	}
	engine, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("exec: Docker engine: %w", err)
	}
	b := &bench{engine: engine, network: name}
	if err := b.makeNetwork(ctx, owner); err != nil {
		engine.Close()
		return nil, err
	}
	return b, nil
}

func (b *bench) makeNetwork(ctx context.Context, owner string) error {
	if _, err := b.engine.Ping(ctx); err != nil {
		return fmt.Errorf("exec: no Docker engine answers at %s: %w; on Debian and Ubuntu `go tool task engine` installs and starts one, "+
			"elsewhere see docs.docker.com/engine/install", b.engine.DaemonHost(), err)
	}
	found, err := b.engine.NetworkInspect(ctx, b.network, network.InspectOptions{})
	if client.IsErrNotFound(err) {
		_, err = b.engine.NetworkCreate(ctx, b.network, network.CreateOptions{
			Driver: "bridge",
			Labels: map[string]string{benchLabel: owner},
		})
		if err == nil {
			found, err = b.engine.NetworkInspect(ctx, b.network, network.InspectOptions{})
		}
	}
	if err != nil {
		return fmt.Errorf("exec: network %s: %w", b.network, err)
	}
	for _, c := range found.IPAM.Config {
		if gateway, err := netip.ParseAddr(c.Gateway); err == nil {
			b.Gateway = gateway
			return nil
		}
	}
	return fmt.Errorf("exec: network %s has no gateway; remove it with `docker network rm %s`", b.network, b.network)
}

// describe names the engine for people.
func (b *bench) describe(ctx context.Context) string {
	v, err := b.engine.ServerVersion(ctx)
	if err != nil {
		return b.engine.DaemonHost()
	}
	return fmt.Sprintf("Docker %s at %s", v.Version, b.engine.DaemonHost())
}

// defaultMachineImage is the docker driver's docker-image.
const defaultMachineImage = "millwright/machine:bookworm"

// checkImages tells early when the engine lacks the image that the machines are made of.
func (b *bench) checkImages(ctx context.Context, c *config.Config) error {
	for _, r := range c.Runners {
		if r.Machine == nil || r.Machine.MachineDriver != "docker" {
			continue
		}
		image := defaultMachineImage
		for _, o := range r.Machine.MachineOptions {
			if value, ok := strings.CutPrefix(o, "docker-image="); ok {
				image = value
			}
		}
		if _, err := b.engine.ImageInspect(ctx, image); err != nil {
			return fmt.Errorf("exec: the machines' image %s: %w; `go tool task machine-image` builds it, or set docker-image in MachineOptions "+
				"to an image with sshd and an engine that you have pulled", image, err)
		}
	}
	return nil
}

// close removes the network. Machines that are still on it keep it: `machine rm --all` removes both.
func (b *bench) close(ctx context.Context) error {
	defer b.engine.Close()
	if err := b.engine.NetworkRemove(ctx, b.network); err != nil && !client.IsErrNotFound(err) {
		return fmt.Errorf("exec: network %s: %w", b.network, err)
	}
	return nil
}

// sweepBenches removes the networks that runs of exec under this owner left behind, and returns their names. An engine that does
// not answer has none.
func sweepBenches(ctx context.Context, owner string) ([]string, error) {
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	left, err := engine.NetworkList(ctx, network.ListOptions{
		Filters: filters.NewArgs(filters.Arg("label", benchLabel+"="+owner))})
	if client.IsErrConnectionFailed(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var removed []string
	var errs []error
	for _, n := range left {
		if err := engine.NetworkRemove(ctx, n.ID); err != nil {
			errs = append(errs, fmt.Errorf("network %s: %w", n.Name, err))
			continue
		}
		removed = append(removed, n.Name)
	}
	slices.Sort(removed)
	return removed, errors.Join(errs...)
}
