// Package supervisor is the agent as a whole: it holds the state directory, runs one worker for each [[runners]] entry, reloads the
// configuration while jobs run, drains, and stops. What a worker does lies in feed, pool and job.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/feed"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/incumbent"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/remotecache"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/metrics"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

// ModuleCache is the folder of the state directory that holds the modules' native code.
const ModuleCache = "module-cache"

// Options are what New needs. StateDir and Load are required.
type Options struct {
	StateDir string
	// Load reads the configuration; it is called at the start and at each reload. Its error leaves the configuration before.
	Load func() (*config.Config, error)
	// Applied, if set, is called each time a configuration was put into force, one call at a time.
	Applied func(*config.Config)
	// ConfigPath is watched for changes and names the folder of .runner_system_id and certs; "" watches nothing.
	ConfigPath string
	Version    job.Version
	Log        *slog.Logger
	Jobs       func(n int)       // +1 when a job begins, -1 when it has ended; it returns soon, and may be called at once for several; nil: nobody is told
	Events     func(fleet.Event) // what becomes of machines; nil: nobody is told
	// HelperArchive returns the path of the helper image's archive for an architecture in Go's words; "" when there is none.
	HelperArchive func(arch string) string
	// OnHost is for jobs that run on a host instead of in containers. Without a User it is that of the configuration.
	OnHost job.OnHost
	// FindPlugin returns the path of a fleeting plug-in's binary, by plugin of [runners.autoscaler]; nil looks along PATH and where `fleeting install` puts them.
	FindPlugin func(plugin string) (string, error)
	Debug      io.Writer // the full log of provisioning; nil for none
	// OrphanGrace is how long an instance that no journal entry explains is left alone; nil means the pool's 30 minutes.
	OrphanGrace *time.Duration
	// Operator reads millwright.toml, at the start and whenever it changes: the folders of modules and what is granted to these. Its
	// value is never nil; an error means that nothing of it is granted. nil: no folders are watched.
	Operator func() (*config.Operator, error)
	// Modules says where the built-in modules lie and what they may take; the zero value is what the binary embeds, with native code
	// kept in the state directory.
	Modules module.Options
	// RuntimeDir is where the state of running jobs is kept, so that they outlive the agent: a folder on a tmpfs, since it holds their
	// tokens. "" keeps none.
	RuntimeDir string
	// Incumbent is a gitlab-runner that works by the same config.toml. With it the agent only watches: it takes no job, creates and
	// removes nothing, and tells what it would have done.
	Incumbent *incumbent.Incumbent
	// Pool changes the options of each pool before it is made; tests make its clock fast and stand between it and the world. nil: nothing.
	Pool func(*pool.Options)
	// Watch is told of each change of the journal's files before it is made, by the name of the machine that it is of ("" is none); the crash
	// suite ends the process there. nil: nobody is told.
	Watch func(machine, change string)
	// SweepEvery is how often engines of one's own are looked at for what lost jobs left there; 0 is 5 minutes.
	SweepEvery time.Duration
	// RemoveMachines removes every machine at the end, whatever [machine.shutdown_drain] says.
	RemoveMachines bool
}

// Supervisor is one agent. Its methods are safe for concurrent use.
type Supervisor struct {
	o           Options
	log         *slog.Logger
	journal     *journal.Journal
	modules     *module.Host
	dropped     *dropin.Manager
	provisioner *provision.Provisioner
	metrics     *metrics.Metrics
	systemID    string
	loaded      stamp          // of ConfigPath, when it was read at the start
	first       *config.Config // the configuration at the start
	preloading  sync.WaitGroup
	credentials *credentials.Store
	caches      *remotecache.Store // signs the addresses of remote caches
	engineFacts docker.EngineFacts
	feed        *feed.Feed
	drivers     *Drivers
	jobs        *jobTable
	shared      *pool.Shared
	freezing    sync.Mutex // held while a freeze is written down and put into force

	operatorChanged chan struct{} // told that runners are to take what millwright.toml says of them
	driverChanged   chan struct{} // told that another one may have to serve a group

	jobsCtx  context.Context // of running jobs; its cause is why they are stopped
	stopJobs context.CancelCauseFunc

	keptCtx   context.Context // of those among them that another agent could go on with
	leaveJobs context.CancelCauseFunc
	kept      []job.Kept // jobs of an agent before
	keepDir   string     // the folder of running jobs; "" keeps none
	resumes   bool       // jobs of an agent before are taken up

	drain     chan struct{} // closed by Drain
	drainOnce sync.Once
	handOver  chan struct{} // closed by HandOver
	handOnce  sync.Once

	applied chan struct{} // capacity 1: a configuration came into force, for the rotation of tokens

	reload sync.Mutex // held while a configuration is put into force; guards ending
	ending bool       // no configuration is put into force any more

	mu       sync.Mutex // guards what follows
	process  string     // what the agent as a whole does, in GitLab Runner's words
	config   *config.Config
	operator *config.Operator // the last whose ceilings could be read
	started  *config.Operator // as it was at the start; nil until then
	care     config.MachineCare
	workers  map[string]*worker
	waiting  map[string]error           // by key, why a runner's entry can't be used; nil until a configuration is in force
	registry group.Registry             // of the groups that workers have
	rails    map[string][]railed        // of the last decisions, by the runner's name
	rotated  map[config.Secret]*rotated // what became of tokens, by the old one
	leaving  []*leaving                 // runners that are no more, while their machines are removed
	// caretaker looks where runners that are no more had machines; nil while none runs.
	caretaker *pool.Pool

	retired  sync.WaitGroup  // of what goes on in the background for runners that come and go
	retiring context.Context // of that
	giveUp   context.CancelFunc
}

