package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/journal"
)

// TestTroubleInTheCloud has a day with a cloud that fails in one way. When it has settled nothing is lost.
func TestTroubleInTheCloud(t *testing.T) {
	for name, tc := range map[string]struct {
		settings fakecloud.Settings
		faults   []fakecloud.Fault
		more     int // machines that may be made beside the day's own
	}{
		"creations are not answered": {faults: []fakecloud.Fault{{Op: fakecloud.OpCreate, Lost: true}}, more: 1},
		"removals are not answered":  {faults: []fakecloud.Fault{{Op: fakecloud.OpRemove, Lost: true, Times: 3}}},
		"looks are not answered":     {faults: []fakecloud.Fault{{Op: fakecloud.OpGet, Lost: true, Times: 3}}},
		"lists break":                {faults: []fakecloud.Fault{{Op: fakecloud.OpList, Status: 500, Times: 5}}},
		"lists lack machines":        {faults: []fakecloud.Fault{{Op: fakecloud.OpList, Hide: 3, Times: 20}}},
		"lists lag":                  {settings: fakecloud.Settings{BootMS: 60, LagMS: 300}, more: 2},
		"removals take their time":   {settings: fakecloud.Settings{RemoveMS: 400}},
		"stock-out, then trouble":    {faults: []fakecloud.Fault{fakecloud.Broken(), {Op: fakecloud.OpRemove, Status: 500, Times: 2}}, more: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cloud.Configure(tc.settings)
			for _, f := range tc.faults {
				w.cloud.Inject(f)
			}
			for range jobs {
				w.enqueue()
			}
			a := w.start("")
			if !w.day(a) {
				t.Fatalf("the agent ended: %v", a.err)
			}
			a.stop()
			w.gone()
			w.empty(2 + tc.more)
		})
	}
}

// A creation that goes through when the agent that asked for it is dead, and the next one has long taken it for failed, leaves no machine.
func TestCreationOutlivesItsAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cloud.Inject(fakecloud.Fault{Op: fakecloud.OpCreate, DelayMS: 8000, Lost: true})
	a := w.start("")
	a.until("the cloud is asked", func() bool { return len(w.cloud.Faults()) == 0 })
	if made := w.cloud.Summary().Made; made != 0 {
		t.Fatalf("%d machines were made already", made)
	}
	a.kill()
	a = w.start("")
	a.until("the machine is made after all, and another one", func() bool { return w.cloud.Summary().Made == 2 })
	if !a.settled() {
		t.Fatal("the agent ended")
	}
	a.stop()
	w.empty(2)
}

// A creation that goes through when not only the agent that asked for it is dead, but its runner has left the configuration, as the only one,
// leaves no machine: the next agent looks for a while where it had some.
func TestCreationOutlivesItsRunner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.grace = 500 * time.Millisecond
	w.cloud.Inject(fakecloud.Fault{Op: fakecloud.OpCreate, DelayMS: 8000, Lost: true})
	a := w.start("")
	a.until("the cloud is asked", func() bool { return len(w.cloud.Faults()) == 0 })
	if made := w.cloud.Summary().Made; made != 0 {
		t.Fatalf("%d machines were made already", made)
	}
	a.kill()
	settings, _, _ := strings.Cut(w.config(), "[[runners]]")
	w.write("config.toml", settings)
	a = w.start("")
	a.until("the journal has no machine any more", func() bool { all, _ := w.journalled(); return len(all) == 0 })
	a.until("the machine is made after all", func() bool { return w.cloud.Summary().Made == 1 })
	a.until("it is gone", func() bool { return len(w.live()) == 0 })
	a.stop()
	w.empty(1)
}

// Between two agents the clock may jump: the records then lie in the future, or far in the past.
func TestClockJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{"forward": 400 * 24 * time.Hour, "back": -400 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.start("")
			a.settled()
			before := w.live()
			a.kill()
			w.edit(before[0], func(record map[string]any) {
				for _, key := range []string{"created_at", "ready_at", "idle_since", "state_since"} {
					text, _ := record[key].(string)
					at, err := time.Parse(time.RFC3339, text)
					if err != nil {
						t.Fatalf("%s: %v", key, err)
					}
					record[key] = at.Add(-jump)
				}
			})
			a = w.start("")
			if !a.settled() {
				t.Fatal("the agent ended")
			}
			if after := w.live(); !slices.Equal(before, after) {
				t.Errorf("there was %v, there is %v", before, after)
			}
			a.stop()
			w.empty(1)
		})
	}
}

