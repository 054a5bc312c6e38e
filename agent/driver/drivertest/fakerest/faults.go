package fakerest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// The faults that every cloud has: those of the suite of drivers, and more. StockOut, OverQuota, HalfMade and PartialList are for the cloud to have.
const (
	StockOut    = "stock-out"
	OverQuota   = "quota"
	RateLimited = "rate limit"
	Denied      = "auth"
	NoScope     = "no right"
	Broken      = "trouble"
	LostCreate  = "lost answer"
	PartialList = "partial list"
	LostRemove  = "lost removal"
	HalfMade    = "half-made"
	Junk        = "junk"
	OtherBody   = "other body"
	ProxyPage   = "proxy page"
	Silent      = "silent"
)

var faults = []string{"", StockOut, OverQuota, RateLimited, Denied, NoScope, Broken, LostCreate, PartialList, LostRemove, HalfMade, Junk, OtherBody, ProxyPage, Silent}

// RetryAfterS is what callers are told who called too often, as the suite of drivers has it.
const RetryAfterS = 7

// Fail lets the cloud fail from now on; "" heals it. more are faults of its own.
func (s *Server) Fail(name string, more ...string) error {
	if !slices.Contains(faults, name) && !slices.Contains(more, name) {
		return fmt.Errorf("the cloud does not know how to fail by %q", name)
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.fault = name
	return nil
}

// Fault is the present one.
func (s *Server) Fault() string {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.fault
}

// Failing tells whether that is the present fault. The caller holds Mu.
func (s *Server) Failing(name string) bool { return s.fault == name }

// Deny takes a scope away from the caller.
func (s *Server) Deny(scope string) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.denied[scope] = true
}

// Want is the refusal of a caller who lacks a scope beside that of the route; nil when he has it. The caller holds Mu.
func (s *Server) Want(scope string) error {
	if s.denied[scope] {
		return Refuse(http.StatusForbidden, "", "You are missing the required permission %s", scope)
	}
	s.scopes[scope] = true
	return nil
}

// Use counts requests of other clients against the hour's limit.
func (s *Server) Use(requests int) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.used += requests
}

// admit refuses a request that a fault, a missing token or a missing right forbids. The caller holds Mu.
func (s *Server) admit(r *Request, route Route) error {
	if t := s.dialect.Token; t != "" && r.Header.Get("Authorization") != "Bearer "+t {
		return Refuse(http.StatusUnauthorized, "", "Unable to authenticate you")
	}
	if s.denied[route.Scope] {
		return Refuse(http.StatusForbidden, "", "You are missing the required permission %s", route.Scope)
	}
	switch s.fault {
	case RateLimited:
		return &Refusal{Status: http.StatusTooManyRequests, Message: "API Rate limit exceeded.", Retry: RetryAfterS}
	case Denied:
		return Refuse(http.StatusUnauthorized, "", "Unable to authenticate you")
	case NoScope:
		return Refuse(http.StatusForbidden, "", "You are missing the required permission %s", route.Scope)
	case Broken:
		return Refuse(http.StatusServiceUnavailable, "", "Server Error")
	}
	return nil
}

// Calls returns how many requests have come.
func (s *Server) Calls() int {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.total
}

// Record returns how often each call was made, by its pattern.
func (s *Server) Record() map[string]int {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return maps.Clone(s.calls)
}

// Body returns the last body that was sent to a pattern.
func (s *Server) Body(pattern string) json.RawMessage {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.bodies[pattern]
}

// Scopes returns the rights that the calls so far took, sorted.
func (s *Server) Scopes() []string {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return slices.Sorted(maps.Keys(s.scopes))
}

// Wrong lists the requests that the cloud's library does not know. A test fails when there are any.
func (s *Server) Wrong() []string {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return slices.Clone(s.wrong)
}
