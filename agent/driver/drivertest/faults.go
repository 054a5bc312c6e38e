package drivertest

import (
	"errors"

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
)

// RetryAfterS is what a provider under RateLimited tells its callers to wait.
const RetryAfterS = 7

// inject makes the provider fail until the end of the check, or skips the check where that can't be had.
func (b *bench) inject(f Fault) {
	b.t.Helper()
	if b.Inject == nil {
		b.t.Skip("the provider can't be made to fail")
	}
	if err := b.Inject(f); err != nil {
		b.t.Fatalf("inject %s: %v", f, err)
	}
}

func refusals(b *bench) {
	for fault, kind := range map[Fault]error{
		StockOut: driver.ErrCapacity, OverQuota: driver.ErrQuota, RateLimited: driver.ErrRateLimited, Denied: driver.ErrAuth,
		Broken: driver.ErrTransient,
	} {
		b.inject(fault)
		_, err := b.Driver.Create(b.t.Context(), b.request(b.owner, b.name(0)))
		if !errors.Is(err, kind) {
			b.t.Errorf("create with %s: %v; the kind must be %v", fault, err, kind)
		}
		var e *driver.Error
		if errors.As(err, &e); e != nil && fault == RateLimited && e.Info.RetryAfterS != RetryAfterS {
			b.t.Errorf("create with %s: told to wait %d s, where the provider says %d", fault, e.Info.RetryAfterS, RetryAfterS)
		}
		if fault == StockOut || fault == OverQuota {
			continue
		}
		if res, err := b.Driver.List(b.t.Context(), b.listing(b.owner)); err == nil && res.Complete {
			b.t.Errorf("list with %s: it is complete; nothing could be read", fault)
		} else if err != nil && !errors.Is(err, kind) {
			b.t.Errorf("list with %s: %v; the kind must be %v", fault, err, kind)
		}
		if err := b.Driver.Remove(b.t.Context(), b.removal(b.owner, b.name(0))); !errors.Is(err, kind) {
			b.t.Errorf("remove with %s: %v; the kind must be %v", fault, err, kind)
		}
	}
	b.inject(None)
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
