package legacy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/child"
	"github.com/millwright-ci/millwright/agent/driver/machinefile"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Options are what New needs; all but Name and Store may be left out.
type Options struct {
	Name  string                 // the driver's, as MachineDriver has it
	Store string                 // the machine store: what docker-machine calls its storage path. Not needed to describe.
	Find  func() (string, error) // the plug-in's binary; nil: Find(Name)
	Log   *slog.Logger           // gets what the plug-in prints

	CreateLimit  time.Duration // of PreCreateCheck and Create together; default 20m
	RunLimit     time.Duration // from there until the machine runs; default 5m
	RemoveLimit  time.Duration // default 10m
	InspectLimit time.Duration // of one look at a machine's state; default 30s
	InspectEvery time.Duration // between two looks at one machine; default 1m
	KeepEvery    time.Duration // between two looks at the plug-in's configuration while it creates; default 2s
	// Patience is how long a removal waits for the creation that is under way, since one that is cut off may leave what nobody knows;
	// default 5m.
	Patience time.Duration
}

// Driver is a plug-in behind the driver's interface. It is safe for concurrent use; Close ends what it has begun.
type Driver struct {
	opts  Options
	files machinefile.Folder[record]
	log   *slog.Logger

	ctx  context.Context // ends with Close
	stop context.CancelCauseFunc
	work sync.WaitGroup

	mu       sync.Mutex // guards what follows
	closed   bool
	flagged  map[string][]flag
	machines map[string]*machine
	seen     map[string]sighting
}

var _ driver.Driver = (*Driver)(nil)

// machine is one that calls are under way for.
type machine struct {
	refs int
	gate chan struct{} // held by one create or remove at a time
	task *task         // what goes on by itself; nil: nothing. Guarded by gate
}

// task is a creation or a removal that goes on by itself.
type task struct {
	creation bool
	cancel   context.CancelCauseFunc
	unwanted time.Time // when a removal asked for the end of a creation first
	done     chan struct{}
	err      error // once done is closed
}

func (t *task) over() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

var errClosed = errors.New("the agent ends")

// New returns the driver. It starts no plug-in yet.
func New(o Options) *Driver {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Find == nil {
		o.Find = func() (string, error) { return Find(o.Name) }
	}
	for _, d := range []struct {
		v     *time.Duration
		value time.Duration
	}{
		{&o.CreateLimit, 20 * time.Minute}, {&o.RunLimit, 5 * time.Minute}, {&o.RemoveLimit, 10 * time.Minute},
		{&o.InspectLimit, 30 * time.Second}, {&o.InspectEvery, time.Minute}, {&o.KeepEvery, 2 * time.Second}, {&o.Patience, 5 * time.Minute},
	} {
		if *d.v <= 0 {
			*d.v = d.value
		}
	}
	d := &Driver{
		opts: o, files: machinefile.Folder[record]{Store: o.Store}, log: o.Log.With("driver", o.Name),
		flagged: map[string][]flag{}, machines: map[string]*machine{}, seen: map[string]sighting{},
	}
	d.ctx, d.stop = context.WithCancelCause(context.Background())
	return d
}

// Close ends the plug-ins that run, and waits for that. A creation that is cut off so is known by its record.
func (d *Driver) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.stop(errClosed)
	d.work.Wait()
}

// Describe returns the plug-in's flags as options. It starts the plug-in when its binary is new.
func (d *Driver) Describe(ctx context.Context) (abi.Describe, error) {
	path, flags, err := d.flags(ctx)
	if err != nil {
		return abi.Describe{}, err
	}
	desc := abi.Describe{ABI: abi.Version, Kind: abi.KindDriver, Name: d.opts.Name, Summary: "docker-machine plug-in " + path}
	for _, f := range flags {
		desc.Options = append(desc.Options, f.option)
	}
	return desc, nil
}

// Validate finds nothing wrong: a plug-in judges its options when a machine is made.
func (d *Driver) Validate(context.Context, abi.Options) ([]abi.Problem, error) { return nil, nil }

// flags returns the binary and its flags, which are read anew when it has changed.
func (d *Driver) flags(ctx context.Context) (path string, flags []flag, err error) {
	if path, err = d.opts.Find(); err != nil {
		return "", nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, err
	}
	key := fmt.Sprint(path, info.Size(), info.ModTime().UnixNano())
	d.mu.Lock()
	flags, ok := d.flagged[key]
	d.mu.Unlock()
	if ok {
		return path, flags, nil
	}
	s, err := d.start(ctx, path, "flag-lookup", []byte(`{"MachineName":"flag-lookup"}`), child.Hider(nil))
	if err == nil {
		ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("no answer within %s", startLimit))
		flags, err = readFlags(ctx, s)
		cancel()
		s.close()
	}
	if err != nil {
		return "", nil, fmt.Errorf("driver %s: %s: its options: %w", d.opts.Name, path, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.flagged) // of the binary before
	d.flagged[key] = flags
	return path, flags, nil
}

// start opens a session for one machine.
func (d *Driver) start(ctx context.Context, path, name string, config []byte, hide func(string) string) (*session, error) {
	log := d.log.With("machine", name)
	s, err := open(ctx, path, d.opts.Name, hide, func(info bool, line string) {
		level := slog.LevelDebug
		if info {
			level = slog.LevelInfo
		}
		log.Log(context.Background(), level, "plug-in: "+line)
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("no answer within %s", startLimit))
	defer cancel()
	if _, err := call[nothing](ctx, s, "SetConfigRaw", config); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// session starts the plug-in for a machine of which there is a record.
func (d *Driver) session(ctx context.Context, name string, r record) (*session, error) {
	path, err := d.opts.Find()
	if err != nil {
		return nil, err
	}
	return d.start(ctx, path, name, r.Config, child.Hider(r.Secrets))
}

// enter waits until no other create or remove of the machine is under way.
func (d *Driver) enter(ctx context.Context, name string) (m *machine, leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	m = d.machines[name]
	if m == nil {
		m = &machine{gate: make(chan struct{}, 1)}
		d.machines[name] = m
	}
	m.refs++
	d.mu.Unlock()
	release := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if m.refs--; m.refs == 0 && (m.task == nil || m.task.over()) {
			delete(d.machines, name)
		}
	}
	select {
	case m.gate <- struct{}{}:
		return m, func() { <-m.gate; release() }, nil
	case <-ctx.Done():
		release()
		return nil, nil, ctx.Err()
	}
}

// begin lets a task go on by itself. It is called within the machine's gate. It tells whether that is possible: not after Close.
func (d *Driver) begin(m *machine, limit time.Duration, creation bool, do func(context.Context) error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	ctx, cancelLimit := context.WithTimeoutCause(d.ctx, limit, fmt.Errorf("not done within %s", limit))
	ctx, cancel := context.WithCancelCause(ctx)
	t := &task{creation: creation, cancel: cancel, done: make(chan struct{})}
	m.task = t
	d.work.Go(func() {
		defer close(t.done)
		defer cancelLimit()
		defer cancel(nil)
		t.err = do(ctx)
	})
	return true
}

// failure makes an error of this driver's.
func (d *Driver) failure(op string, kind abi.ErrorKind, format string, args ...any) error {
	return &driver.Error{Driver: d.opts.Name, Op: op, Info: abi.Error{Kind: kind, Message: short(fmt.Sprintf(format, args...))}}
}

// maxText bounds what an error shows of a plug-in's words: some add their stack.
const maxText = 2 << 10

func short(text string) string { return cut(text, maxText) }

func cut(text string, limit int) string {
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
