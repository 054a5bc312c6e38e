package journal

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// own is what a state directory says beside its machines.
type own struct {
	Owner    string
	Freeze   fleet.Freeze
	Setbacks fleet.Setbacks
	Places   []fleet.Place
	Creates  int
}

func ownOf(t *testing.T, j *Journal) string {
	t.Helper()
	o := own{Owner: j.Owner()}
	var err error
	if o.Freeze, err = j.Freeze(); err != nil {
		t.Error(err)
	}
	if o.Setbacks, err = j.Setbacks("r"); err != nil {
		t.Error(err)
	}
	if o.Places, err = j.Places(); err != nil {
		t.Error(err)
	}
	if err := j.Creates(time.Now(), func(string, time.Time) { o.Creates++ }); err != nil {
		t.Error(err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// TestCutOffAtEachChange cuts each write of what is no machine's off before each of its changes: the next start finds what was written before or
// what was to be written, nothing in between, and no half-written file; done again it is done.
func TestCutOffAtEachChange(t *testing.T) {
	const lost = "0123456789abcdef"
	at := time.Now().Add(-time.Minute).UTC().Truncate(time.Second)
	frozen := fleet.Freeze{Since: at, Reason: "incident"}
	for _, tt := range []struct {
		name    string
		before  func(j *Journal) error
		write   func(j *Journal) error
		changes []string // that it is told of
	}{
		{"freeze", nil, func(j *Journal) error { return j.SetFreeze(frozen) }, []string{"freeze: write freeze.json", "freeze: put freeze.json"}},
		{"unfreeze", func(j *Journal) error { return j.SetFreeze(frozen) }, func(j *Journal) error { return j.SetFreeze(fleet.Freeze{}) },
			[]string{"unfreeze"}},
		{"take over", nil, func(j *Journal) error { return j.TakeOver(lost) }, []string{"take over: write owner", "take over: put owner"}},
		{"setbacks", nil, func(j *Journal) error {
			return j.SetSetbacks("r", fleet.Setbacks{At: at, PassedOver: map[string]time.Time{"zone a": at.Add(time.Hour)}})
		}, []string{"note setbacks: write setbacks.json", "note setbacks: put setbacks.json"}},
		{"place", nil, func(j *Journal) error { return j.NotePlace(fleet.Place{Driver: "d", Machine: "m", Left: at}) },
			[]string{"note a place: write places.json", "note a place: put places.json"}},
		{"creation", nil, func(j *Journal) error { return j.NoteCreate("r", at) }, []string{"note a creation"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for dies := range tt.changes {
				dir := t.TempDir()
				j := open(t, dir)
				if tt.before != nil {
					if err := tt.before(j); err != nil {
						t.Fatal(err)
					}
				}
				was := ownOf(t, j)
				told := cutOffAt(j, dies, tt.write)
				if diff := cmp.Diff(tt.changes[:dies+1], told); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				j.Close()
				j = open(t, dir)
				if is := ownOf(t, j); is != was {
					t.Errorf("cut off at %q: it says %s, want %s", tt.changes[dies], is, was)
				}
				noTemps(t, dir)
				if err := tt.write(j); err != nil {
					t.Error(err)
				}
				j.Close()
				if is := ownOf(t, open(t, dir)); is == was {
					t.Errorf("done again it still says %s", is)
				}
			}
		})
	}
}

// TestFirstStartCutOff cuts the first start off before each change of its own: the next one has an owner id, which stays.
func TestFirstStartCutOff(t *testing.T) {
	for dies, change := range []string{"owner: write owner", "owner: put owner"} {
		dir := t.TempDir()
		told := cutOffAt(nil, dies, func(*Journal) error {
			_, err := OpenWatched(dir, watching)
			return err
		})
		if len(told) != dies+1 || told[dies] != change {
			t.Errorf("told %q", told)
		}
		j := open(t, dir)
		noTemps(t, dir)
		id := j.Owner()
		j.Close()
		if again := open(t, dir); !ownerID.MatchString(id) || again.Owner() != id {
			t.Errorf("owner id %q, then %q", id, again.Owner())
		}
	}
}

// watching is the watch of the write that is cut off.
var watching func(machine, change string)

// cutOffAt runs write, which is cut off at one of its changes, and returns those that it told of.
func cutOffAt(j *Journal, dies int, write func(*Journal) error) (told []string) {
	type cut struct{}
	watching = func(_, change string) {
		if told = append(told, change); len(told) > dies {
			panic(cut{})
		}
	}
	if j != nil {
		j.Watch(watching)
	}
	defer func() {
		if r := recover(); r != nil && r != any(cut{}) {
			panic(r)
		}
	}()
	if err := write(j); err != nil {
		return append(told, err.Error())
	}
	return append(told, "it was not cut off")
}

// noTemps checks that no file of a write that was cut off is left.
func noTemps(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if isTemp(e.Name()) {
			t.Errorf("%s is left", e.Name())
		}
	}
}
