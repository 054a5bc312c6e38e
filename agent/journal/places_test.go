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

func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	at := time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC)
	place := func(zone, machine string, left time.Time) fleet.Place {
		return fleet.Place{Driver: "fake", Options: abi.Options{"zone": {zone}, "tag": {"of " + machine}}, Machine: machine, Left: left}
	}
	note := func(p fleet.Place) {
		t.Helper()
		if err := j.NotePlace(p); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want ...fleet.Place) {
		t.Helper()
		got, err := j.Places()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	check()
	note(place("a", "m-1", at))
	note(place("b", "m-2", at.Add(time.Minute)))
	note(place("a", "m-3", at.Add(time.Hour))) // the same place, but for the name
	check(place("b", "m-2", at.Add(time.Minute)), place("a", "m-3", at.Add(time.Hour)))

	j.Close()
	j = open(t, dir)
	check(place("b", "m-2", at.Add(time.Minute)), place("a", "m-3", at.Add(time.Hour)))
	note(place("c", "m-4", at.Add(150*time.Minute)))
	check(place("a", "m-3", at.Add(time.Hour)), place("c", "m-4", at.Add(150*time.Minute))) // b was left too long ago

	path := filepath.Join(dir, placesFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 && os.PathSeparator == '/' {
		t.Errorf("%v, %v: options may hold secrets", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := j.Places(); err == nil {
		t.Errorf("%v out of half a file", got)
	}
	note(place("a", "m-5", at.Add(3*time.Hour)))
	check(place("a", "m-5", at.Add(3*time.Hour)))
}
