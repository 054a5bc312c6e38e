package drivertest

import (
	"slices"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func hasInvalid(s Subject) string {
	if s.Invalid == nil {
		return "the subject has no invalid options"
	}
	return ""
}

func counts(s Subject) string {
	if s.Calls == nil {
		return "nobody counts the provider's calls"
	}
	return ""
}

func puts(s Subject) string {
	if s.Put == nil {
		return "the provider can't be made to change a machine's state"
	}
	return ""
}

// states lets a machine be in each state that the provider can put it into. One that is gone may be listed as such or not at all.
func states(b *bench) {
	for n, status := range b.States {
		name := b.name(n)
		b.create(b.owner, name)
		b.eventually("list shows "+name, func() bool { return b.find(b.owner, name).Status == abi.StatusRunning })
		if err := b.Put(name, status); err != nil {
			b.t.Fatalf("put %s into the state %s: %v", name, status, err)
		}
		b.eventually(name+" is "+string(status), func() bool {
			seen := b.find(b.owner, name)
			return seen.Status == status || status == abi.StatusGone && seen.Name == ""
		})
	}
	for n := range b.States {
		b.remove(b.owner, b.name(n))
		b.gone(b.owner, b.name(n))
	}
}

// frugal compares what a list costs with one machine and with four, which may take another page.
func frugal(b *bench) {
	cost := func(machines int) int {
		b.eventually("list shows the machines", func() bool {
			running := slices.DeleteFunc(b.list(b.owner), func(i abi.Instance) bool { return i.Status != abi.StatusRunning })
			return len(running) == machines
		})
		before := b.Calls()
		b.list(b.owner)
		return b.Calls() - before
	}
	b.create(b.owner, b.name(0))
	one := cost(1)
	for n := 1; n < 4; n++ {
		b.create(b.owner, b.name(n))
	}
	if four := cost(4); four-one >= 3 {
		b.t.Errorf("a list of one machine takes %d calls of the provider, one of four %d", one, four)
	}
}
