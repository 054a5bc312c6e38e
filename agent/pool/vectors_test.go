package pool_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/agent/specvectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestPasses sets a live pool up with the fleet of each vector of a scaling pass, gives it the vector's configuration, and looks at what
// it does in its first step and what a worker gets that comes after it.
func TestPasses(t *testing.T) {
	specvectors.Run(t, specvectors.Passes, specvectors.Pool, func(t *testing.T, v specvectors.Vector, want *specvectors.Expectation) {
		synctest.Test(t, func(t *testing.T) {
			p := newPass(t, v)
			defer p.end()
			p.populate()
			p.forget()
			s := p.opts.Settings
			s.Runner = v.Config.Settings()
			s.Runner.Name, s.Runner.ShortToken = "test", "abcdefghi"
			if err := p.pool.Reconfigure(s); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()

			created, removed, reason := p.done()
			want.Is(t, "created", created)
			want.Is(t, "removed", specvectors.Span(removed))
			want.Is(t, "reason", reason)
			want.Is(t, "then", p.next())
		})
	})
}

// pass is a world in which the machines of a vector are what the journal holds.
type pass struct {
	*world
	v      specvectors.Vector
	fleet  fleet.Fleet
	leases map[string]*pool.Lease
}

// newPass starts the pool with enough idle machines for the vector's fleet, and nothing that would add or remove any.
func newPass(t *testing.T, v specvectors.Vector) *pass {
	now := time.Now()
	p := &pass{v: v, fleet: v.Fleet(now), leases: map[string]*pool.Lease{}}
	n := len(p.fleet)
	p.world = newWorld(t, abi.RunnerSettings{IdleCount: n, Limit: n, IdleTimeS: 1 << 30})
	if v.ID == "V51" {
		if err := os.MkdirAll(filepath.Join(p.dir, "machines", "runner-abcdefghi-auto-1-00000000"), 0o700); err != nil {
			t.Fatal(err)
		}
		p.start()
		return p
	}
	j := &memoryJournal{machines: map[string]fleet.Machine{}}
	p.opts.Owner = "0123456789abcdef"
	for _, wanted := range p.fleet {
		m := *wanted
		if m.State == fleet.Creating {
			continue
		}
		m.Runner, m.Driver, m.Options, m.State = runnerKey, "fake", p.opts.Settings.Options, fleet.Idle
		i, err := p.cloud.Create(t.Context(), abi.CreateRequest{Owner: abi.Owner{ID: p.opts.Owner}, Name: m.Name, Options: m.Options})
		if err != nil {
			t.Fatal(err)
		}
		p.cloud.SetStatus(m.Name, abi.StatusRunning)
		m.Instance = i
		p.engines.adopt(m.Name)
		j.machines[m.Name] = m
	}
	p.startOn(j)
	return p
}

// populate makes the idle machines what the vector says of them. Those that it says are being created were begun by the start.
func (p *pass) populate() {
	synctest.Wait()
	for range p.fleet {
		l, err := p.pool.Acquire(p.t.Context())
		if errors.Is(err, pool.ErrNoMachine) {
			break // the rest is being created
		}
		if err != nil {
			p.t.Fatal(err)
		}
		m, _, err := l.Machine(p.t.Context())
		if err != nil {
			p.t.Fatal(err)
		}
		p.leases[m.Name] = l
	}
	cancelled, cancel := context.WithCancel(p.t.Context())
	cancel()
	for i, m := range p.fleet {
		l := p.leases[m.Name]
		switch m.State {
		case fleet.Used:
			p.use(l, int64(i+1))
		case fleet.Idle:
			l.Release(false)
		case fleet.Removing:
			l.Release(false)
			p.cloud.Inject(fake.Fault{Op: fake.OpRemove, Name: m.Name, Times: -1, Error: fake.OverQuota()})
			if err := p.pool.RemoveMachine(cancelled, m.Name); !errors.Is(err, context.Canceled) {
				p.t.Fatal(err)
			}
		}
	}
	synctest.Wait()
	if want, got := p.fleet.Counts(), p.pool.Status().Counts; want != got {
		p.t.Fatalf("the fleet is %+v, want %+v", got, want)
	}
}

// forget drops the events so far.
func (p *pass) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = nil
}

// done returns what the pool has done since.
func (p *pass) done() (created int, removed []string, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		switch m := e.Machine; {
		case m == nil || m.From == m.State:
		case m.State == fleet.Creating:
			created++
		case m.State == fleet.Removing:
			if removed = append(removed, m.Name); reason != "" && reason != m.Reason {
				p.t.Errorf("%s is removed for %q, others for %q", m.Name, m.Reason, reason)
			}
			reason = m.Reason
		}
	}
	return created, removed, reason
}

// next is what a worker that comes now does.
func (p *pass) next() string {
	l, err := p.pool.Acquire(p.t.Context())
	if errors.Is(err, pool.ErrNoMachine) {
		return "hold"
	}
	if err != nil {
		p.t.Fatal(err)
	}
	defer l.Release(false)
	if p.pool.Status().Reserved > 0 {
		return "ask+create"
	}
	m, _, err := l.Machine(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return "take " + m.Name
}

func (p *pass) end() {
	p.cloud.Heal()
	if p.journal != nil {
		p.stop(true)
		return
	}
	if err := p.pool.Stop(p.t.Context(), true); err != nil {
		p.t.Error(err)
	}
}

// adopt makes an engine that a dead agent provisioned.
func (e *engines) adopt(name string) {
	e.Bootstrap(context.Background(), name)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ready[name] = true
}

// memoryJournal is a journal for tests that are not about the disk.
type memoryJournal struct {
	mu       sync.Mutex // guards what follows
	machines map[string]fleet.Machine
	setbacks fleet.Setbacks
}

func (j *memoryJournal) SetSetbacks(_ string, s fleet.Setbacks) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.setbacks = s
	return nil
}

func (j *memoryJournal) Setbacks(string) (fleet.Setbacks, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.setbacks, nil
}

func (j *memoryJournal) Save(m fleet.Machine) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.machines[m.Name] = m
	return nil
}

func (j *memoryJournal) Remove(name string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.machines, name)
	return nil
}

func (j *memoryJournal) Has(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.machines[name]
	return ok
}

func (j *memoryJournal) Load() ([]fleet.Machine, []journal.Problem, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []fleet.Machine
	for _, name := range slices.Sorted(maps.Keys(j.machines)) {
		all = append(all, j.machines[name])
	}
	return all, nil, nil
}