// New opens the state directory, which fails when another agent holds it, and loads the configuration. Run must follow, or Close.
func New(o Options) (*Supervisor, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Watch == nil {
		o.Watch = func(string, string) {}
	}
	j, err := journal.OpenWatched(o.StateDir, o.Watch)
	if err != nil {
		return nil, err
	}
	s := &Supervisor{o: o, log: o.Log, journal: j, workers: map[string]*worker{}, jobs: newJobTable(), rails: map[string][]railed{}, rotated: map[config.Secret]*rotated{}, drain: make(chan struct{}), handOver: make(chan struct{}), applied: make(chan struct{}, 1),
		operatorChanged: make(chan struct{}, 1), driverChanged: make(chan struct{}, 1)}
	s.jobsCtx, s.stopJobs = context.WithCancelCause(context.Background())
	s.keptCtx, s.leaveJobs = context.WithCancelCause(s.jobsCtx)
	s.retiring, s.giveUp = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Supervisor) open() (err error) {
	s.metrics = metrics.New(metrics.Version{Name: "millwright", Version: s.o.Version.Version, Revision: s.o.Version.Revision})
	s.log = slog.New(s.metrics.CountErrors(s.log.Handler()))
	modules := s.o.Modules
	modules.Logger = s.log
	if modules.CacheDir == "" {
		modules.CacheDir = filepath.Join(s.o.StateDir, ModuleCache)
	}
	s.modules, err = module.NewHost(modules)
	if err != nil {
		return err
	}
	s.credentials = credentials.NewStore(credentials.Options{Logger: s.log})
	s.caches = remotecache.New(remotecache.Options{Roles: s.metrics.Roles()})
	s.drivers = &Drivers{host: s.modules, credentials: s.credentials, lent: true, operator: s.currentOperator, atStart: s.operatorAtStart, journal: s.journal,
		native: native{store: s.journal.Store(), log: s.log, release: func(ctx context.Context, m fleet.Machine) error { return s.provisioner.Release(ctx, m) }}}
	s.provisioner, err = provision.New(provision.Options{
		StoreDir: s.journal.Store(), Logger: s.log, Debug: s.o.Debug, Login: s.drivers.login,
		HelperImage: func(arch string) (string, error) {
			if s.o.HelperArchive == nil {
				return "", nil
			}
			return s.o.HelperArchive(arch), nil
		},
	})
	if err != nil {
		return err
	}
	idDir := s.o.StateDir
	if s.o.ConfigPath != "" && s.o.Incumbent == nil { // what lies beside the incumbent's file is its own
		idDir = filepath.Dir(s.o.ConfigPath)
	}
	if s.systemID, err = coordinator.LoadSystemID(filepath.Join(idDir, ".runner_system_id")); err != nil {
		s.log.Warn("System ID is not kept", "error", err)
	}
	s.readCare()
	s.loaded = stampOf(s.o.ConfigPath) // before it is read: a change meanwhile is seen as one
	if s.config, err = s.load(); err != nil {
		return err
	}
	s.first = s.config
	if err := s.openShared(); err != nil {
		return err
	}
	s.openKept()
	s.preload()
	return s.openModules(context.Background())
}

