package dockermachine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestRestart has a provider without a restart of its own, which is still at the stop when the start is asked for: the machine has another address
// then, which the store learns.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(t, "m")
	w.switching = true
	c := w.machines()
	e, err := c.ours("m")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.power(t.Context(), "restart", &e); err != nil {
		t.Fatal(err)
	}
	if want := []string{"restart", "stop", "start", "start"}; !slices.Equal(w.turns, want) {
		t.Errorf("the provider was asked for %v, want %v", w.turns, want)
	}
	if err := c.until(t.Context(), &e, abi.StatusRunning, true); err != nil || e.Machine.Instance.Address != "127.0.0.2" {
		t.Errorf("%v, at %s", err, e.Machine.Instance.Address)
	}
}

// TestStop switches machines off, one of them a spot instance: its provider's word for that is that it takes it back.
func TestStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(t, "m")
	w.add(t, "spot")
	w.switching = true
	if err := w.machines().Switch(t.Context(), "stop", []string{"m"}); err != nil || !strings.Contains(w.out.String(), `Machine "m" was stopped.`) {
		t.Errorf("%v\n%s", err, w.out.String())
	}
	if e, _ := w.store.Entry("m"); e.Machine.Instance.Status != abi.StatusStopped {
		t.Errorf("the store says %s", e.Machine.Instance.Status)
	}
	if err := w.machines().Switch(t.Context(), "stop", []string{"m"}); err == nil || !strings.Contains(err.Error(), "is already stopped") {
		t.Errorf("again: %v", err)
	}
	w.set("spot", abi.StatusInterrupted)
	if err := w.machines().Switch(t.Context(), "kill", []string{"spot"}); err != nil {
		t.Errorf("a spot instance: %v", err)
	}
}

// TestLogs shows the console where there is one, and says why when there is none.
func TestLogs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(t, "m")
	log, err := w.machines().openLog("m")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(log, "phase engine took 3s")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	const provisioned = "phase engine took 3s\n"
	denied := &driver.Error{Driver: "cloud", Op: "logs", Info: abi.Error{Kind: abi.Auth, Message: "the key may not"}}
	for name, tc := range map[string]struct {
		console         string
		err             error
		kind            LogKind
		out, warn, fail string
	}{
		"a console":                  {"[ 0.0] Linux\r\nlogin: ", nil, LogKind{}, "[ 0.0] Linux\nlogin: \n", "", ""},
		"one that plays tricks":      {"\x1b[2J\x1b]0;title\x07\x9b1m\x1b[31;1mred\x1b[0m\x08\x00\tend\n", nil, LogKind{}, "1mred\tend\n", "", ""},
		"none":                       {"", driver.ErrNoLogs, LogKind{}, provisioned, "", ""},
		"an empty one":               {"", nil, LogKind{}, provisioned, "", ""},
		"an empty one that is meant": {"", nil, LogKind{Console: true}, "", "", ""},
		"none, and it is meant":      {"", driver.ErrNoLogs, LogKind{Console: true}, "", "", "machine m: console: the driver shows no console"},
		"one that may not be read":   {"", denied, LogKind{}, provisioned, "the key may not", ""},
		"that, and it is meant":      {"", denied, LogKind{Console: true}, "", "", "the key may not"},
		"not meant":                  {"Linux", nil, LogKind{Provision: true}, provisioned, "", ""},
	} {
		w.console, w.consoleErr = tc.console, tc.err
		err := w.machines().Logs(t.Context(), []string{"m"}, tc.kind)
		if (err == nil) != (tc.fail == "") || err != nil && !strings.Contains(err.Error(), tc.fail) {
			t.Errorf("%s: %v, want %q", name, err, tc.fail)
		}
		if w.out.String() != tc.out || !strings.Contains(w.err.String(), tc.warn) || tc.warn == "" && w.err.Len() > 0 {
			t.Errorf("%s: got %q and %q, want %q and %q", name, w.out.String(), w.err.String(), tc.out, tc.warn)
		}
	}
	if err := w.machines().Logs(t.Context(), []string{"none"}, LogKind{}); err == nil || errors.Is(err, driver.ErrNoLogs) {
		t.Errorf("no machine: %v", err)
	}
}
