package fakeasg

import (
	"net/http"
	"slices"
	"strconv"
)

// Fault is something that goes wrong. Of several that fit a request, the one that was added first does.
type Fault struct {
	Action string // "": any
	Times  int    // requests that it hits; 0 is one, less than 0 is all until Heal

	Status     int    // of the refusal; 0: none
	Code       string // of it, and its message
	Message    string
	RetryAfter int  // seconds; 0: not told
	Lost       bool // it is done, but the answer is lost
	Junk       bool // the answer is no XML
	Silent     bool // nobody answers
}

// The faults that befall every API of AWS.
var (
	Throttled = Fault{Status: 400, Code: "Throttling", Message: "Rate exceeded", RetryAfter: 7}
	Broken    = Fault{Status: 503, Code: "ServiceUnavailable", Message: "The request has failed due to a temporary failure of the server.", RetryAfter: 3}
	Bare      = Fault{Status: 502}
	Denied    = Fault{Status: 403, Code: "AccessDenied", Message: "User: arn:aws:iam::123456789012:user/ci is not authorized to perform this action"}
	Expired   = Fault{Status: 403, Code: "ExpiredToken", Message: "The security token included in the request is expired"}
	Lost      = Fault{Lost: true}
	Junk      = Fault{Junk: true}
	Silent    = Fault{Silent: true}
)

// Of returns the fault for one action alone.
func (f Fault) Of(action string) Fault {
	f.Action = action
	return f
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

// fault is what goes wrong with a request. The caller holds mu.
func (c *Cloud) fault(action string) Fault {
	i := slices.IndexFunc(c.faults, func(f *Fault) bool { return f.Times != 0 && (f.Action == "" || f.Action == action) })
	if i < 0 {
		return Fault{}
	}
	f := c.faults[i]
	if f.Times > 0 {
		f.Times--
	}
	return *f
}

// answer writes the refusal of a fault, and tells whether there was one.
func (f Fault) answer(w http.ResponseWriter, r *http.Request, s string) bool {
	switch {
	case f.Silent:
		<-r.Context().Done() // the caller gives up
		panic(http.ErrAbortHandler)
	case f.Junk:
		_, _ = w.Write([]byte("<html>it is lunch time"))
		return true
	case f.Status == 0:
		return false
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	refuse(w, s, refusal{f.Status, f.Code, f.Message})
	return true
}
