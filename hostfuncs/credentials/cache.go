package credentials

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	fetchTime  = 30 * time.Second // for one token
	retryAfter = 10 * time.Second // a failure holds, so that no guest can make the agent hammer a sign-in
	early      = 5 * time.Minute  // before a token expires, a new one is fetched; sooner in a short life
	background = time.Minute      // a token that is good for as long is still used while the new one comes
	minAge     = 30 * time.Second // of a token that is dropped because a server refused it
)

// material is what a credential stands for at the moment: a token, a password, keys.
type material struct {
	token   string    // what is attached
	id      string    // what goes with it: a user's name, an access key's ID
	session string    // the session token of temporary keys
	hidden  []string  // further values that a guest must not see
	expires time.Time // zero for never
}

// fetch gets the material of a credential for some scopes. about is what kind.about makes of the request. It blocks, at most until ctx is done.
type fetch func(ctx context.Context, scopes []string, about string) (material, error)

// cache keeps the material of one credential, by scopes and by what requests are about. Callers at the same time share one fetch, which no caller's end stops.
type cache struct {
	host  *host
	fetch fetch
	note  func(error) // called for each fetch that failed

	mu      sync.Mutex // guards entries and what they hold
	entries map[cacheKey]*entry
}

// cacheKey is what material depends on.
type cacheKey struct{ scopes, about string }

type entry struct {
	material material
	since    time.Time // when it was fetched, zero when it never was
	err      error     // of the last fetch
	retry    time.Time // when to try again after it
	flight   chan struct{}
}

func newCache(h *host, f fetch, note func(error)) *cache {
	return &cache{host: h, fetch: f, note: note, entries: map[cacheKey]*entry{}}
}

// errStale is a token that was out of date when it came.
var errStale = errors.New("what was fetched has expired already; check the clock of this machine")

// get returns material that holds now. It blocks while it is fetched, and no longer than ctx.
func (c *cache) get(ctx context.Context, key cacheKey, scopes []string) (material, error) {
	for waited := false; ; waited = true {
		m, flight, err := c.look(key, scopes, waited)
		if flight == nil {
			return m, err
		}
		select {
		case <-flight:
		case <-ctx.Done():
			return material{}, ctx.Err()
		}
	}
}

// look returns what there is, or the fetch to wait for. Who waited takes whatever came.
func (c *cache) look(key cacheKey, scopes []string, waited bool) (material, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		e = &entry{}
		c.entries[key] = e
	}
	now := c.host.now()
	valid := !e.since.IsZero() && (e.material.expires.IsZero() || now.Before(e.material.expires))
	if valid && (waited || now.Before(e.renewal())) {
		return e.material, nil, nil
	}
	if e.flight == nil {
		switch failed := e.err != nil && (waited || now.Before(e.retry)); {
		case failed && valid:
			return e.material, nil, nil
		case failed:
			return material{}, nil, e.err
		}
		e.flight = make(chan struct{})
		if !c.host.start(func(ctx context.Context) { c.run(ctx, e, scopes, key.about) }) {
			e.flight = nil
			return material{}, nil, errClosed
		}
	}
	if valid && e.material.expires.Sub(now) > background {
		return e.material, nil, nil
	}
	return material{}, e.flight, nil
}

// renewal is when to fetch again, before the present material expires.
func (e *entry) renewal() time.Time {
	if e.material.expires.IsZero() {
		return e.since.AddDate(100, 0, 0)
	}
	return e.material.expires.Add(-min(early, e.material.expires.Sub(e.since)/5))
}

// run is the one fetch of an entry that is under way.
func (c *cache) run(ctx context.Context, e *entry, scopes []string, about string) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	m, err := c.fetch(ctx, scopes, about)
	if err == nil && !m.expires.IsZero() && !c.host.now().Before(m.expires) {
		err = errStale
	}
	if err != nil && c.note != nil {
		c.note(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.host.now()
	if e.err = err; err != nil {
		e.retry = now.Add(retryAfter)
	} else {
		e.material, e.since = m, now
	}
	close(e.flight)
	e.flight = nil
}

// drop forgets material that a server refused, unless it is new: then another one would be refused too.
func (c *cache) drop(scopes string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range c.entries {
		if key.scopes == scopes && e.flight == nil && c.host.now().Sub(e.since) >= minAge {
			e.since = time.Time{}
		}
	}
}
