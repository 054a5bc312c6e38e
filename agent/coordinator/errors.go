package coordinator

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"unicode"
)

// ErrClient is a request that could not be made or understood because of this side: a bad URL, an unreadable TLS file, a coordinator
// that answers with something other than JSON. Like ErrForbidden it makes a runner unhealthy.
var ErrClient = errors.New("coordinator: no request possible")

// The kinds of refusal, for errors.Is.
var (
	ErrForbidden   error = statusError(http.StatusForbidden)           // the token is not valid
	ErrConflict    error = statusError(http.StatusConflict)            // another runner has the job
	ErrRateLimited error = statusError(http.StatusTooManyRequests)     // after all retries
	ErrGone        error = statusError(http.StatusGone)                // to Register: registration tokens are switched off
	ErrOrphaned    error = statusError(http.StatusUnprocessableEntity) // to Verify: the runner's project or group is gone
)

type statusError int

func (s statusError) Error() string { return http.StatusText(int(s)) }

// Error is a call that the coordinator refused or that did not reach it.
type Error struct {
	Op        string // what was asked, in words
	Host      string
	Status    int    // 0 when there was none
	Message   string // the coordinator's own words
	RequestID string // X-Request-Id, for the coordinator's logs
	Err       error  // why there is no status, or what is wrong with the body
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "coordinator %s: %s", e.Host, e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if hint := hints[e.Status]; hint != "" {
		fmt.Fprintf(&b, "; %s", hint)
	}
	if e.Status != 0 && e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	return b.String()
}

// Unwrap returns what lies beneath.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is compare the status.
func (e *Error) Is(target error) bool {
	s, ok := target.(statusError)
	return ok && e.Status == int(s)
}

// Passing tells whether a call failed for a reason that may pass: no answer came, or the coordinator was busy or broken. A refusal does not
// pass.
func Passing(err error) bool {
	var e *Error
	return errors.As(err, &e) && !errors.Is(err, ErrClient) && (e.Status == 0 || retriable(e.Status))
}

// hints say what to do, by status.
var hints = map[int]string{
	http.StatusMovedPermanently:      "set url to the place that it points to",
	http.StatusFound:                 "set url to the place that it points to",
	http.StatusForbidden:             "check the runner's token, and that the runner still exists",
	http.StatusGone:                  "create the runner in GitLab, and give its authentication token (glrt-...)",
	http.StatusRequestEntityTooLarge: "give the runner fewer or shorter labels",
}

// maxMessage is how much of the coordinator's words is shown, in bytes.
const maxMessage = 500

// message takes the coordinator's words out of an error body: {"message": "text"}, {"message": {"field": ["text"]}}, {"error": "text"},
// or an object store's XML with a Message element. Anything else gives "".
func message(body []byte) string {
	var reply struct {
		Message any    `json:"message"`
		Error   string `json:"error"`
	}
	if json.Unmarshal(body, &reply) == nil {
		if reply.Message == nil {
			return clean(reply.Error)
		}
		return clean(flatten(reply.Message))
	}
	var store struct{ Message string }
	if xml.Unmarshal(body, &store) == nil {
		return clean(store.Message)
	}
	return ""
}

func flatten(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, flatten(e))
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		var parts []string
		for field, e := range v {
			parts = append(parts, field+" "+flatten(e))
		}
		sort.Strings(parts)
		return strings.Join(parts, "; ")
	default:
		return fmt.Sprint(v)
	}
}

// clean makes foreign text fit for one line of a log.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return strings.TrimSpace(s)
}
