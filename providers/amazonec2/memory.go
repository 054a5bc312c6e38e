package main

import (
	"strings"
	"sync"
)

// memory is what the cloud was asked for already, so that a burst of machines doesn't ask again: network, groups and images by the options
// that they follow from. It lives as long as the instance of the module, and is forgotten when the cloud says that something is not there.
type memory struct {
	mu    sync.Mutex // natively calls run side by side
	known map[string]string
}

var remembered memory

// recall returns what find found before for the same key, or asks it.
func (m *memory) recall(find func() (string, error), key ...string) (string, error) {
	joined := strings.Join(key, "\x00")
	m.mu.Lock()
	value, ok := m.known[joined]
	m.mu.Unlock()
	if ok {
		return value, nil
	}
	value, err := find()
	if err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) > 1000 {
		m.known = map[string]string{}
	}
	m.known[joined] = value
	return value, nil
}

func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = nil
}
