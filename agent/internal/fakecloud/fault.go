package fakecloud

import (
	"cmp"
	"net/http"
	"time"
)

// The operations of the provider's API, for faults and in the ledger.
const (
	OpCreate = "create"
	OpList   = "list" // of one page
	OpGet    = "get"
	OpRemove = "remove"
)

// Fault is something that goes wrong. Of several that fit a call, the one that was added first hits; one that is used up fits no more.
type Fault struct {
	Op    string `json:"op,omitempty"`    // "" is any
	Name  string `json:"name,omitempty"`  // the machine's; "" is any
	Zone  string `json:"zone,omitempty"`  // of a creation; "" is any
	Type  string `json:"type,omitempty"`  // of a creation; "" is any
	Spot  bool   `json:"spot,omitempty"`  // only creations of spot machines
	After int    `json:"after,omitempty"` // calls that fit and that it lets pass before
	Times int    `json:"times,omitempty"` // calls that it hits; 0 is one, less than 0 is all until they are healed

	DelayMS int `json:"delay_ms,omitempty"` // first, the call takes so much longer

	Status      int    `json:"status,omitempty"` // the call is refused with this status and nothing happens; 0: it is done
	Code        string `json:"code,omitempty"`   // of the refusal
	Message     string `json:"message,omitempty"`
	RetryAfterS int    `json:"retry_after_s,omitempty"`

	Lost   bool `json:"lost,omitempty"`    // the connection breaks before the answer; what was asked for is done, also when the caller is gone
	Half   bool `json:"half,omitempty"`    // what was asked for is done, and the answer is a failure of the cloud
	Junk   bool `json:"junk,omitempty"`    // nothing is done, and the answer makes no sense
	Hide   int  `json:"hide,omitempty"`    // so many instances are missing from the page, whose zones it names as unreachable
	BootMS int  `json:"boot_ms,omitempty"` // the machine that is created boots so long
	Fate   Act  `json:"fate,omitempty"`    // the machine that is created is so from the start: Mute or Close
}

// StockOut is a zone that has no machines of a type left.
func StockOut() Fault {
	return Fault{Op: OpCreate, Status: http.StatusServiceUnavailable, Code: CodeStockOut, Message: "no machine of this type is left in the zone"}
}

// OverQuota is an account that is at its limit.
func OverQuota() Fault {
	return Fault{Op: OpCreate, Status: http.StatusForbidden, Code: CodeQuota, Message: "the account has no CPUs left"}
}

// RateLimited is a caller who called too often.
func RateLimited(retryAfter time.Duration) Fault {
	return Fault{Status: http.StatusTooManyRequests, Code: CodeRate, Message: "too many requests", RetryAfterS: int(retryAfter / time.Second)}
}

// Denied is a caller whose credentials are refused.
func Denied() Fault {
	return Fault{Status: http.StatusUnauthorized, Code: CodeAuth, Message: "the token is not valid"}
}

// Broken is a cloud that has trouble of its own.
func Broken() Fault {
	return Fault{Status: http.StatusInternalServerError, Code: "INTERNAL", Message: "something went wrong here"}
}

// faults are the ways to fail that the suite of drivers knows.
func faults() map[string]Fault {
	return map[string]Fault{
		"stock-out": StockOut(), "quota": OverQuota(), "rate limit": RateLimited(7 * time.Second), "auth": Denied(), "trouble": Broken(),
		"lost answer": {Op: OpCreate, Lost: true}, "partial list": {Op: OpList, Hide: 1},
		"lost removal": {Op: OpRemove, Lost: true}, "half-made": {Op: OpCreate, Half: true}, "junk": {Junk: true}, "silent": {DelayMS: 60_000},
	}
}

// Says returns the code and the words of the refusals under a fault that Fail knows; both are "" when it is none.
func Says(name string) (code, words string) {
	f := faults()[name]
	return f.Code, f.Message
}

// Fail lets the cloud fail from now on in one of the ways that the suite of drivers knows: stock-out, quota, rate limit (of 7 seconds), auth,
// trouble, lost answer (of creations), partial list, lost removal, half-made, junk and silent. "" heals it.
func (c *Cloud) Fail(name string) error {
	c.Heal()
	f, ok := faults()[name]
	if !ok && name != "" {
		return refuse(http.StatusBadRequest, CodeInvalid, "the cloud does not know how to fail by "+name)
	}
	f.Times = -1
	if name != "" {
		c.Inject(f)
	}
	return nil
}

// Inject adds a fault.
func (c *Cloud) Inject(f Fault) {
	f.Times = cmp.Or(f.Times, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, &f)
}

// Heal takes all faults away; machines that are mute or closed stay so.
func (c *Cloud) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
}

// Faults returns what is left of the faults: those that are not used up.
func (c *Cloud) Faults() []Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := []Fault{}
	for _, f := range c.faults {
		if f.Times != 0 {
			left = append(left, *f)
		}
	}
	return left
}

// hit returns the fault that hits a call. The caller does not hold mu.
func (c *Cloud) hit(op string, r CreateRequest) Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.faults {
		switch {
		case f.Times == 0 || f.Op != "" && f.Op != op || f.Name != "" && f.Name != r.Name:
		case f.Zone != "" && f.Zone != r.Zone || f.Type != "" && f.Type != r.Type || f.Spot && !r.Spot:
		case f.After > 0:
			f.After--
		default:
			if f.Times > 0 {
				f.Times--
			}
			return *f
		}
	}
	return Fault{}
}