// preload begins to compile what the configuration needs, so that the first decision does not wait for one module after the other.
// What can't be loaded is told by whoever needs it.
func (s *Supervisor) preload() {
	var names []string
	for _, r := range s.config.Runners {
		if m := driven(&r); m != nil {
			names = append(append(names, module.PoliciesFor(autoscaled(r.Executor))...), m.MachineDriver)
		}
	}
	slices.Sort(names)
	builtin := s.modules.Builtins()
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return !slices.Contains(builtin, name) })
	s.preloading.Go(func() { _ = s.modules.Preload(context.Background(), names...) })
}

// Close gives the state directory back. Run does so itself.
func (s *Supervisor) Close() error {
	s.preloading.Wait()
	if s.provisioner != nil {
		_ = s.provisioner.Close() // it has no error
	}
	if s.drivers != nil {
		s.drivers.closeNative()
	}
	if s.dropped != nil {
		s.dropped.Close()
	}
	if s.modules != nil {
		s.modules.Close(context.Background())
	}
	if s.credentials != nil {
		s.credentials.Close()
	}
	return s.journal.Close()
}

// Owner is the id that tags everything this agent makes.
func (s *Supervisor) Owner() string { return s.journal.Owner() }

// Drain makes Run take no new jobs and return when the running ones have ended.
func (s *Supervisor) Drain() { s.drainOnce.Do(func() { close(s.drain) }) }

// Run takes jobs and runs them until ctx ends, which stops running jobs with ctx's cause as their reason, or until a drain is
// complete. It returns nil after both; an error means that it could not start or could not remove its machines.
func (s *Supervisor) Run(ctx context.Context) (err error) {
	defer s.Close()
	s.enter("starting")
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	defer func() {
		stop()
		err = errors.Join(err, group.Wait())
	}()
	s.feed = feed.New(feed.Options{Logger: s.log, Events: s.fed})
	if err := s.listen(background, &group); err != nil {
		return err
	}
	s.adoptJobs()
	if s.o.Incumbent == nil { // before runners make folders in the store, which are empty for a moment
		if err := s.startCaretaker(); err != nil {
			return err
		}
	}
	if err := s.apply(s.config); err != nil {
		return errors.Join(err, s.stopPools(ctx))
	}
	group.Go(func() error { s.reloadLoop(background); return nil })
	if s.o.Incumbent == nil {
		s.reportLost()
		if err := s.retireUnknown(func(key string) bool { return !s.isWaiting(key) }); err != nil {
			s.log.Error("Machines of runners that are no more are left alone", "error", err)
		}
		s.feed.Start(background)
		group.Go(func() error { s.rotateLoop(background); return nil })
		group.Go(func() error { s.sweepLoop(background); return nil })
	} else {
		s.log.Info("Only watching: no job is taken, nothing is created or removed")
	}
	s.enter("running")

	draining := false
	select {
	case <-ctx.Done():
	case <-s.drain:
		draining = true
	case <-s.handOver:
		return s.leave(ctx)
	}
	return s.end(ctx, draining)
}

// enter notes what the agent as a whole does from now on.
func (s *Supervisor) enter(process string) {
	s.mu.Lock()
	s.process = process
	s.mu.Unlock()
	s.metrics.Process(process)
}

// listen opens what others reach the agent by.
func (s *Supervisor) listen(ctx context.Context, group *errgroup.Group) error {
	control, err := listenControl(s.o.StateDir)
	if err != nil {
		return err
	}
	group.Go(func() error { return serve(ctx, control, s.control(), s.log) })
	if s.config.ListenAddress == "" {
		return nil
	}
	address, err := ListenAddress(s.config.ListenAddress)
	if err != nil { // as for GitLab Runner, no reason not to run jobs
		s.log.Error("No metrics are served", "error", err)
		return nil
	}
	public, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen_address: %w; is another agent running? give this one another port", err)
	}
	s.log.Info("Metrics server listening", "address", public.Addr().String())
	group.Go(func() error { return serve(ctx, public, s.public(), s.log) })
	return nil
}

// SocketPath is where the agent of a state directory answers.
func SocketPath(stateDir string) string { return filepath.Join(stateDir, "agent.sock") }

// listenControl opens agent.sock. A socket that a dead agent left is replaced: the journal's lock says that it is dead.
func listenControl(stateDir string) (net.Listener, error) {
	path := SocketPath(stateDir)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("agent.sock: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("agent.sock: %w; a shorter state directory helps where the path is too long", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("agent.sock: %w", err)
	}
	return l, nil
}
