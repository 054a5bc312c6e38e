package fakecloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The codes of refusals.
const (
	CodeInvalid  = "INVALID"
	CodeAuth     = "UNAUTHENTICATED"
	CodeNotFound = "NOT_FOUND"
	CodeTaken    = "CONFLICT"
	CodeQuota    = "QUOTA_EXCEEDED"
	CodeStockOut = "ZONE_RESOURCE_POOL_EXHAUSTED"
	CodeRate     = "RATE_LIMITED"
)

// maxBody is how many bytes of a request are read.
const maxBody = 1 << 20

var machineName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}$`)

// refusal is an answer of 400 or more: {"error":{"code":…,"message":…}}.
type refusal struct {
	status     int
	retryAfter int    // seconds
	Code       string `json:"code"`
	Message    string `json:"message"`
}

func (r *refusal) Error() string { return r.Message }

func refuse(status int, code, message string) error {
	return &refusal{status: status, Code: code, Message: message}
}

func (c *Cloud) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/instances", c.call(OpCreate, c.handleCreate))
	mux.HandleFunc("GET /v1/instances", c.call(OpList, c.handleList))
	mux.HandleFunc("GET /v1/instances/{name}", c.call(OpGet, c.handleGet))
	mux.HandleFunc("DELETE /v1/instances/{name}", c.call(OpRemove, c.handleRemove))
	c.control(mux)
	return mux
}

// request is one call on its way through the provider's API.
type request struct {
	*http.Request
	wish  CreateRequest // of creations; of others the name alone
	fault Fault
	entry Entry
}

// call serves one operation: it meets its fault, and stands in the ledger with what became of it.
func (c *Cloud) call(op string, do func(*request) (status int, answer any, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, hr *http.Request) {
		r := &request{Request: hr, wish: CreateRequest{Name: hr.PathValue("name")}}
		var unread error
		if op == OpCreate {
			unread = json.NewDecoder(http.MaxBytesReader(w, hr.Body, maxBody)).Decode(&r.wish)
		}
		r.fault = c.hit(op, r.wish)
		if !pause(hr, milliseconds(r.fault.DelayMS), r.fault.Lost) {
			return // nobody waits for it any more
		}
		if r.fault.Junk {
			_, _ = io.WriteString(w, `{"instances":[{`)
			return
		}
		r.entry = Entry{What: op, Name: r.wish.Name, Zone: r.wish.Zone, Type: r.wish.Type, Spot: r.wish.Spot, Tags: r.wish.Tags, Lost: r.fault.Lost}
		err := c.admit(r)
		if err == nil && unread != nil {
			err = refuse(http.StatusBadRequest, CodeInvalid, "the body: "+unread.Error())
		}
		var status int
		var answer any
		if err == nil {
			status, answer, err = do(r)
		}
		if err == nil && r.fault.Half {
			err = refuse(http.StatusInternalServerError, "INTERNAL", "something went wrong on the way")
		}
		var no *refusal
		if errors.As(err, &no) {
			status, answer = no.status, map[string]any{"error": no}
			r.entry.Code = no.Code
			if no.retryAfter > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(no.retryAfter))
			}
		}
		r.entry.Status = status
		c.mu.Lock()
		c.note(r.entry)
		c.mu.Unlock()
		if r.fault.Lost {
			panic(http.ErrAbortHandler) // net/http's way to break a connection
		}
		reply(w, status, answer)
	}
}

// admit refuses a call that its fault, its missing token or the account's rate limit forbids.
func (c *Cloud) admit(r *request) error {
	if f := r.fault; f.Status != 0 {
		return &refusal{status: f.Status, retryAfter: f.RetryAfterS, Code: f.Code, Message: f.Message}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if token := c.settings.Token; token != "" && r.Header.Get("Authorization") != "Bearer "+token {
		return refuse(http.StatusUnauthorized, CodeAuth, "the token is missing or not valid")
	}
	if now := time.Now().Unix(); now != c.second {
		c.second, c.inSecond = now, 0
	}
	if c.inSecond++; c.settings.CallsPerS > 0 && c.inSecond > c.settings.CallsPerS {
		return &refusal{status: http.StatusTooManyRequests, retryAfter: 1, Code: CodeRate,
			Message: fmt.Sprintf("more than %d calls in a second", c.settings.CallsPerS)}
	}
	return nil
}

func (c *Cloud) handleCreate(r *request) (int, any, error) {
	made, err := c.create(r.wish, r.fault)
	r.entry.ID = made.ID
	return http.StatusCreated, made, err
}

func (c *Cloud) handleGet(r *request) (int, any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.live[r.wish.Name]
	if i == nil {
		return 0, nil, refuse(http.StatusNotFound, CodeNotFound, "there is no machine "+r.wish.Name)
	}
	r.entry.ID = i.ID
	return http.StatusOK, i.now(), nil
}

func (c *Cloud) handleRemove(r *request) (int, any, error) {
	gone, err := c.remove(r.wish.Name, r.URL.Query().Get("id"))
	r.entry.ID, r.entry.Tags = gone.ID, gone.Tags
	return http.StatusAccepted, struct{}{}, err
}

// handleList answers with the page of machines whose names come after the token, in their order.
func (c *Cloud) handleList(r *request) (int, any, error) {
	query := r.URL.Query()
	key, value, one := strings.Cut(query.Get("tag"), ":")
	if key != "" {
		r.entry.Tags = Tags{key: value}
	}
	found, size := c.seen(func(i Instance) bool {
		has, tagged := i.Tags[key]
		return i.Name > query.Get("page") && (key == "" || tagged && (!one || has == value))
	})
	page := Page{Instances: found}
	if len(found) > size {
		page.Instances, page.Next = found[:size], found[size-1].Name
	}
	if hide := min(r.fault.Hide, len(page.Instances)); hide > 0 {
		keep := len(page.Instances) - hide
		for _, i := range page.Instances[keep:] {
			if !slices.Contains(page.Unreachable, i.Zone) {
				page.Unreachable = append(page.Unreachable, i.Zone)
			}
		}
		page.Instances = page.Instances[:keep]
	}
	r.entry.Count = len(page.Instances)
	return http.StatusOK, page, nil
}

// seen returns the machines that a list shows, by name, and the size of a page.
func (c *Cloud) seen(want func(Instance) bool) (found []Instance, pageSize int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Now().Add(-milliseconds(c.settings.LagMS))
	byName := map[string]Instance{}
	for _, i := range c.past {
		if shown, ok := i.seen(at); ok && want(shown) {
			byName[shown.Name] = shown
		}
	}
	for _, i := range c.live {
		if shown, ok := i.seen(at); ok && want(shown) {
			byName[shown.Name] = shown
		}
	}
	found = []Instance{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		found = append(found, byName[name])
	}
	return found, c.settings.pageSize()
}

// pause waits; false when the caller went away first, unless it is done anyway.
func pause(r *http.Request, d time.Duration, anyway bool) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	gone := r.Context().Done()
	if anyway {
		gone = nil
	}
	select {
	case <-timer.C:
		return true
	case <-gone:
		return false
	}
}

func reply(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // whoever went away wants no answer
}
