package main

import (
	"errors"
	"flag"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

var all = flag.Bool("crash.all", false, "kill the agent at every point of each day instead of one of each kind, and the agent that recovers, too")

// jobs are how many come in an ordinary day.
const jobs = 2

// course is one way for a day to go.
type course struct {
	name  string
	begin func(*testing.T) *world   // makes its world
	day   func(*world, *agent) bool // false when the agent died before its end; the next one goes on
	most  int                       // machines that are made when nobody dies
	more  int                       // that an agent that dies may cost at most
	late  int                       // the number of the machine whose points stand for their kind; those of others do where it has none
	again int                       // with -crash.all, points of each recovery at which the agent dies again; what comes later is a day like any other
	kinds []string                  // of points that must be among those of the day; without -crash.all the agent dies at one of each
}

var courses = []course{
	{
		name: "ordinary", day: (*world).day, most: 2, late: 1,
		begin: func(t *testing.T) *world {
			w := newWorld(t)
			for range jobs {
				w.enqueue()
			}
			return w
		},
		// An agent that dies spoils at most two machines: one that a job is on, and one that is half made.
		more: 2, again: 16,
		kinds: []string{
			"owner: write owner", "owner: put owner", "note a creation", "create: call", "create: answer", "list: call", "list: answer",
			"save creating: make folder", "save creating: write millwright.json", "save creating: put millwright.json",
			"save creating: put config.json", "save idle: write millwright.json", "save idle: put millwright.json", "save used: write millwright.json", "save used: put millwright.json",
			"save removing: write millwright.json", "save removing: put millwright.json", "remove: call", "remove: answer",
			"note a place: write places.json", "note a place: put places.json", "remove: hide", "remove: delete",
		},
	},
	{
		name: "troubled", begin: troubled, day: (*world).trouble, most: 6, late: 7,
		// And an hour of its day is once more.
		more: 4, again: 2,
		kinds: []string{
			"note setbacks: write setbacks.json", "note setbacks: put setbacks.json", "create: call", "create: answer", "remove: call", "remove: answer",
			"save creating: put millwright.json", "save idle: put millwright.json", "save removing: put millwright.json",
			"save removing: put config.json",
			"freeze: write freeze.json", "freeze: put freeze.json", "unfreeze", "remove: hide", "remove: delete",
		},
	},
}

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

// live lets agents live one after the other, each of which dies at its point, and one more that lives on until all is well and then ends. It
// returns the points that the agents reached and how many did not come to their own: they are killed when the day is over.
func (c course) live(t *testing.T, dies ...string) (reached [][]string, spared int) {
	t.Helper()
	w := c.begin(t)
	for _, point := range dies {
		a := w.start(point)
		if c.day(w, a) && (!periodic(point) || a.until("the point "+point, func() bool { return false })) {
			spared++
			a.kill()
		}
		reached = append(reached, w.reached())
	}
	a := w.start("")
	if !c.day(w, a) {
		t.Fatalf("the agent that nobody killed ended: %v", a.err)
	}
	reached = append(reached, w.reached())
	a.stop()
	w.empty(c.most + c.more*len(dies))
	return reached, spared
}

// tries are how many days an agent has to come by its point: how the loops of an agent fall in with each other is never twice the same.
const tries = 6

// dies is live until all agents die at their points; nil when they never come by these.
func (c course) dies(t *testing.T, points ...string) (reached [][]string) {
	t.Helper()
	for range tries {
		reached, spared := c.live(t, points...)
		if spared == 0 || t.Failed() {
			return reached
		}
	}
	return nil
}

// TestCrash kills the agent at each change of the journal and each driver call of a day, one after the other, and starts it again. When it has
// settled, the cloud's ledger and the journal agree, and no machine was made twice or lost. Without -crash.all it is killed at one point of each
// kind, and every seventh time the agent that recovers is killed as well, at another point each time; with it at every point of both days, and
// then again at those of its recovery.
func TestCrash(t *testing.T) {
	recoveries := map[string][]recovery{}
	for _, c := range courses {
		t.Run(c.name, func(t *testing.T) {
			points := c.points(t)
			recovered := make([]recovery, len(points))
			t.Run("the agent dies", func(t *testing.T) {
				for n, point := range points {
					t.Run(point, func(t *testing.T) {
						t.Parallel()
						reached := c.dies(t, point)
						if reached == nil { // nobody knows what becomes of it
							t.Fatalf("in %d days the agent never came by %q", tries, point)
						}
						recovered[n] = recovery{point, reached[1]}
					})
				}
			})
			recoveries[c.name] = recovered
		})
	}
	for _, c := range courses {
		t.Run(c.name+", twice", func(t *testing.T) {
			var tried, never atomic.Int64
			t.Cleanup(func() {
				if 4*never.Load() > tried.Load() {
					t.Errorf("%d of %d second agents never came by their points", never.Load(), tried.Load())
				}
			})
			for n, r := range recoveries[c.name] {
				for _, second := range c.seconds(n, r) {
					t.Run(r.from+", then "+second, func(t *testing.T) {
						t.Parallel()
						if !*all {
							c.live(t, r.from, second) // whether it comes by its second point is for the long run
							return
						}
						tried.Add(1)
						if c.dies(t, r.from, second) == nil { // no recovery goes as another one did, and a few points are of one alone
							never.Add(1)
							t.Logf("in %d days the second agent never came by its point", tries)
						}
					})
				}
			}
		})
	}
}

// recovery is what an agent came by after the one before had died at a point.
type recovery struct {
	from   string
	points []string
}

// points returns those of a day on which nobody dies: all, or one of each kind.
func (c course) points(t *testing.T) []string {
	t.Helper()
	var points []string
	t.Run("nobody dies", func(t *testing.T) {
		reached, _ := c.live(t)
		points = reached[0]
	})
	if t.Failed() {
		return nil
	}
	chosen := oneOfEachKind(points, c.late)
	for _, kind := range c.kinds {
		if !slices.ContainsFunc(chosen, func(p string) bool { return kindOf(p) == kind }) {
			t.Errorf("the day has no point %q", kind)
		}
	}
	t.Logf("%d points, of %d kinds: %q", len(points), len(chosen), chosen)
	if *all {
		return points
	}
	return slices.DeleteFunc(chosen, func(p string) bool { return !slices.Contains(c.kinds, kindOf(p)) })
}

// seconds are the points of a recovery, the number n of its day, at which the agent dies again.
func (c course) seconds(n int, r recovery) []string {
	points := slices.DeleteFunc(slices.Clone(r.points), idle)
	switch {
	case len(points) == 0:
		return nil
	case *all:
		return points[:min(len(points), c.again)]
	case n%7 == 0:
		return points[n%len(points):][:1]
	}
	return nil
}

// idle tells a point at which nothing has changed since the one before: a death there is a death at that one.
func idle(point string) bool {
	kind := kindOf(point)
	return periodic(point) || strings.HasSuffix(kind, ": make folder") && kind != "save creating: make folder"
}

// periodic tells a point that an agent comes by again and again for as long as it lives.
func periodic(point string) bool { return strings.HasPrefix(point, "list: ") }

var numbers = regexp.MustCompile(`^[0-9]+ | #[0-9]+$`)

// kindOf is a point without the machine that it is of, and how often it was.
func kindOf(point string) string { return numbers.ReplaceAllString(point, "") }

// oneOfEachKind are points of which each is the first of its kind that a machine has: the machine with the greatest number up to late. Those are
// points of every day.
func oneOfEachKind(points []string, late int) []string {
	var kinds []string
	chosen, of := map[string]string{}, map[string]int{}
	for _, p := range points {
		kind, machine := kindOf(p), 0
		if number, _, ok := strings.Cut(p, " "); ok {
			machine, _ = strconv.Atoi(number) // 0 for what is no machine's
		}
		if chosen[kind] == "" {
			kinds = append(kinds, kind)
		} else if machine <= of[kind] || machine > late {
			continue
		}
		chosen[kind], of[kind] = p, machine
	}
	out := []string{}
	for _, kind := range kinds {
		out = append(out, chosen[kind])
	}
	return out
}

func TestOneOfEachKind(t *testing.T) {
	points := []string{"owner: put owner #1", "1 save idle: put config.json #1", "1 save idle: put config.json #2", "list: call #1",
		"2 save idle: put config.json #1", "2 save idle: put config.json #2", "list: call #2", "3 save idle: put config.json #1"}
	for late, want := range map[int]string{1: points[1], 2: points[4], 3: points[7]} {
		if got := oneOfEachKind(points, late); !slices.Equal(got, []string{points[0], want, points[3]}) {
			t.Errorf("up to machine %d: %q", late, got)
		}
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
