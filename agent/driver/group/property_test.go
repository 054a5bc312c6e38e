package group_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/driver/group/grouptest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// deed is one thing that happens to a driver and its group.
type deed struct {
	Kind int
	N    int
}

// TestProperties: whatever machines come and go, the group does, and the agent's crashes, no two machines ever have one instance, the group never
// makes more than machines were asked for, and in the end nothing is left.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		deeds := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) deed {
			return deed{rapid.IntRange(0, 16).Draw(t, "kind"), rapid.IntRange(0, 9).Draw(t, "n")}
		}), 1, 60).Draw(rt, "deeds")
		static := rapid.Bool().Draw(rt, "static")
		var err error
		synctest.Test(t, func(t *testing.T) { err = live(t, deeds, static) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// life is a run of TestProperties.
type life struct {
	*world
	named   int
	records map[string]fleet.Machine // the journal
	going   map[string]bool          // machines that are being removed
	err     error
}

func live(t *testing.T, deeds []deed, static bool) error {
	w := &world{t: t, g: grouptest.New(grouptest.Config{ShowTime: 3 * time.Second, BootTime: 9 * time.Second, DeleteTime: 8 * time.Second, MaxSize: 12, Static: static})}
	l := &life{world: w, records: map[string]fleet.Machine{}, going: map[string]bool{}}
	w.restart(nil)
	defer func() { w.close() }()
	for _, d := range deeds {
		l.do(d)
		l.look()
	}
	l.end()
	return l.err
}

func (l *life) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf("after %s: "+format, append([]any{time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))}, args...)...)
	}
}

func (l *life) do(d deed) {
	instances := l.g.Instances()
	pick := func() string {
		if len(instances) == 0 {
			return ""
		}
		return instances[d.N%len(instances)].ID
	}
	switch d.Kind {
	case 0, 1, 2, 3:
		for range d.N%4 + 1 {
			l.named++
			name := fmt.Sprintf("m%04d", l.named)
			l.records[name] = fleet.Machine{Name: name, State: fleet.Creating}
			l.d.Create(l.t.Context(), abi.CreateRequest{Name: name})
		}
	case 4, 5:
		if names := sortedKeys(l.records); len(names) > 0 {
			l.going[names[d.N%len(names)]] = true
		}
	case 6:
		l.g.Inject(grouptest.Fault{Op: grouptest.OpIncrease, Lost: true, Grant: d.N % 3})
	case 7:
		l.g.Inject(grouptest.Fault{Op: grouptest.OpIncrease, Err: errors.New("no")})
	case 8:
		l.g.Inject(grouptest.Fault{Op: grouptest.OpIncrease, Grant: 1, Times: 2})
	case 9:
		l.g.Inject(grouptest.Fault{Op: grouptest.OpList, Lost: true, Times: d.N})
	case 10:
		l.g.Inject(grouptest.Fault{Op: grouptest.OpList, Hide: []string{pick()}, Times: d.N})
	case 11:
		l.g.Inject(grouptest.Fault{Op: grouptest.OpDecrease, Ignore: d.N%2 == 0, Lost: d.N%2 == 1})
	case 12:
		l.g.Kill(pick())
	case 13:
		l.g.Reclaim(pick())
	case 14:
		l.crash(d.N%2 == 0)
	default:
		time.Sleep(time.Duration(d.N*d.N) * time.Second)
	}
	time.Sleep(2 * time.Second)
}

// crash starts the driver anew. What was journalled since the last look may be lost: machines that were half-made are removed, as a pool does.
func (l *life) crash(lost bool) {
	var machines []fleet.Machine
	for name, m := range l.records {
		if m.Instance.ID == "" || lost && m.State == fleet.Creating {
			m.Instance.ID = ""
			l.going[name] = true
		}
		l.records[name] = m
		machines = append(machines, m)
	}
	l.restart(machines)
}

// look is a pool's poll: it journals which instance is whose, and goes on with removals.
func (l *life) look() {
	r, err := l.d.List(l.t.Context(), abi.ListRequest{})
	if err != nil {
		return
	}
	whose := map[string]string{}
	for _, i := range r.Instances {
		m, known := l.records[i.Name]
		switch {
		case i.ID != "" && i.Status != abi.StatusGone && whose[i.ID] != "":
			l.fail("%s is %s's and %s's", i.ID, whose[i.ID], i.Name)
		case !known && !group.IsUnclaimed(i.Name):
			l.fail("%s is listed and was removed", i.Name)
		case known && m.Instance.ID != "" && i.ID != m.Instance.ID:
			l.fail("%s had %s and has %s", i.Name, m.Instance.ID, i.ID)
		}
		if i.ID != "" && i.Status != abi.StatusGone {
			whose[i.ID] = i.Name
		}
		if known {
			m.Instance = i
			if i.Status == abi.StatusRunning {
				m.State = fleet.Idle
			}
			l.records[i.Name] = m
		}
	}
	if made := l.g.Made(); made > l.named {
		l.fail("%d instances were made for %d machines", made, l.named)
	}
	if l.g.Most() > 12 {
		l.fail("%d instances at once", l.g.Most())
	}
	for _, name := range sortedKeys(l.going) {
		l.remove(name)
	}
}

func (l *life) remove(name string) {
	m := l.records[name]
	if l.d.Remove(l.t.Context(), abi.RemoveRequest{Name: name, ID: m.Instance.ID}) == nil {
		delete(l.records, name)
		delete(l.going, name)
	}
}

// end removes everything, orphans too, and looks for what is left.
func (l *life) end() {
	l.g.Heal()
	for range 400 {
		for name := range l.records {
			l.going[name] = true
		}
		r, _ := l.d.List(l.t.Context(), abi.ListRequest{})
		for _, i := range r.Instances {
			if group.IsUnclaimed(i.Name) {
				l.d.Remove(l.t.Context(), abi.RemoveRequest{Name: i.Name, ID: i.ID})
			}
		}
		l.look()
		if len(l.records)+len(l.g.Instances()) == 0 {
			break
		}
		time.Sleep(5 * time.Second)
	}
	var left []string
	for _, i := range l.g.Instances() {
		left = append(left, i.ID)
	}
	if len(left)+len(l.records) > 0 {
		l.fail("left: %s of %v", strings.Join(left, ", "), sortedKeys(l.records))
	}
}

func sortedKeys[T any](m map[string]T) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
