package group

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// unclaimed is what the names of instances begin with that no machine has.
const unclaimed = "unclaimed-"

// Unclaimed is the name that an instance is listed under while no machine has it. It is a DNS label.
func Unclaimed(id string) string {
	legible := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(id))
	sum := sha256.Sum256([]byte(id))
	return unclaimed + legible[:min(len(legible), 40)] + "-" + hex.EncodeToString(sum[:4])
}

// IsUnclaimed tells whether a name is one that Unclaimed gives.
func IsUnclaimed(name string) bool { return strings.HasPrefix(name, unclaimed) }

// list shows every machine, and the instances that none has, but for those that are going.
func (b *books) list() []abi.Instance {
	var out []abi.Instance
	for _, name := range slices.Concat(b.waiting, b.unwanted) {
		out = append(out, b.instance(name))
	}
	for _, name := range slices.Sorted(maps.Keys(b.failed)) {
		out = append(out, b.instance(name))
	}
	for _, name := range slices.Sorted(maps.Keys(b.claims)) {
		out = append(out, b.instance(name))
	}
	for _, id := range sorted(b.instances) {
		if i := b.instances[id]; b.owners[id] == "" && i.State != Deleting {
			out = append(out, abi.Instance{Name: Unclaimed(id), ID: id, Status: status(i.State)})
		}
	}
	return out
}

// instance is a machine's instance as a driver shows it.
func (b *books) instance(name string) abi.Instance {
	out := abi.Instance{Name: name, Status: abi.StatusCreating}
	if why, ok := b.failed[name]; ok {
		out.Status, out.Error = abi.StatusGone, &why
		return out
	}
	c := b.claims[name]
	if c == nil {
		return out
	}
	out.ID = c.id
	i := b.instances[c.id]
	switch {
	case c.gone:
		out.Status, out.Message = abi.StatusGone, c.why
	default:
		out.Status, out.Address = status(i.State), c.address
		if i.State == Deleting {
			out.Message = "its group deletes it"
		}
	}
	return out
}

// status is a state in a driver's words. A group that deletes an instance is a provider that takes it back.
func status(s State) abi.Status {
	switch s {
	case Creating:
		return abi.StatusCreating
	case Running:
		return abi.StatusRunning
	case Deleting:
		return abi.StatusInterrupted
	case Deleted:
		return abi.StatusGone
	}
	return abi.StatusUnknown
}

// addressless lists the running instances that machines have and whose address is not known yet.
func (b *books) addressless() []string {
	var ids []string
	for _, c := range b.claims {
		if i := b.instances[c.id]; i != nil && i.State == Running && c.address == "" && i.doom == nil {
			ids = append(ids, c.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// reached notes an instance's address.
func (b *books) reached(id, address string) {
	if c := b.claims[b.owners[id]]; c != nil {
		c.address = address
	}
}

// expects tells whether something is about to change.
func (b *books) expects() bool {
	if len(b.waiting)+len(b.unwanted) > 0 || len(b.asks) > 0 {
		return true
	}
	for id, i := range b.instances {
		if i.doom != nil || i.missed > 0 || i.State != Running {
			return true
		}
		if c := b.claims[b.owners[id]]; c != nil && c.address == "" {
			return true
		}
	}
	return false
}

// count fills in the numbers that are the books'.
func (b *books) count(s *Stats) {
	s.Max, s.Pending, s.Requested = b.max, b.pending(), max(len(b.waiting)-b.pending(), 0)
	s.Missed, s.Removed, s.Settled, s.Lists = b.missed, b.removed, b.settled, b.lists
	for _, i := range b.instances {
		switch {
		case i.doom != nil || i.State == Deleting:
			s.Deleting++
		case i.State == Creating:
			s.Creating++
		default:
			s.Running++
		}
	}
}

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// byAge orders instances by when they showed up.
func byAge(x, y *instance) int { return cmp.Or(x.first.Compare(y.first), cmp.Compare(x.ID, y.ID)) }

// infoOf is an error as data.
func infoOf(err error) abi.Error {
	var e *driver.Error
	if errors.As(err, &e) {
		return e.Info
	}
	return abi.Error{Kind: abi.Transient, Message: err.Error()}
}
