package drivertest

import (
	"context"
	"errors"
	"strings"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	noSwitch = "the driver does not switch machines off and on"
	noLogs   = "the driver shows no console of a machine"
)

func switches(s Subject) string {
	if _, ok := s.Driver.(driver.Switcher); !ok || s.Fixed {
		return noSwitch
	}
	return ""
}

func consoles(s Subject) string {
	if _, ok := s.Driver.(driver.Logger); !ok {
		return noLogs
	}
	return ""
}

// without is said of what a driver need not be able to do, when it has answered by the code for that it can't; must says that this one has to. The
// check returns then. An examination tells that it was left out; in a test the answer is what was to be shown.
func (b *bench) without(must bool, why string) {
	b.t.Helper()
	if must {
		b.t.Fatalf("%s, and must", why)
	}
	if e, ok := b.t.(*examination); ok {
		e.Skipped = why
	}
}

// turn switches a machine as the host does: conflict and transient mean later.
func (b *bench) turn(op string, owner abi.Owner, name string) error {
	ctx, cancel := context.WithTimeout(b.t.Context(), b.Settle)
	defer cancel()
	return b.retry(ctx, func() error { return b.Driver.(driver.Switcher).Switch(ctx, op, b.removal(owner, name)) })
}

// switched takes a machine through all that people do with one. Each step twice is no error, and what is somebody else's is not touched.
func switched(b *bench) {
	name := b.name(0)
	must := func(op string) {
		if err := b.turn(op, b.owner, name); err != nil {
			b.t.Fatalf("%s: %v", op, err)
		}
	}
	runs := func() bool {
		i := b.find(b.owner, name)
		return i.Status == abi.StatusRunning && i.Address != ""
	}
	off := func() bool {
		s := b.find(b.owner, name).Status
		return s == abi.StatusStopped || s == abi.StatusInterrupted // the provider's own, if it may take the machine back
	}
	if err := b.turn(abi.ExportStop, b.owner, name); errors.Is(err, driver.ErrNoSwitch) { // a module may have the exports and nothing behind them
		b.without(b.Switches, noSwitch)
		return
	}
	made := b.create(b.owner, name)
	b.eventually("the machine runs", runs)
	for _, op := range []string{abi.ExportStop, abi.ExportKill} {
		must(op)
		b.eventually("it is off after "+op, off)
		must(op)
		must(abi.ExportStart)
		b.eventually("it runs again after "+op, runs)
		must(abi.ExportStart)
	}
	if err := b.turn(abi.ExportRestart, b.owner, name); err != nil && !errors.Is(err, driver.ErrNoSwitch) {
		b.t.Errorf("restart: %v", err)
	}
	b.eventually("it runs after a restart", runs)
	for _, op := range []string{abi.ExportStart, abi.ExportStop, abi.ExportKill, abi.ExportRestart} {
		for whose, owner := range map[string]abi.Owner{"another owner's machine": b.other, "no machine": b.owner} {
			of := name
			if owner == b.owner {
				of = b.name(1)
			}
			if err := b.turn(op, owner, of); !errors.Is(err, driver.ErrNotFound) && !errors.Is(err, driver.ErrNoSwitch) {
				b.t.Errorf("%s of %s: %v, want %v", op, whose, err, driver.ErrNotFound)
			}
		}
	}
	if i := b.find(b.owner, name); i.Status != abi.StatusRunning || i.ID != made.ID {
		b.t.Errorf("at the end it is %+v, and was made as %s", i, made.ID)
	}
	b.remove(b.owner, name)
	b.gone(b.owner, name)
}

// console looks at what a machine writes, which is for its owner.
func console(b *bench) {
	name := b.name(0)
	read := func(owner abi.Owner, name string) (string, error) {
		return b.Driver.(driver.Logger).Logs(b.t.Context(), b.removal(owner, name))
	}
	if _, err := read(b.owner, name); errors.Is(err, driver.ErrNoLogs) {
		b.without(b.Console != "", noLogs)
		return
	}
	b.create(b.owner, name)
	b.eventually("the machine runs", func() bool { return b.find(b.owner, name).Status == abi.StatusRunning })
	b.eventually("its console shows "+b.Console, func() bool {
		text, err := read(b.owner, name)
		if err != nil {
			b.t.Fatalf("logs: %v", err)
		}
		return strings.Contains(text, b.Console)
	})
	if text, err := read(b.other, name); !errors.Is(err, driver.ErrNotFound) {
		b.t.Errorf("logs of another owner's machine: %q, %v", text, err)
	}
	if text, err := read(b.owner, b.name(1)); !errors.Is(err, driver.ErrNotFound) {
		b.t.Errorf("logs of no machine: %q, %v", text, err)
	}
	b.remove(b.owner, name)
	b.gone(b.owner, name)
}
