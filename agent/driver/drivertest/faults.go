package drivertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Fault is something that a provider can be made to do wrong.
type Fault string

// The faults. Each holds until the next Inject.
const (
	None        Fault = ""
	StockOut    Fault = "stock-out"    // creations: it has none left
	OverQuota   Fault = "quota"        // creations: the account's limit is reached
	RateLimited Fault = "rate limit"   // every call, for RetryAfterS
	Denied      Fault = "auth"         // every call: the credentials are refused
	Broken      Fault = "trouble"      // every call: it has trouble of its own
	LostCreate  Fault = "lost answer"  // creations are done and never answered
	PartialList Fault = "partial list" // lists lack machines, and say so

	LostRemove Fault = "lost removal" // removals are done and never answered
	HalfMade   Fault = "half-made"    // creations fail for good when a part is made
	Junk       Fault = "junk"         // every call is answered with what makes no sense
	Silent     Fault = "silent"       // no call is answered
)

// Said is how a provider words a refusal.
type Said struct {
	Code  string
	Words string // a part of them
}

// Refusals are the faults that refuse creations.
var Refusals = []Fault{StockOut, OverQuota, RateLimited, Denied, Broken}

// Sayings asks for what a provider says under each of the Refusals, for Subject.Says.
func Sayings(of func(fault string) (code, words string)) map[Fault]Said {
	all := map[Fault]Said{}
	for _, f := range Refusals {
		code, words := of(string(f))
		all[f] = Said{code, words}
	}
	return all
}

// RetryAfterS is what a provider under RateLimited tells its callers to wait.
const RetryAfterS = 7

func fails(s Subject) string {
	if s.Inject == nil {
		return "the provider can't be made to fail"
	}
	return ""
}

func knows(f Fault) func(Subject) string {
	return func(s Subject) string {
		if s.Inject == nil || !slices.Contains(s.Faults, f) {
			return "the provider can't be made to fail by: " + string(f)
		}
		return ""
	}
}

// inject makes the provider fail until the end of the check.
func (b *bench) inject(f Fault) {
	b.t.Helper()
	if err := b.Inject(f); err != nil {
		b.t.Fatalf("inject %s: %v", f, err)
	}
}

func refusals(b *bench) {
	for n, c := range []struct {
		fault Fault
		kind  error
	}{
		{StockOut, driver.ErrCapacity}, {OverQuota, driver.ErrQuota}, {RateLimited, driver.ErrRateLimited}, {Denied, driver.ErrAuth},
		{Broken, driver.ErrTransient},
	} {
		fault, kind := c.fault, c.kind
		b.inject(fault)
		err := b.refused(b.name(n))
		if !errors.Is(err, kind) {
			b.t.Errorf("create with %s: %v; the kind must be %v", fault, err, kind)
		}
		var e *driver.Error
		if errors.As(err, &e); e != nil && fault == RateLimited && e.Info.RetryAfterS != RetryAfterS {
			b.t.Errorf("create with %s: told to wait %d s, where the provider says %d", fault, e.Info.RetryAfterS, RetryAfterS)
		}
		if e != nil && (e.Info.Code == "" || e.Info.Message == "") {
			b.t.Errorf("create with %s: %v; it must give the provider's own code and words", fault, err)
		}
		b.words("create", fault, err)
		if fault == StockOut || fault == OverQuota {
			continue
		}
		if res, err := b.Driver.List(b.t.Context(), b.listing(b.owner)); err == nil && res.Complete {
			b.t.Errorf("list with %s: it is complete; nothing could be read", fault)
		} else if err != nil && !errors.Is(err, kind) {
			b.t.Errorf("list with %s: %v; the kind must be %v", fault, err, kind)
		} else if err != nil {
			b.words("list", fault, err)
		}
		err = b.Driver.Remove(b.t.Context(), b.removal(b.owner, b.name(0)))
		if !errors.Is(err, kind) {
			b.t.Errorf("remove with %s: %v; the kind must be %v", fault, err, kind)
		}
		b.words("remove", fault, err)
	}
	b.inject(None)
}

// words looks for what the provider says under a fault in the error that people see.
func (b *bench) words(op string, fault Fault, err error) {
	b.t.Helper()
	said, ok := b.Says[fault]
	if text := fmt.Sprint(err); ok && (!strings.Contains(text, said.Code) || !strings.Contains(text, said.Words)) {
		b.t.Errorf("%s with %s: %v; the provider says %q (%s)", op, fault, err, said.Words, said.Code)
	}
}

