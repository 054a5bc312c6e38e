package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/ciyaml"
	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/internal/nxdns"
	"github.com/millwright-ci/millwright/agent/internal/registry"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// execution is one run of exec: the parts that it starts, in order, each with what ends it.
type execution struct {
	app       *app
	o         execOptions
	root      string
	pipeline  *ciyaml.Pipeline
	variables []coordinator.Variable
	config    *config.Config
	out       *terminal

	machines *fleetReport
	jobs     *jobReport
	server   *embedded.Server
	closers  []func() error
}

// progressEvery is the longest silence on the terminal.
const progressEvery = 10 * time.Second

func (e *execution) run(ctx context.Context) (err error) {
	e.machines = newFleetReport(e.out)
	e.jobs = newJobReport(e.out, e.machines.of)
	defer func() {
		for _, c := range slices.Backward(e.closers) {
			err = errors.Join(err, c())
		}
	}()
	quiet := make(chan struct{})
	defer close(quiet)
	go progress(e.out, progressEvery, func() string { return e.jobs.now() + "; " + e.machines.now() }, quiet)
	if err := e.prepare(ctx); err != nil {
		return err
	}
	if err := e.server.StartPipeline(e.pipeline, e.o.jobs...); err != nil {
		return err
	}
	e.out.line(plain, "pipeline", "%s", describePipeline(e.server.Summary()))
	if existing(filepath.Join(e.o.stateDir, supervisor.ModuleCache)) == "" {
		e.out.line(plain, "modules", "compiling the policies and drivers for this host; only a first run takes this time")
	}
	agent, err := supervisor.New(supervisor.Options{
		StateDir: e.o.stateDir, Load: func() (*config.Config, error) { return e.config, nil },
		Version: jobVersion(), Log: e.app.quietLogger(), Events: e.machines.event, HelperArchive: helperArchive, OnHost: onHost(""),
		Debug: e.app.machineDebug(), OrphanGrace: new(time.Duration), RemoveMachines: true,
	})
	if err != nil {
		return err
	}
	return e.drive(ctx, agent)
}

// drive runs the agent until the pipeline's end or ctx's, and then brings it down with all machines.
func (e *execution) drive(ctx context.Context, agent *supervisor.Supervisor) error {
	running, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(running) }()
	select {
	case err := <-ended:
		return errors.Join(errors.New("exec: the agent ended before the pipeline"), err)
	case <-e.jobs.over:
		if e.o.keep {
			e.linger(ctx)
		}
		e.machines.end()
		agent.Drain()
	case <-ctx.Done():
		e.out.line(yellow, "stop", "%v: stopping the jobs; once more ends this at once and leaves the machines to `millwright machine rm --all`",
			context.Cause(ctx))
		e.machines.end()
		stop(context.Cause(ctx))
	}
	err := <-ended
	return errors.Join(e.summary(), err)
}

// linger keeps everything up for a look around, until ctx ends.
func (e *execution) linger(ctx context.Context) {
	e.out.line(blue, "keep", "all is left up; Ctrl-C removes it. In another terminal:")
	for _, hint := range []string{
		"millwright machine ls --state-dir " + e.o.stateDir,
		"docker ps --filter label=" + ownerLabel,
		"less -R " + filepath.Join(e.server.Dir(), "jobs") + "/*.log",
	} {
		e.out.raw("            %s\n", hint)
	}
	<-ctx.Done()
}

// prepare starts the surroundings: network, registry, name server, coordinator; and points the configuration at them.
func (e *execution) prepare(ctx context.Context) error {
	j, err := journal.Open(e.o.stateDir)
	if err != nil {
		return err
	}
	owner := j.Owner()
	if err := j.Close(); err != nil {
		return err
	}
	b, err := openBench(ctx, "", owner, "millwright-"+owner[:8])
	if err != nil {
		return err
	}
	e.closers = append(e.closers, func() error { return b.close(context.WithoutCancel(ctx)) })
	e.out.line(plain, "engine", "%s; the machines' network is %s", b.describe(ctx), b.network)
	extra := []string{"docker-network=" + b.network}
	more, err := e.serveImages(b)
	if err != nil {
		return err
	}
	extra = append(extra, more...)
	if e.o.offline {
		extra = append(extra, e.serveNames(b)...)
	}
	if err := e.serveProject(b.Gateway); err != nil {
		return err
	}
	e.point(extra)
	return b.checkImages(ctx, e.config)
}

// serveImages starts the registry when there are images to serve.
func (e *execution) serveImages(b *bench) ([]string, error) {
	if e.o.images == "" {
		return nil, nil
	}
	r, err := registry.Start(net.JoinHostPort(b.Gateway.String(), "0"), e.o.images)
	if err != nil {
		return nil, fmt.Errorf("exec: --images: %w", err)
	}
	e.closers = append(e.closers, r.Close)
	e.out.line(plain, "images", "the machines pull through %s: %s", r.URL, strings.Join(r.Images, ", "))
	return []string{"engine-registry-mirror=" + r.URL}, nil
}

// serveNames starts the name server that knows no name. Without root there is none: pulls wait for a resolver, and work.
func (e *execution) serveNames(b *bench) []string {
	ns, err := nxdns.Start(net.JoinHostPort(b.Gateway.String(), "53"))
	if err != nil {
		e.out.line(yellow, "names", "--offline has no effect: %v; port 53 needs root", err)
		return nil
	}
	e.closers = append(e.closers, ns.Close)
	return []string{"docker-dns=" + b.Gateway.String()}
}

// serveProject starts the coordinator at an address that jobs in containers on the machines can reach.
func (e *execution) serveProject(gateway netip.Addr) error {
	dir, err := runDir(e.o.stateDir, time.Now())
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	e.server, err = embedded.New(embedded.Options{
		Addr: net.JoinHostPort(gateway.String(), "0"), Dir: dir, Root: e.root, Variables: e.variables,
		OnEvent: e.jobs.event, Log: e.app.quietLogger(), TraceInterval: time.Second,
	})
	if err != nil {
		return err
	}
	e.closers = append(e.closers, e.server.Close)
	e.out.line(plain, "project", "%s is served at %s", e.root, e.server.URL())
	return nil
}

// point sets what only now is known in the configuration: the coordinator, and the addresses of the machines' network. Options of the
// same names in the file give way.
func (e *execution) point(extra []string) {
	for i := range e.config.Runners {
		r := &e.config.Runners[i]
		r.URL, r.Token = e.server.URL(), e.server.RunnerToken()
		if i > 0 {
			r.Token = e.server.AddRunner(r.Name)
		}
		if r.Machine == nil {
			continue
		}
		options := slices.DeleteFunc(slices.Clone(r.Machine.MachineOptions), func(o string) bool {
			return slices.ContainsFunc(extra, func(x string) bool { return optionName(o) == optionName(x) })
		})
		r.Machine.MachineOptions = append(options, extra...)
	}
}

func optionName(option string) string {
	name, _, _ := strings.Cut(option, "=")
	return name
}
