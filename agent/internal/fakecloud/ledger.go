package fakecloud

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// The facts in the ledger, beside the calls.
const (
	FactMade = "made" // a machine exists from now on
	FactGone = "gone" // it exists no more
)

// Entry is one line of the ledger: a call, or a fact.
type Entry struct {
	Seq    int       `json:"seq"` // from 1 on
	At     time.Time `json:"at"`
	What   string    `json:"what"` // an operation or a fact
	Name   string    `json:"name,omitempty"`
	ID     string    `json:"id,omitempty"`
	Zone   string    `json:"zone,omitempty"`
	Type   string    `json:"type,omitempty"`
	Spot   bool      `json:"spot,omitempty"`
	Tags   Tags      `json:"tags,omitempty"`
	Status int       `json:"status,omitempty"` // the answer's; of calls
	Code   string    `json:"code,omitempty"`   // of a refusal
	Lost   bool      `json:"lost,omitempty"`   // the answer never arrived
	Count  int       `json:"count,omitempty"`  // instances on the page; of lists
	Why    string    `json:"why,omitempty"`    // removed, vanished, preempted, expired; of FactGone
}

// Tags are what a machine was tagged with; of a list, what was asked for.
type Tags map[string]string

// Summary is the ledger in short.
type Summary struct {
	Live  []Instance     `json:"live"`  // by name; those that are being deleted are among them
	Made  int            `json:"made"`  // machines that ever were
	Twice []string       `json:"twice"` // names that were made more than once
	Calls map[string]int `json:"calls"` // by operation, refused ones included
}

// note adds an entry. The caller holds mu.
func (c *Cloud) note(e Entry) {
	e.Seq, e.At = len(c.ledger)+1, time.Now()
	c.ledger = append(c.ledger, e)
	if c.o.Ledger == nil {
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = c.o.Ledger.Write(append(line, '\n'))
	}
	if err != nil {
		c.log.Error("the ledger's file is not complete", "error", err)
	}
}

// fact notes what became of a machine. The caller holds mu.
func (c *Cloud) fact(what string, i *instance, why string) {
	c.note(Entry{What: what, Name: i.Name, ID: i.ID, Zone: i.Zone, Type: i.Type, Spot: i.Spot, Tags: i.Tags, Why: why})
}

// Ledger returns the entries after a number, all for 0, of the given kinds, or of any.
func (c *Cloud) Ledger(after int, what ...string) []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries := []Entry{}
	for _, e := range c.ledger[min(max(after, 0), len(c.ledger)):] {
		if len(what) == 0 || slices.Contains(what, e.What) {
			entries = append(entries, e)
		}
	}
	return entries
}

// Summary returns the ledger in short.
func (c *Cloud) Summary() Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Summary{Live: []Instance{}, Twice: []string{}, Calls: map[string]int{}}
	for _, name := range slices.Sorted(maps.Keys(c.live)) {
		s.Live = append(s.Live, c.live[name].now())
	}
	made := map[string]int{}
	for _, e := range c.ledger {
		switch e.What {
		case FactMade:
			s.Made++
			made[e.Name]++
			if made[e.Name] == 2 {
				s.Twice = append(s.Twice, e.Name)
			}
		case FactGone:
		default:
			s.Calls[e.What]++
		}
	}
	slices.SortFunc(s.Twice, strings.Compare)
	return s
}

// Calls counts the calls of the provider's API so far.
func (c *Cloud) Calls() int { return len(c.Ledger(0, OpCreate, OpList, OpGet, OpRemove)) }
