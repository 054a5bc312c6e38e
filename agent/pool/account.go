package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/wait"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// account is who a driver calls in the name of: all pools with the same driver and credentials share one, with its budget of calls and its
// lists. It is safe for concurrent use.
type account struct {
	name   string // for people: the driver's, with #2 and so on for further ones
	driver string

	mu      sync.Mutex // guards what follows
	calls   bucket     // every call
	removes bucket     // removals, which need both
	pace    throttle
	epoch   int // grows when the account is slowed: who waits then asks again
	waiting int
	made    map[string]int // calls so far, by operation
	limited int            // answers that said that there were too many
	lists   map[string]*sharedList
}

// The operations on an account.
const (
	opCreate = "create"
	opList   = "list"
	opRemove = "remove"
)

// account returns the account that a machine with these options is made in.
func (s *Shared) account(driver string, options []abi.Option, o abi.Options) *account {
	key := groupKey(driver, accountOptions(options, o), "")
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[key]; a != nil {
		return a
	}
	s.named[driver]++
	a := &account{name: driver, driver: driver, made: map[string]int{}, lists: map[string]*sharedList{}}
	if n := s.named[driver]; n > 1 {
		a.name = fmt.Sprintf("%s#%d", driver, n)
	}
	a.limit(s.ratesOf(driver))
	s.accounts[key] = a
	return a
}

// ratesOf is called with mu held.
func (s *Shared) ratesOf(driver string) Rates {
	if s.rates == nil {
		return Rates{}.complete()
	}
	return s.rates(driver).complete()
}

// SetRates replaces the budgets of all accounts; nil: the defaults.
func (s *Shared) SetRates(rates func(driver string) Rates) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rates = rates
	for _, a := range s.accounts {
		a.limit(s.ratesOf(a.driver))
	}
}

func (a *account) limit(r Rates) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls.rate, a.removes.rate = r.Calls, r.Removes
}

// listShare is which part of an account's calls may be lists of one group of machines, so that they leave room for what makes machines.
const listShare = 1.0 / 3

// listPause is the least time between two lists of a group.
func (a *account) listPause() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Duration(float64(time.Second) / (a.calls.rate.PerSecond * listShare))
}

// enter waits until the account's budget has room for a call, or ctx ends. A creation does not wait out a long pause: whoever waits for the
// machine should learn of it, so that is an error of the kind rate_limited.
func (a *account) enter(ctx context.Context, op string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting++
	defer func() { a.waiting-- }()
	for {
		now := time.Now()
		at := a.calls.take(now, a.pace.factor(now))
		if op == opRemove {
			if later := a.removes.take(now, 1); later.After(at) {
				at = later
			}
		}
		epoch := a.epoch
		if pause := a.calls.paused.Sub(now); op == opCreate && pause > limitedPatience {
			return &driver.Error{Driver: a.driver, Op: op, Info: abi.Error{
				Kind: abi.RateLimited, RetryAfterS: int(pause.Seconds() + 0.5),
				Message: "the provider wants no calls for now; it told so to a call before, and this one was not made",
			}}
		}
		a.mu.Unlock()
		if at.After(now) {
			_ = wait.For(ctx, at.Sub(now))
		}
		a.mu.Lock()
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("waiting for the budget of calls of %s: %w", a.name, err)
		}
		if epoch == a.epoch {
			a.made[op]++
			return nil
		}
	}
}

// enterFor is enter for a call of d, which may need no budget.
func (a *account) enterFor(ctx context.Context, op string, d driver.Driver) error {
	if _, ok := d.(driver.SelfPaced); ok {
		return ctx.Err()
	}
	return a.enter(ctx, op)
}

// answered takes in what became of a call. An answer that there were too many slows the account: it pauses for as long as the provider
// says, and then goes on at half the pace, which doubles again with time.
func (a *account) answered(err error) {
	if !errors.Is(err, driver.ErrRateLimited) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.limited++
	a.epoch++
	a.pace.slow(now)
	a.calls.pause(now.Add(max(min(retryAfter(err), longestPause), time.Second)), a.pace.factor(now))
}

// sharedList is a list for all pools of the account.
type sharedList struct {
	began  time.Time
	done   chan struct{} // closed when the rest is set
	result abi.ListResult
	err    error
}

// list returns what call returns, or what it returned to another pool, if that list began after a time and not longer than fresh ago. It
// also returns when the list began. key tells lists apart. Who gets the result only reads it.
func (a *account) list(ctx context.Context, key string, after time.Time, fresh time.Duration, call func() (abi.ListResult, error)) (abi.ListResult, time.Time, error) {
	for {
		a.mu.Lock()
		l := a.lists[key]
		if l == nil || !l.began.After(after) || time.Since(l.began) > fresh {
			l = &sharedList{began: time.Now(), done: make(chan struct{})}
			a.lists[key] = l
			a.mu.Unlock()
			if l.err = a.enter(ctx, opList); l.err == nil {
				l.result, l.err = call()
			}
			a.answered(l.err)
			close(l.done)
			return l.result, l.began, l.err
		}
		a.mu.Unlock()
		select {
		case <-l.done:
		case <-ctx.Done():
			return abi.ListResult{}, l.began, ctx.Err()
		}
		if !errors.Is(l.err, context.Canceled) {
			return l.result, l.began, l.err
		}
		after = l.began // who asked has gone
	}
}

// AccountStatus is an account as it is now.
type AccountStatus struct {
	Name       string // the driver's, with #2 and so on for further accounts of it
	Calls      map[string]int
	Limited    int       // answers of the provider that there were too many
	Waiting    int       // calls that wait for the budget
	PerSecond  float64   // the present pace
	PauseUntil time.Time // no call is made before; zero or past: none
}

// Accounts lists the accounts by name.
func (s *Shared) Accounts() []AccountStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []AccountStatus
	for _, a := range s.accounts {
		out = append(out, a.status(time.Now()))
	}
	slices.SortFunc(out, func(a, b AccountStatus) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (a *account) status(now time.Time) AccountStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := AccountStatus{
		Name: a.name, Calls: map[string]int{}, Limited: a.limited, Waiting: a.waiting,
		PerSecond: a.calls.rate.PerSecond * a.pace.factor(now), PauseUntil: a.calls.paused,
	}
	for op, n := range a.made {
		s.Calls[op] = n
	}
	return s
}

// hasAccount tells whether a driver says by its options' roles which account a machine is made in.
func hasAccount(options []abi.Option) bool {
	return slices.ContainsFunc(options, func(o abi.Option) bool { return o.Role == abi.RoleAccount })
}

// accountOptions are those that tell who pays: of the roles account and endpoint, and secret ones.
func accountOptions(options []abi.Option, o abi.Options) abi.Options {
	out := abi.Options{}
	for _, d := range options {
		if v, ok := o[d.Name]; ok && (d.Role == abi.RoleAccount || d.Role == abi.RoleEndpoint || d.Secret) {
			out[d.Name] = v
		}
	}
	return out
}

// listOptions are those that a list depends on: those of the account, where the driver tells them, or else all but those of the roles
// zone, type and spot.
func listOptions(options []abi.Option, o abi.Options) abi.Options {
	if hasAccount(options) {
		return accountOptions(options, o)
	}
	out := driverOptions(o)
	for _, d := range options {
		switch d.Role {
		case abi.RoleZone, abi.RoleType, abi.RoleSpot:
			delete(out, d.Name)
		}
	}
	return out
}
