package module

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"

	"github.com/millwright-ci/millwright/policies"
	"github.com/millwright-ci/millwright/providers"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Options are what a Host needs. The zero value works: no cache on disk, the default limits.
type Options struct {
	// CacheDir keeps native code between runs. It is made with mode 0700 and must belong to the agent's user alone, since what lies
	// in it is run. "" keeps nothing on disk.
	CacheDir string
	Logger   *slog.Logger
	Limits   Limits
	// Builtins are where Builtin looks for dist/NAME.wasm.gz, in order; nil means what the binary embeds.
	Builtins []fs.FS
}

// Limits bound what a module may take. A zero field means its default.
type Limits struct {
	PolicyPages uint32 // of 64 KB, memory of a policy's instance; 256 by default (16 MB)
	DriverPages uint32 // of a driver's; 512 by default (32 MB)

	DecideTime  time.Duration // of one decide; 2 s by default
	ObserveTime time.Duration // of one observe; 10 s by default
	DriverTime  time.Duration // of one create, list or remove; 75 s by default, a little more than the longest request
	OtherTime   time.Duration // of one describe or validate; 5 s by default

	Fuel int64 // of one call, about one for each instruction; a billion by default, some thousand times what a decision takes

	OutputBytes int // of one call; 4 MB by default
	Instances   int // of one module at once, further calls wait; 8 by default
}

func (l Limits) withDefaults() Limits {
	set := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.DecideTime, 2*time.Second)
	set(&l.ObserveTime, 10*time.Second)
	set(&l.DriverTime, 75*time.Second)
	set(&l.OtherTime, 5*time.Second)
	if l.PolicyPages == 0 {
		l.PolicyPages = 256
	}
	if l.DriverPages == 0 {
		l.DriverPages = 512
	}
	if l.Fuel <= 0 {
		l.Fuel = 1_000_000_000
	}
	if l.OutputBytes <= 0 {
		l.OutputBytes = 4 << 20
	}
	if l.Instances <= 0 {
		l.Instances = 8
	}
	return l
}

// over returns l with its zero fields taken from base.
func (l Limits) over(base Limits) Limits {
	return Limits{
		PolicyPages: cmp.Or(l.PolicyPages, base.PolicyPages), DriverPages: cmp.Or(l.DriverPages, base.DriverPages),
		DecideTime: cmp.Or(l.DecideTime, base.DecideTime), ObserveTime: cmp.Or(l.ObserveTime, base.ObserveTime),
		DriverTime: cmp.Or(l.DriverTime, base.DriverTime), OtherTime: cmp.Or(l.OtherTime, base.OtherTime),
		Fuel:        cmp.Or(l.Fuel, base.Fuel),
		OutputBytes: cmp.Or(l.OutputBytes, base.OutputBytes), Instances: cmp.Or(l.Instances, base.Instances),
	}
}

// pages is how much memory an instance of that kind may have, in pages of 64 KB, and again as much in blocks.
func (l Limits) pages(kind string) uint32 {
	if kind == abi.KindDriver {
		return l.DriverPages
	}
	return l.PolicyPages
}

// time returns the deadline of one call of an export.
func (l Limits) time(export string) time.Duration {
	switch export {
	case abi.ExportDecide:
		return l.DecideTime
	case abi.ExportObserve:
		return l.ObserveTime
	case abi.ExportCreate, abi.ExportList, abi.ExportRemove, abi.ExportCheck,
		abi.ExportStart, abi.ExportStop, abi.ExportRestart, abi.ExportKill, abi.ExportLogs,
		abi.ExportGroupInfo, abi.ExportIncrease, abi.ExportDecrease, abi.ExportConnectInfo, abi.ExportHeartbeat:
		return l.DriverTime
	}
	return l.OtherTime
}

// Host loads modules and owns what they share: the folder of the compiler's cache. It is safe for concurrent use.
type Host struct {
	limits   Limits
	logger   *slog.Logger
	builtins []fs.FS
	cacheDir string
	counters counters
	roots    atomic.Pointer[x509.CertPool] // nil: those of the system

	mu       sync.Mutex // guards what follows
	byName   map[string]*pending
	modules  map[*Module]struct{}
	settling *time.Timer // nil before the first module
	isClosed bool
}

// extismLog lets the guests' own Extism log calls through, once for the process since Extism keeps its level in a global.
var extismLog = sync.OnceFunc(func() { extism.SetLogLevel(extism.LogLevelInfo) })

// NewHost returns a host without modules. A cache folder that can't be used is an error.
func NewHost(o Options) (*Host, error) {
	extismLog()
	h := &Host{
		limits: o.Limits.withDefaults(), logger: o.Logger, builtins: o.Builtins,
		byName: map[string]*pending{}, modules: map[*Module]struct{}{},
	}
	if h.logger == nil {
		h.logger = slog.Default()
	}
	if h.builtins == nil {
		h.builtins = []fs.FS{policies.Dist, providers.Dist}
	}
	if o.CacheDir == "" {
		return h, nil
	}
	if err := makePrivate(o.CacheDir); err != nil {
		return nil, fmt.Errorf("module cache %s: %w", o.CacheDir, err)
	}
	h.cacheDir = o.CacheDir
	removeLeftCode(h.cacheDir)
	cache, err := h.newCache()
	if err != nil {
		return nil, err
	}
	return h, cache.Close(context.Background())
}

// Trust makes roots the certificates that the modules which are loaded from now on trust, in place of the system's; nil leaves it at those.
func (h *Host) Trust(roots *x509.CertPool) { h.roots.Store(roots) }

// newCache returns a cache for one module, over the folder that all share. A module has one of its own because a cache keeps the native
// code of what was compiled through it until it is closed, and closing a module's runtime does not take it out.
func (h *Host) newCache() (wazero.CompilationCache, error) {
	if h.cacheDir == "" {
		return wazero.NewCompilationCache(), nil
	}
	cache, err := wazero.NewCompilationCacheWithDir(h.cacheDir)
	if err != nil {
		return nil, fmt.Errorf("module cache %s: %w", h.cacheDir, err)
	}
	return cache, nil
}

// makePrivate makes dir, or narrows it, so that nobody else can put native code there.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("is no folder; name one that the agent may use alone")
	}
	if err := ownedByUs(info); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// Close closes all modules, once the calls that are under way have ended.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.isClosed = true
	if h.settling != nil {
		h.settling.Stop()
	}
	modules := make([]*Module, 0, len(h.modules))
	for m := range h.modules {
		modules = append(modules, m)
	}
	h.mu.Unlock()

	var errs []error
	for _, m := range modules {
		errs = append(errs, m.Close(ctx))
	}
	return errors.Join(errs...)
}

// adopt notes a module, so that Close finds it. It returns false when the host is closed already.
func (h *Host) adopt(m *Module) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isClosed {
		h.modules[m] = struct{}{}
	}
	return !h.isClosed
}

func (h *Host) forget(m *Module) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.modules, m)
}