// TestLostStateDirectory has an agent that begins anew where all is lost: the machines of the one before are another owner's, which it leaves alone
// until the operator has it take them over.
func TestLostStateDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.grace = 500 * time.Millisecond
	a := w.start("")
	a.settled()
	lost, owner := w.live(), w.owner()
	a.kill()
	if err := os.RemoveAll(w.stateDir); err != nil {
		t.Fatal(err)
	}
	a = w.start("")
	a.until("the new agent has a machine of its own", func() bool {
		_, states := w.journalled()
		return states[fleet.Idle]+states[fleet.Acquired] == 1
	})
	lists := w.cloud.Summary().Calls[fakecloud.OpList]
	a.until("it has looked around for longer than its patience with orphans", func() bool {
		return w.cloud.Summary().Calls[fakecloud.OpList] > lists+15
	})
	if live := w.live(); len(live) != 2 || !slices.Contains(live, lost[0]) || w.owner() == owner {
		t.Errorf("the cloud has %v; %v must be left alone", live, lost)
	}
	a.stop() // it removes its own alone
	if live := w.live(); !slices.Equal(live, lost) {
		t.Errorf("the cloud has %v; want %v", live, lost)
	}

	if out, err := w.command("machine", "ls", "--orphans"); err != nil || !strings.Contains(out, owner) {
		t.Errorf("the machine is not shown as another owner's: %v\n%s", err, out)
	}
	if out, err := w.command("machine", "take-over", owner); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a = w.start("")
	a.until("the machine that was lost is removed", func() bool { return !slices.Contains(w.live(), lost[0]) })
	a.settled()
	a.stop()
	w.empty(3)
}

// A second agent on the same state directory says who holds it, and changes nothing.
func TestTwoAgents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start("")
	a.settled()
	points := w.points
	w.points = filepath.Join(w.dir, "second")
	second := w.start("")
	<-second.ended
	if text := second.log.String(); second.err == nil || !strings.Contains(text, "in use by another process (process id ") || !strings.Contains(text, "stop it first") {
		t.Errorf("the second agent: %v\n%s", second.err, text)
	}
	w.points = points
	if !a.settled() {
		t.Fatal("the first agent ended")
	}
	a.stop()
	w.empty(1)
}

// TestCorruptRecord has a machine whose record can't be read: it is named, and kept, both the file and the machine, for a human to look at.
func TestCorruptRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.grace = 500 * time.Millisecond
	a := w.start("")
	a.settled()
	spoilt := w.live()[0]
	a.kill()
	name, _, _ := strings.Cut(spoilt, " ")
	path := filepath.Join(w.stateDir, "store", "machines", name, "millwright.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, good[:len(good)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	a = w.start("")
	a.until("there is another machine", func() bool {
		machines, _, err := journal.Read(w.stateDir)
		return err == nil && len(machines) == 1 && machines[0].State != fleet.Creating
	})
	lists := w.cloud.Summary().Calls[fakecloud.OpList]
	a.until("it has looked around for longer than its patience with orphans", func() bool {
		return w.cloud.Summary().Calls[fakecloud.OpList] > lists+15
	})
	if live := w.live(); !slices.Contains(live, spoilt) {
		t.Errorf("the machine %s is gone; there is %v", spoilt, live)
	}
	a.kill()
	if text := a.log.String(); !strings.Contains(text, "unreadable record") || !strings.Contains(text, path[:strings.LastIndex(path, "/")]) {
		t.Errorf("the log does not name the record %s:\n%s", path, text)
	}

	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	a = w.start("")
	a.settled() // one of the two is too many
	a.stop()
	w.empty(2)
}

// edit changes the record of a machine.
func (w *world) edit(machine string, change func(map[string]any)) {
	w.t.Helper()
	name, _, _ := strings.Cut(machine, " ")
	path := filepath.Join(w.stateDir, "store", "machines", name, "millwright.json")
	data, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	record := map[string]any{}
	if err := json.Unmarshal(data, &record); err != nil {
		w.t.Fatal(err)
	}
	change(record)
	if data, err = json.Marshal(record); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) owner() string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.stateDir, "owner"))
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// gone waits until machines that are being deleted are.
func (w *world) gone() {
	w.t.Helper()
	for limit := time.Now().Add(patience); len(w.live()) > 0 && time.Now().Before(limit); {
		time.Sleep(5 * time.Millisecond)
	}
}
