package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// troubled is a world in which things go wrong, and an operator has his hands on the machines. The runner would have its machines in a zone that
// has none, and may have them elsewhere.
func troubled(t *testing.T) *world {
	w := newWorld(t)
	w.grace = 300 * time.Millisecond
	w.write("config.toml", strings.Replace(w.config(), `MachineOptions = [`, `MachineOptions = ["fakecloud-zone=a", `, 1))
	w.write("millwright.toml", w.operator()+"[runners.build]\nalternatives = [[\"fakecloud-zone=b\"]]\n")
	return w
}

// trouble is a day in such a world, hour by hour. It is false when the agent died; the next agent has the hour in which that was once more.
func (w *world) trouble(a *agent) bool {
	w.t.Helper()
	hours := []func(*agent) bool{w.stockOut, w.lostReply, w.hold, w.freeze, w.orphan}
	for w.hour < len(hours) {
		if !hours[w.hour](a) {
			return false
		}
		w.cloud.Heal()
		if !a.settled() {
			return false
		}
		w.hour++
	}
	return a.settled() // the day may have been over when this agent began
}

// stockOut has a creation fail in the first zone, and one go well in the next.
func (w *world) stockOut(a *agent) bool {
	fault := fakecloud.StockOut()
	fault.Zone, fault.Times = "a", -1
	w.cloud.Heal()
	w.cloud.Inject(fault)
	return a.until("there is a machine in the other zone", func() bool {
		live := w.cloud.Summary().Live
		return len(live) == 1 && live[0].Zone == "b" && w.serving() != ""
	})
}

// lostReply has a machine cordoned, so that another one is made, whose creation is never answered. It is uncordoned then: one of both goes.
func (w *world) lostReply(a *agent) bool {
	w.cloud.Heal()
	w.cloud.Inject(fakecloud.Fault{Op: fakecloud.OpCreate, Lost: true})
	return a.mark("cordon") && a.serves() && a.unmark("uncordon")
}

// hold has a machine held, so that another one is made. When it is released one of both can't be removed for a while.
func (w *world) hold(a *agent) bool {
	w.cloud.Heal()
	if !a.mark("hold?for=1h") || !a.serves() {
		return false
	}
	w.cloud.Inject(fakecloud.Fault{Op: fakecloud.OpRemove, Status: http.StatusInternalServerError, Times: -1})
	return a.unmark("release") && a.until("what can't be removed is on the ledger", func() bool {
		return slices.ContainsFunc(w.machines(), func(m fleet.Machine) bool {
			return m.State == fleet.Removing && m.RemoveTries > 0 && m.RemoveErr != ""
		})
	})
}

// freeze has the operator stop all creating and removing while another machine is wanted: none is made before the freeze ends.
func (w *world) freeze(a *agent) bool {
	if f, _ := journal.ReadFreeze(w.stateDir); !f.Since.IsZero() && !a.order(http.MethodDelete, "/v1/freeze") {
		return false // of the agent that died; it may have left no machine to cordon
	}
	if !a.serves() || !a.order(http.MethodPost, "/v1/freeze?for=1h") || !a.mark("cordon") || !a.looks(1) {
		return false
	}
	s := w.cloud.Summary()
	if !a.looks(3) {
		return false
	}
	if now := w.cloud.Summary(); now.Made != s.Made || now.Calls[fakecloud.OpRemove] != s.Calls[fakecloud.OpRemove] {
		w.t.Errorf("the frozen agent made %d machines and asked for %d removals", now.Made-s.Made,
			now.Calls[fakecloud.OpRemove]-s.Calls[fakecloud.OpRemove])
	}
	return a.order(http.MethodDelete, "/v1/freeze") && a.serves() && a.unmark("uncordon")
}

// orphan has an instance under our tag that no journal knows: it is found, and removed when its time is up.
func (w *world) orphan(a *agent) bool {
	const name = "runner-lost-1-0000000a"
	made := w.cloud.Ledger(0, fakecloud.FactMade)
	if !slices.ContainsFunc(made, func(e fakecloud.Entry) bool { return e.Name == name }) {
		body, err := json.Marshal(fakecloud.CreateRequest{Name: name, Zone: "b", Tags: made[0].Tags})
		if err != nil {
			w.t.Fatal(err)
		}
		res, err := http.Post(w.cloud.URL()+"/v1/instances", "application/json", bytes.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		res.Body.Close()
	}
	return a.until("the orphan is gone", func() bool {
		return !slices.ContainsFunc(w.live(), func(m string) bool { return strings.HasPrefix(m, name+" ") })
	})
}

// machines are those of the journal that can be read.
func (w *world) machines() []fleet.Machine {
	w.t.Helper()
	machines, _, err := journal.Read(w.stateDir)
	if err != nil {
		w.t.Fatal(err)
	}
	return machines
}

// serving is a machine that takes jobs, "" when there is none.
func (w *world) serving() string {
	for _, m := range w.machines() {
		if !m.Kept() && m.RemoveReason == "" && (m.State == fleet.Idle || m.State == fleet.Acquired) {
			return m.Name
		}
	}
	return ""
}

// marked tells a machine that takes no jobs because the operator said so.
func marked(m fleet.Machine) bool { return m.Kept() && m.State != fleet.Removing }

// order has the running agent do something, by its socket, until it says that it did. It is false when the agent ended first.
func (a *agent) order(method, path string) bool {
	a.w.t.Helper()
	return a.until(method+" "+path, func() bool { return a.ask(method, path) })
}

// serves waits for a machine that takes jobs.
func (a *agent) serves() bool {
	a.w.t.Helper()
	return a.until("a machine serves", func() bool { return a.w.serving() != "" })
}

// looks waits until the agent has asked the cloud for its machines so many times more.
func (a *agent) looks(times int) bool {
	a.w.t.Helper()
	lists := a.w.cloud.Summary().Calls[fakecloud.OpList]
	return a.until("the agent looks at the cloud", func() bool { return a.w.cloud.Summary().Calls[fakecloud.OpList] > lists+times })
}

// mark orders something of a machine that serves, unless one is marked already.
func (a *agent) mark(verb string) bool {
	a.w.t.Helper()
	return a.until(verb, func() bool {
		if slices.ContainsFunc(a.w.machines(), marked) {
			return true
		}
		name := a.w.serving()
		return name != "" && a.ask(http.MethodPost, "/v1/machines/"+name+"/"+verb)
	})
}

// unmark orders something of all machines that are marked.
func (a *agent) unmark(verb string) bool {
	a.w.t.Helper()
	return a.until(verb, func() bool {
		left := false
		for _, m := range a.w.machines() {
			if marked(m) {
				left = true
				a.ask(http.MethodPost, "/v1/machines/"+m.Name+"/"+verb)
			}
		}
		return !left
	})
}

// ask is one request to the agent's socket; it tells whether it was granted.
func (a *agent) ask(method, path string) bool {
	a.w.t.Helper()
	socket := supervisor.SocketPath(a.w.stateDir)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(a.w.t.Context(), method, "http://agent"+path, nil)
	if err != nil {
		a.w.t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return false // it is dead, or does not listen yet
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return res.StatusCode < 300
}
