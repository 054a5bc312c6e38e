package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/fleet"
)

func TestFreeze(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if f, err := j.Freeze(); err != nil || !f.Since.IsZero() {
		t.Errorf("at first: %+v, %v", f, err)
	}
	at := time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC)
	want := fleet.Freeze{Since: at, Until: at.Add(time.Hour), Reason: "the provider's incident"}
	if err := j.SetFreeze(want); err != nil {
		t.Fatal(err)
	}
	j.Close()
	j = open(t, dir)
	got, err := j.Freeze()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("after a restart: %v (-want +got):\n%s", err, diff)
	}
	if !got.Active(at.Add(time.Minute)) || got.Active(at.Add(time.Hour)) {
		t.Error("it does not hold until its end")
	}
	for range 2 {
		if err := j.SetFreeze(fleet.Freeze{}); err != nil {
			t.Fatal(err)
		}
		if f, err := j.Freeze(); err != nil || f.Active(at) {
			t.Errorf("taken back: %+v, %v", f, err)
		}
	}
}

// TestFreezeUnreadable has a file that nobody can read: it counts as a freeze, which does the least harm.
func TestFreezeUnreadable(t *testing.T) {
	for name, content := range map[string]string{"no JSON": "{", "of another kind": `{"reason":"x"}`, "empty": ""} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j := open(t, dir)
			if err := os.WriteFile(filepath.Join(dir, freezeFile), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := j.Freeze()
			if !errors.Is(err, ErrFreeze) || !f.Active(time.Now()) || !strings.Contains(f.Reason, "unfreeze") {
				t.Errorf("%+v, %v", f, err)
			}
			if err := j.SetFreeze(fleet.Freeze{}); err != nil {
				t.Fatal(err)
			}
			if _, err := j.Freeze(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCreates(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	now := time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC)
	note := func(ago time.Duration) {
		t.Helper()
		if err := j.NoteCreate("r", now.Add(-ago)); err != nil {
			t.Fatal(err)
		}
	}
	seen := func() (out []time.Duration) {
		t.Helper()
		if err := j.Creates(now, func(runner string, at time.Time) {
			if runner != "r" {
				t.Errorf("runner %q", runner)
			}
			out = append(out, now.Sub(at))
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := seen(); got != nil {
		t.Errorf("at first: %v", got)
	}
	note(2 * time.Hour)
	note(time.Hour)
	note(time.Hour - time.Second)
	note(time.Minute)
	j.Close()

	path := filepath.Join(dir, createsFile)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"at":"2026-08-`) // a crash cut it off
	f.Close()
	j = open(t, dir)
	want := []time.Duration{time.Hour - time.Second, time.Minute}
	if diff := cmp.Diff(want, seen()); diff != "" {
		t.Errorf("after a crash (-want +got):\n%s", diff)
	}
	note(0)
	if diff := cmp.Diff(append(want, 0), seen()); diff != "" {
		t.Errorf("after another one (-want +got):\n%s", diff)
	}
	if data, _ := os.ReadFile(path); strings.Count(string(data), "\n") != 3 {
		t.Errorf("the log is not compacted: %s", data)
	}
	note(-100 * time.Hour) // by a clock that was set back since
	seen()
	now = now.Add(time.Hour)
	if got := seen(); got != nil {
		t.Errorf("an hour later: %v", got)
	}
}
