package fake

import (
	"context"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Fault is something that goes wrong. Of several that fit a call, the one that was added first does.
type Fault struct {
	Op    string // OpCreate, OpList or OpRemove; "" is any
	Name  string // the machine; "" is any
	Zone  string // OptZone of the call; "" is any
	Times int    // calls that it hits; 0 is one, less than 0 is all until Heal

	Delay time.Duration // first, the call takes this long; it ends early with its context
	Error *abi.Error    // the call is refused and nothing happens
	Late  *abi.Error    // of creations: it is answered, and fails then; lists show it as gone, with this error
	Lost  bool          // it happens, but the answer is lost: the caller sees a transient error
	After time.Duration // of creations that are Lost: it happens so long after the answer; until then nothing is known of the machine
	Hide  int           // the list leaves out that many machines, the last by name, and is not complete
	Stale bool          // of lists with Hide: it claims to be complete
}

// Inject adds a fault.
func (c *Cloud) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, &f)
}

// Heal takes all faults away.
func (c *Cloud) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
}

// StockOut is the error of a provider that has none left.
func StockOut() *abi.Error {
	return &abi.Error{Kind: abi.Capacity, Code: "ZONE_RESOURCE_POOL_EXHAUSTED", Message: "no machine of this type is left in the zone"}
}

// OverQuota is the error of an account that is at its limit.
func OverQuota() *abi.Error {
	return &abi.Error{Kind: abi.Quota, Code: "QUOTA_EXCEEDED", Message: "the account has no CPUs left"}
}

// RateLimited is the error of a provider that was called too often.
func RateLimited(retryAfter time.Duration) *abi.Error {
	return &abi.Error{Kind: abi.RateLimited, Code: "429", Message: "too many requests", RetryAfterS: int(retryAfter / time.Second)}
}

// Fail lets the cloud fail from now on in one of the ways that the suite of drivers knows (drivertest.Fault); "" heals it.
func (c *Cloud) Fail(name string) error {
	c.Heal()
	f, ok := map[string]Fault{
		"stock-out": {Op: OpCreate, Error: StockOut()}, "quota": {Op: OpCreate, Error: OverQuota()}, "rate limit": {Error: RateLimited(7 * time.Second)},
		"auth":        {Error: &abi.Error{Kind: abi.Auth, Code: "401", Message: "the token is not valid"}},
		"trouble":     {Error: &abi.Error{Kind: abi.Transient, Code: "500", Message: "something went wrong"}},
		"lost answer": {Op: OpCreate, Lost: true}, "partial list": {Op: OpList, Hide: 1},
		"lost removal": {Op: OpRemove, Lost: true},
	}[name]
	if !ok && name != "" {
		return fmt.Errorf("the cloud does not know how to fail by %q", name)
	}
	f.Times = -1
	if name != "" {
		c.Inject(f)
	}
	return nil
}

// enter counts the call, lets a fault delay or refuse it, and returns what the fault does to the rest of it.
func (c *Cloud) enter(ctx context.Context, op, name string, o abi.Options) (Fault, error) {
	f := c.next(op, name, o)
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return f, refuse(op, abi.Transient, err.Error())
	}
	if f.Error != nil {
		return f, &driver.Error{Driver: "fake", Op: op, Info: *f.Error}
	}
	return f, nil
}

func (c *Cloud) next(op, name string, o abi.Options) Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[op]++
	for _, f := range c.faults {
		if f.Times == 0 || f.Op != "" && f.Op != op || f.Name != "" && f.Name != name || f.Zone != "" && f.Zone != o.Get(OptZone) {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return *f
	}
	return Fault{}
}

func refuse(op string, kind abi.ErrorKind, message string) error {
	return &driver.Error{Driver: "fake", Op: op, Info: abi.Error{Kind: kind, Message: message}}
}

func lost(op string) error {
	return refuse(op, abi.Transient, "the connection was closed before the answer came")
}
