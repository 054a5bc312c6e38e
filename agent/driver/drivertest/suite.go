// Package drivertest is the suite of the driver's contract. Each driver passes it: the cloud in memory, every built-in driver natively
// and as Wasm against a provider that it can reach, and legacy drivers.
//
//	drivertest.Run(t, func(t *testing.T) drivertest.Subject {
//		return drivertest.Subject{Driver: d, Options: abi.Options{"docker-image": {"my/machine"}}}
//	})
//
// The suite makes machines with names and owners of its own and removes them, also when it fails. Examine runs it outside of tests, for
// the command line.
package drivertest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Subject is the driver under test and what the suite must know of its provider.
type Subject struct {
	Driver  driver.Driver
	Options abi.Options // of a small machine, defaults filled in
	// Invalid are options that create must refuse with the kind invalid; nil when the driver has none.
	Invalid abi.Options
	// Leftovers returns what still lies at the provider of an owner's, each in words; nil when only the driver can tell.
	Leftovers func(owner abi.Owner) []string
	// Inject lets something go wrong at the provider from now on, and None ends that; nil when nothing can be made to.
	Inject func(Fault) error
	// Faults are those that Inject knows beyond the first ones (StockOut to PartialList), which it must.
	Faults []Fault
	// Put lets a machine be in a state at the provider, as it befalls machines there; States are those that it can. Nil when it can't.
	Put    func(name string, status abi.Status) error
	States []abi.Status
	// Calls counts the requests that the provider has had so far; nil when nobody counts.
	Calls func() int
	// Switches says that the driver must switch machines off and on. One that need not is tried all the same, and may say that it can't.
	Switches bool
	// Fixed says that the provider switches none of these machines, though the driver switches others.
	Fixed bool
	// Console is a part of what machines write to their consoles, which the driver then must show. Where it is "" the driver may say that it can't.
	Console string
	// Checks says that the driver must tell what it is allowed.
	Checks bool
	// Secrets are what no answer and no line of the guest's log may show, beside the host key of a machine and the values of secret options: the
	// operator's credentials, as far as the test knows them.
	Secrets []string
	// Heard returns what the guest has logged so far; nil when nobody listens. Listen and Ear do.
	Heard func() string
	// Says are the provider's own code and words under faults that refuse creations, as far as the test knows them.
	Says map[Fault]Said
	// Settle is how long the provider may take to show what was done; 0 means one minute.
	Settle time.Duration
}

// TB is what the suite needs of a test. A *testing.T has it.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// runner is a test that has tests below it.
type runner[T any] interface {
	TB
	Run(name string, test func(T)) bool
}

// Run runs those checks of the suite that the subject declares what is wanted for; T is *testing.T. newSubject is called once to learn that,
// and once for each check.
func Run[T runner[T]](t T, newSubject func(t T) Subject) {
	declared := newSubject(t)
	for _, c := range checks {
		if c.lacks(declared) == "" {
			t.Run(c.name, func(t T) { c.test(newBench(t, newSubject(t))) })
		}
	}
}

// check is one of the suite's.
type check struct {
	name string
	test func(*bench)
	want func(Subject) string // why it can't be run with a subject, "" when it can; nil: with any
}

func (c check) lacks(s Subject) string {
	if c.want == nil {
		return ""
	}
	return c.want(s)
}

// checks are the suite, in the order in which it makes sense to read what failed.
var checks = []check{
	{"a machine comes to life and goes", life, nil},
	{"create twice gives one machine", createTwice, nil},
	{"create at the same time gives one machine", createTogether, nil},
	{"a machine in use by name is made anew after it is removed", createAgain, nil},
	{"remove twice, and of nothing, is no error", removeTwice, nil},
	{"several machines at once", several, nil},
	{"another owner's machine is neither seen nor touched", owners, nil},
	{"a list of all owners names them", allOwners, nil},
	{"invalid options are refused by kind", invalid, hasInvalid},
	{"an ended context makes nothing that stays", cancelled, nil},
	{"a list costs no more for more machines", frugal, counts},
	{"each state has its word", states, puts},
	{"what it may do is told, and nothing is made", allowed, checkers},
	{"a machine is switched off and on", switched, switches},
	{"a machine's console is shown", console, consoles},
	{"refusals have their kind", refusals, fails},
	{"a creation whose answer is lost makes one machine", lostAnswer, fails},
	{"a list that lacks a part is not complete", partialList, fails},
	{"a removal whose answer is lost is done once", lostRemove, knows(LostRemove)},
	{"what a failed creation leaves goes with the machine", halfMade, knows(HalfMade)},
	{"an answer that makes no sense is an error", junk, knows(Junk)},
	{"a provider that does not answer holds a call no longer than its context", silent, knows(Silent)},
}

func life(b *bench) {
	made := b.create(b.owner, b.name(0))
	if made.Name != b.name(0) || made.ID == "" {
		b.t.Errorf("create returned the name %q and the id %q; both must be set", made.Name, made.ID)
	}
	var last abi.Instance
	b.eventually("the machine runs and has an address", func() bool {
		last = b.find(b.owner, b.name(0))
		return last.Status == abi.StatusRunning && last.Address != ""
	})
	if last.ID != made.ID {
		b.t.Errorf("list gives the id %q, create gave %q", last.ID, made.ID)
	}
	if _, err := time.Parse(time.RFC3339, last.CreatedAt); last.CreatedAt != "" && err != nil {
		b.t.Errorf("created_at %q is not RFC 3339", last.CreatedAt)
	}
	b.remove(b.owner, b.name(0))
	b.gone(b.owner, b.name(0))
}