func lostAnswer(b *bench) {
	b.inject(LostCreate)
	if _, err := b.Driver.Create(b.t.Context(), b.request(b.owner, b.name(0))); !errors.Is(err, driver.ErrTransient) {
		b.t.Errorf("create whose answer is lost: %v; the kind must be transient", err)
	}
	b.inject(None)
	made := b.create(b.owner, b.name(0))
	b.eventually("list shows one machine", func() bool {
		all := b.list(b.owner)
		return len(all) == 1 && all[0].ID == made.ID
	})
}

func partialList(b *bench) {
	b.create(b.owner, b.name(0))
	b.eventually("list shows the machine", func() bool { return b.find(b.owner, b.name(0)).ID != "" })
	b.inject(PartialList)
	res, err := b.Driver.List(b.t.Context(), abi.ListRequest{ABI: abi.Version, Owner: b.owner, Options: b.Options})
	if err == nil && res.Complete {
		b.t.Errorf("list says that it is complete, and lacks a machine")
	}
	b.inject(None)
}

// refused creates a machine that can't be made and returns why. Some providers tell it only after create has answered: then a list does.
func (b *bench) refused(name string) error {
	b.t.Helper()
	_, err := b.Driver.Create(b.t.Context(), b.request(b.owner, name))
	if err != nil {
		return err
	}
	b.eventually("list tells why "+name+" was not made", func() bool {
		i := b.find(b.owner, name)
		if i.Status == abi.StatusGone && i.Error != nil {
			err = &driver.Error{Driver: "list", Op: "create", Info: *i.Error}
		}
		return err != nil
	})
	return err
}

func lostRemove(b *bench) {
	b.create(b.owner, b.name(0))
	b.inject(LostRemove)
	if err := b.Driver.Remove(b.t.Context(), b.removal(b.owner, b.name(0))); !errors.Is(err, driver.ErrTransient) {
		b.t.Errorf("remove whose answer is lost: %v; the kind must be transient", err)
	}
	b.inject(None)
	b.remove(b.owner, b.name(0))
	b.gone(b.owner, b.name(0))
}

// halfMade relies on the look at what is left that follows each check.
func halfMade(b *bench) {
	b.inject(HalfMade)
	if err := b.refused(b.name(0)); err == nil {
		b.t.Errorf("a creation that fails on its way gave no error")
	}
	b.inject(None)
	b.remove(b.owner, b.name(0))
	b.gone(b.owner, b.name(0))
	ctx, cancel := context.WithTimeout(b.t.Context(), b.Settle)
	defer cancel()
	if err := b.retry(ctx, func() error { // while the rest goes, the name may be taken
		_, err := b.Driver.Create(ctx, b.request(b.owner, b.name(0)))
		return err
	}); err != nil {
		b.t.Errorf("create after the removal: %v", err)
	}
}

func junk(b *bench) {
	b.create(b.owner, b.name(0))
	b.inject(Junk)
	if _, err := b.Driver.Create(b.t.Context(), b.request(b.owner, b.name(1))); err == nil {
		b.t.Errorf("create took junk for an answer")
	}
	if res, err := b.Driver.List(b.t.Context(), b.listing(b.owner)); err == nil && res.Complete {
		b.t.Errorf("list took junk for a complete answer")
	}
	if err := b.Driver.Remove(b.t.Context(), b.removal(b.owner, b.name(0))); err == nil {
		b.t.Errorf("remove took junk for an answer")
	}
	b.inject(None)
	b.eventually("the machine is there still", func() bool { return b.find(b.owner, b.name(0)).ID != "" })
}

func silent(b *bench) {
	b.inject(Silent)
	defer b.inject(None)
	const patience = 500 * time.Millisecond
	for op, call := range map[string]func(context.Context) error{
		"create": func(ctx context.Context) error {
			_, err := b.Driver.Create(ctx, b.request(b.owner, b.name(0)))
			return err
		},
		"list": func(ctx context.Context) error {
			_, err := b.Driver.List(ctx, b.listing(b.owner))
			return err
		},
		"remove": func(ctx context.Context) error { return b.Driver.Remove(ctx, b.removal(b.owner, b.name(0))) },
	} {
		ctx, cancel := context.WithTimeout(b.t.Context(), patience)
		began := time.Now()
		if err := call(ctx); err == nil {
			b.t.Errorf("%s: no error, though nothing answered", op)
		}
		if took := time.Since(began); took > patience+b.Settle {
			b.t.Errorf("%s: took %v, with %v to go", op, took, patience)
		}
		cancel()
	}
}
