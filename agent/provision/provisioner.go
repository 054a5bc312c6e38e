package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// The phases of Provision, as they are reported.
const (
	PhaseSSH    = "ssh"
	PhaseGPU    = "gpu" // of machines that have one
	PhaseEngine = "engine"
	PhaseImage  = "image"
)

// Options are what New needs; all but StoreDir may be left out.
type Options struct {
	StoreDir string
	Logger   *slog.Logger

	// HelperImage returns the file that holds the helper image for an architecture in Go's words (amd64, arm64), as `docker save`
	// writes it. An empty path means that no image is to be loaded.
	HelperImage func(arch string) (path string, err error)

	// Debug gets the full log of provisioning: every script, every file that is sent (never a private key's content) and all
	// remote output. Writes come one at a time.
	Debug io.Writer

	SSHUser string // the login that new machines get; default root

	// Login returns how a machine is logged in to that was not made with the keys of Bootstrap; ok is false for all others. nil: there are
	// none.
	Login func(m fleet.Machine) (l Login, ok bool)

	// How long a phase may take.
	SSHTimeout     time.Duration // until the login works; default 5m
	GPUTimeout     time.Duration // until the GPUs of a machine that has some answer; default 15m
	InstallTimeout time.Duration // installation of the engine, where there is none; default 10m
	EngineTimeout  time.Duration // until the configured engine answers; default 3m
	ImageTimeout   time.Duration // loading of the helper image; default 5m
	// FirstBootTimeout is how long a machine that does all at its first boot is waited for before the agent logs in; default 5m.
	FirstBootTimeout time.Duration

	// HostKeyGrace is how long another host key is retried, since some clouds put the given one in place only while the machine
	// boots already; default 1m. No other key is ever accepted.
	HostKeyGrace time.Duration
}

// Provisioner makes machines ready. It is safe for concurrent use; machines are independent of each other.
type Provisioner struct {
	opts  Options
	log   *slog.Logger
	store store
	debug *debugLog
	now   func() time.Time

	caMu sync.Mutex // guards auth, and is held while the CA is made
	auth authority

	engines engines
	pulls   pulls
}