func createTwice(b *bench) {
	first := b.create(b.owner, b.name(0))
	second := b.create(b.owner, b.name(0))
	if first.ID != second.ID {
		b.t.Errorf("the second create gave the id %q, the first %q", second.ID, first.ID)
	}
	b.eventually("list shows one machine", func() bool { return len(b.list(b.owner)) == 1 })
}

func createTogether(b *bench) {
	ids := make([]string, 4)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			made, err := b.Driver.Create(b.t.Context(), b.request(b.owner, b.name(0)))
			if err != nil && !errors.Is(err, driver.ErrConflict) && !errors.Is(err, driver.ErrTransient) {
				b.t.Errorf("create at the same time: %v; only conflict and transient may happen", err)
			}
			ids[i] = made.ID
		})
	}
	wg.Wait()
	want := b.create(b.owner, b.name(0)).ID
	for _, id := range ids {
		if id != "" && id != want {
			b.t.Errorf("one create gave the id %q, another %q", id, want)
		}
	}
	b.eventually("list shows one machine", func() bool { return len(b.list(b.owner)) == 1 })
}

func createAgain(b *bench) {
	first := b.create(b.owner, b.name(0))
	b.remove(b.owner, b.name(0))
	b.gone(b.owner, b.name(0))
	second := b.create(b.owner, b.name(0))
	if first.ID == second.ID {
		b.t.Errorf("the new machine has the id %q of the old one", first.ID)
	}
}

func removeTwice(b *bench) {
	b.create(b.owner, b.name(0))
	b.remove(b.owner, b.name(0))
	b.remove(b.owner, b.name(0))
	b.remove(b.owner, b.name(1))
	b.gone(b.owner, b.name(0))
}

func several(b *bench) {
	const n = 4
	each := func(do func(name string)) {
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { do(b.name(i)) })
		}
		wg.Wait()
	}
	each(func(name string) {
		if _, err := b.Driver.Create(b.t.Context(), b.request(b.owner, name)); err != nil {
			b.t.Errorf("create %s: %v", name, err)
		}
	})
	b.eventually("list shows them all", func() bool { return len(b.list(b.owner)) == n })
	each(func(name string) {
		if err := b.Driver.Remove(b.t.Context(), b.removal(b.owner, name)); err != nil && !errors.Is(err, driver.ErrConflict) {
			b.t.Errorf("remove %s: %v", name, err)
		}
	})
	for i := range n {
		b.remove(b.owner, b.name(i))
	}
	b.eventually("list shows none", func() bool { return len(b.list(b.owner)) == 0 })
}

func owners(b *bench) {
	mine := b.create(b.owner, b.name(0))
	if seen := b.list(b.other); len(seen) != 0 {
		b.t.Errorf("another owner sees %v", seen)
	}
	// Names are unique at some providers and free for each owner at others; both are right as long as nothing is shared.
	if theirs, err := b.Driver.Create(b.t.Context(), b.request(b.other, b.name(0))); err == nil && theirs.ID == mine.ID {
		b.t.Errorf("another owner's create got this owner's machine")
	} else if err != nil && !errors.Is(err, driver.ErrConflict) {
		b.t.Errorf("create under a name that another owner has: %v; the kind must be conflict", err)
	}
	b.remove(b.other, b.name(0))
	if left := b.find(b.owner, b.name(0)); left.ID != mine.ID {
		b.t.Errorf("after another owner's remove the machine is %+v, it was %s", left, mine.ID)
	}
}

// allOwners holds for drivers that can't tell owners apart too: they list the owner's own.
func allOwners(b *bench) {
	b.create(b.owner, b.name(0))
	b.create(b.other, b.name(1))
	b.eventually("each machine is listed under its owner", func() bool {
		mine := false
		for _, i := range b.listAll(b.owner) {
			switch i.Name {
			case b.name(0):
				mine = i.Owner == b.owner.ID || i.Owner == ""
			case b.name(1):
				if i.Owner != b.other.ID {
					b.t.Fatalf("the list of all owners shows %s's machine as %q's", b.other.ID, i.Owner)
				}
			}
		}
		return mine
	})
	if seen := b.list(b.owner); len(seen) != 1 || seen[0].Name != b.name(0) {
		b.t.Errorf("the owner's own list shows %v", seen)
	}
	b.remove(b.other, b.name(1)) // before the owner's, who may have what both use
	b.gone(b.other, b.name(1))
}

func invalid(b *bench) {
	req := b.request(b.owner, b.name(0))
	req.Options = b.Invalid
	_, err := b.Driver.Create(b.t.Context(), req)
	if !errors.Is(err, driver.ErrInvalid) {
		b.t.Errorf("create with invalid options: %v; the kind must be invalid", err)
	}
	var e *driver.Error
	if !errors.As(err, &e) || e.Info.Message == "" {
		b.t.Errorf("%v does not say what is wrong", err)
	}
	b.remove(b.owner, b.name(0))
	b.gone(b.owner, b.name(0))
}

func cancelled(b *bench) {
	ctx, cancel := context.WithCancel(b.t.Context())
	cancel()
	if _, err := b.Driver.Create(ctx, b.request(b.owner, b.name(0))); err == nil {
		b.t.Errorf("create in an ended context gave no error")
	}
	if _, err := b.Driver.List(ctx, b.listing(b.owner)); err == nil {
		b.t.Errorf("list in an ended context gave no error")
	}
	b.remove(b.owner, b.name(0))
	b.gone(b.owner, b.name(0))
}
