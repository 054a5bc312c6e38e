package group

import (
	"fmt"
	"sync"
)

// Registry knows which group serves which driver, so that no two drivers of an agent share one: each would take the other's instances for
// nobody's. The zero value is empty. It is safe for concurrent use.
type Registry struct {
	mu    sync.Mutex // guards users
	users map[string]*Driver
}

// enter notes that a group serves d. A group without an id is nobody's.
func (r *Registry) enter(d *Driver, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.users[id]; other != nil && other != d {
		return fmt.Errorf("the group %s serves %s already; give each [runners.autoscaler] a group of its own", id, other.o.Runner)
	}
	if r.users == nil {
		r.users = map[string]*Driver{}
	}
	if id != "" {
		r.users[id] = d
	}
	return nil
}

// leave notes that no group serves d any more.
func (r *Registry) leave(d *Driver) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, user := range r.users {
		if user == d {
			delete(r.users, id)
		}
	}
}
