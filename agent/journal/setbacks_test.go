package journal

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestSetbacks(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	at := time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC)
	of := func(until time.Time) fleet.Setbacks {
		return fleet.Setbacks{
			At: at, MadeOf: "abc", PassedOver: map[string]time.Time{"zone=a": until},
			Pauses: []fleet.Pause{{Kind: abi.Quota, Failures: 2, Since: at, Until: until, Err: "CPUS reached"}},
		}
	}
	check := func(runner string, want fleet.Setbacks) {
		t.Helper()
		got, err := j.Setbacks(runner)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", runner, err, diff)
		}
	}
	set := func(runner string, s fleet.Setbacks) {
		t.Helper()
		if err := j.SetSetbacks(runner, s); err != nil {
			t.Fatal(err)
		}
	}
	check("one", fleet.Setbacks{})
	set("one", of(at.Add(time.Minute)))
	set("two", of(at.Add(time.Hour)))
	j.Close()
	j = open(t, dir)
	check("one", of(at.Add(time.Minute)))
	check("two", of(at.Add(time.Hour)))
	if info, err := os.Stat(filepath.Join(dir, setbacksFile)); err != nil || info.Mode().Perm() != 0o600 && os.PathSeparator == '/' {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	later := of(at.Add(3 * time.Hour))
	later.At = at.Add(90 * time.Minute)
	set("two", later) // those of one are over for more than an hour
	check("one", fleet.Setbacks{})
	set("two", fleet.Setbacks{At: at})
	check("two", fleet.Setbacks{})

	for name, content := range map[string]string{"cut off": `{"one": {"at"`, "null": "null", "of another kind": `[1]`} {
		if err := os.WriteFile(filepath.Join(dir, setbacksFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := j.Setbacks("one"); !got.None() || err == nil && name != "null" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		set("one", of(at))
		check("one", of(at))
	}
}