// New returns a provisioner over the store in o.StoreDir, which is made when it is first needed.
func New(o Options) (*Provisioner, error) {
	if o.StoreDir == "" {
		return nil, errors.New("provision: no store directory given")
	}
	dir, err := filepath.Abs(o.StoreDir)
	if err != nil {
		return nil, fmt.Errorf("provision: store directory: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SSHUser == "" {
		o.SSHUser = "root"
	}
	for _, d := range []struct {
		v     *time.Duration
		value time.Duration
	}{
		{&o.SSHTimeout, 5 * time.Minute},
		{&o.GPUTimeout, 15 * time.Minute},
		{&o.InstallTimeout, 10 * time.Minute},
		{&o.EngineTimeout, 3 * time.Minute},
		{&o.ImageTimeout, 5 * time.Minute},
		{&o.FirstBootTimeout, 5 * time.Minute},
		{&o.HostKeyGrace, time.Minute},
	} {
		if *d.v <= 0 {
			*d.v = d.value
		}
	}
	return &Provisioner{opts: o, log: o.Logger, store: store{dir}, debug: newDebugLog(o.Debug), now: time.Now}, nil
}

// Provision makes the running instance of m ready and returns where its engine answers. It blocks, for seconds where the engine is
// there and for minutes where it must be installed; ctx ends it at any point. phase, when not nil, is told each phase as it begins.
// Called again for a machine that is ready, it changes nothing and restarts nothing.
//
// The machine's keys must be in the store (Bootstrap). An error names the machine and the phase and carries the end of the remote
// output; errors.Is(err, ErrHostKey) means that the machine at that address is not ours.
func (p *Provisioner) Provision(ctx context.Context, m fleet.Machine, phase func(string)) (fleet.Endpoint, error) {
	return p.provision(ctx, m, phase, Wishes{})
}

func (p *Provisioner) provision(ctx context.Context, m fleet.Machine, phase func(string), w Wishes) (fleet.Endpoint, error) {
	images, archives := w.preload()
	r := &run{p: p, m: m, phase: phase, engineLimit: cmp.Or(w.EngineTime, p.opts.EngineTimeout), gpuLimit: cmp.Or(w.GPUTime, p.opts.GPUTimeout),
		archives: archives, log: p.log.With("machine", m.Name), debug: p.debug.machine(m.Name)}
	if err := r.all(ctx); err != nil {
		r.debug.printf("%s: %v", r.name, err)
		return fleet.Endpoint{}, fmt.Errorf("machine %s: %s: %w", m.Name, r.name, err)
	}
	r.log.Info("machine provisioned", r.took...)
	p.pull(m, images)
	return p.Endpoint(m), nil
}

// Endpoint returns where m's engine answers, from what is known of it; it asks nobody.
func (p *Provisioner) Endpoint(m fleet.Machine) fleet.Endpoint {
	port := m.Instance.EnginePort
	if port == 0 {
		port = 2376
	}
	return fleet.Endpoint{
		Host:     "tcp://" + net.JoinHostPort(m.Instance.Address, strconv.Itoa(port)),
		CertPath: p.store.machine(m.Name),
	}
}

// run is one machine on its way through the phases.
type run struct {
	p     *Provisioner
	m     fleet.Machine
	opts  engineOptions
	phase func(string)
	log   *slog.Logger
	debug *debugLog

	engineLimit time.Duration // until the configured engine answers
	gpuLimit    time.Duration // until GPUs answer; 0 or less: nobody waits for them
	archives    []string      // files with images to be loaded, beside the helper's
	access      Login         // of a machine that was not made with our keys
	foreign     bool          // whether it is one

	name string // of the present phase
	took []any  // log attributes: how long each phase took
	conn *conn
}

func (r *run) all(ctx context.Context) error {
	r.name = "prepare"
	var err error
	if r.opts, err = parseEngineOptions(r.m.Driver, r.m.Options); err != nil {
		return err
	}
	if r.m.Instance.Address == "" {
		return errors.New("its instance has no address yet; provision it when its driver reports one")
	}
	if r.debug != nil {
		r.debug.hide = r.opts.secrets()
	}
	defer func() {
		if r.conn != nil {
			r.conn.Close()
		}
	}()
	r.access, r.foreign = r.p.loginOf(r.m)
	if done, err := r.bootsItself(ctx); done || err != nil {
		return err
	}
	for _, s := range r.steps() {
		if err := r.step(ctx, s.name, s.do); err != nil {
			return err
		}
	}
	return nil
}

// step is a phase and what is done in it.
type step struct {
	name string
	do   func(context.Context) error
}

// steps are the phases that the machine passes.
func (r *run) steps() []step {
	steps := []step{{PhaseSSH, r.login}}
	switch {
	case r.access.Engine != "":
		return []step{{PhaseEngine, r.adopted}, {PhaseImage, r.image}}
	case r.hasGPUs():
		steps = append(steps, step{PhaseGPU, r.gpus}) // before the engine is started, which finds them then
	}
	return append(steps, step{PhaseEngine, r.engine}, step{PhaseImage, r.image})
}

// step runs one phase and notes its time.
func (r *run) step(ctx context.Context, name string, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.name = name
	if r.phase != nil {
		r.phase(name)
	}
	start := time.Now()
	err := do(ctx)
	took := time.Since(start).Round(time.Millisecond)
	r.took = append(r.took, name, took)
	r.debug.printf("phase %s took %s", name, took)
	return err
}

// backoff returns growing pauses: first, then half as much again each time, up to limit.
func backoff(first, limit time.Duration) func() time.Duration {
	next := first
	return func() time.Duration {
		d := next
		next = min(next+next/2, limit)
		return d
	}
}
