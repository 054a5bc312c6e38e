package main

import (
	"errors"
	"flag"
	"os"
	"testing"
)

var all = flag.Bool("crash.all", false, "kill the agent that recovers, too, at every point of its recovery")

// jobs are how many come in a day.
const jobs = 2

// day is what an agent lives through: it makes a machine, jobs come and wear it out, and another one stands by. Jobs that were running when an
// agent died stay so; nobody waits for them. It is false when the agent died before.
func (w *world) day(a *agent) bool {
	w.t.Helper()
	lost := map[int64]bool{}
	for _, j := range w.coordinator.Jobs() {
		lost[j.ID] = j.State == "running"
	}
	return a.until("the jobs are done", func() bool {
		for _, j := range w.coordinator.Jobs() {
			if !lost[j.ID] && (j.State == "pending" || j.State == "running") {
				return false
			}
		}
		return true
	}) && a.settled()
}

// agents lets agents live one after the other, each of which dies at its point, and one more that lives on until all is well and then ends. It
// returns the points that the agents reached and how many did not come to their own: they are killed when the day is over.
func (w *world) agents(dies ...string) (reached [][]string, spared int) {
	w.t.Helper()
	for range jobs {
		w.enqueue()
	}
	for _, point := range dies {
		a := w.start(point)
		if w.day(a) {
			spared++
			a.kill()
		}
		reached = append(reached, w.reached())
	}
	a := w.start("")
	if !w.day(a) {
		w.t.Fatalf("the agent that nobody killed ended: %v", a.err)
	}
	reached = append(reached, w.reached())
	a.stop()
	// Two machines are a day's need. An agent that dies spoils at most two more: one that a job is on, and one that is half made.
	w.empty(2 + 2*len(dies))
	return reached, spared
}

// TestCrash kills the agent at every change of the journal and every driver call of a day, one after the other, and starts it again. When it has
// settled, the cloud's ledger and the journal agree, and no machine was made twice or lost. Every seventh case kills the agent that recovers as
// well, at a point of its own, each at another one; with -crash.all every case does, at every point of its recovery.
func TestCrash(t *testing.T) {
	var points []string
	t.Run("nobody dies", func(t *testing.T) {
		reached, _ := newWorld(t).agents()
		points = reached[0]
	})
	if len(points) < 50 && !t.Failed() {
		t.Errorf("the day has %d points only: %v", len(points), points)
	}
	results := make(chan bool, len(points))
	t.Run("the agent dies", func(t *testing.T) {
		for n, point := range points {
			t.Run(point, func(t *testing.T) {
				t.Parallel()
				reached, spared := newWorld(t).agents(point)
				results <- spared == 0
				if spared == 0 && (n%7 == 0 || *all) {
					again(t, point, reached[1], n)
				}
			})
		}
	})
	close(results)
	ran, died := len(results), 0
	for d := range results {
		if d {
			died++
		}
	}
	if ran == len(points) && died < len(points)*3/4 {
		t.Errorf("in %d of %d cases the agent did not come by its point", len(points)-died, len(points))
	}
	t.Logf("%d points, %d cases, and the agent died in %d of them", len(points), ran, died)
}

// again kills the agent that recovers from its death at point, at one of the points of its recovery or at each.
func again(t *testing.T, point string, recovery []string, n int) {
	if len(recovery) == 0 {
		return
	}
	if !*all {
		recovery = recovery[n%len(recovery):][:1]
	}
	for _, second := range recovery {
		t.Run("and again at "+second, func(t *testing.T) { newWorld(t).agents(point, second) })
	}
}

func TestPointsHaveNames(t *testing.T) {
	path := t.TempDir() + "/points"
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	m := &mortal{file: file, machines: map[string]int{}, times: map[string]int{}}
	for _, machine := range []string{"b", "a", "b", ""} {
		m.reach(machine, "save")
	}
	data, err := os.ReadFile(path)
	if want := "1 save #1\n2 save #1\n1 save #2\nsave #1\n"; string(data) != want || errors.Join(err, file.Close()) != nil {
		t.Errorf("%s, %v; want %s", data, err, want)
	}
}
