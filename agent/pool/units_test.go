package pool

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestMachineName(t *testing.T) {
	now := time.Unix(1795277750, 0)
	random := [4]byte{0x00, 0x77, 0xf6, 0xa5}
	for _, tt := range []struct{ name, token, template, want string }{
		{"as GitLab Runner", "AbCdefgh", "auto-scale-%s", "runner-abcdefgh-auto-scale-1795277750-0077f6a5"},
		{"token with other characters", "-_Ab.c/", "auto-%s", "runner-abc-auto-1795277750-0077f6a5"},
		{"no token", "", "auto-%s", "auto-1795277750-0077f6a5"},
		{"template of %s alone", "", "%s", "1795277750-0077f6a5"},
		{"text after %s", "abc", "a-%s-b", "runner-abc-a-1795277750-0077f6a5-b"},
		{"upper case and underscores", "abc", "Auto_Scale-%s", "runner-abc-autoscale-1795277750-0077f6a5"},
		{"leading hyphens", "", "--%s", "1795277750-0077f6a5"},
		{"trailing hyphen", "abc", "a-%s-", "runner-abc-a-1795277750-0077f6a5"},
		{"too long before", "abcdefghi", strings.Repeat("x", 60) + "-%s",
			"runner-abcdefghi-" + strings.Repeat("x", 26) + "-1795277750-0077f6a5"},
		{"too long after", "abc", "a-%s-" + strings.Repeat("x", 60), "runner-abc-a-1795277750-0077f6a5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := machineName(tt.token, tt.template, now, random); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestMachineNameIsALabel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		template := rapid.String().Draw(t, "before") + "%s" + rapid.String().Draw(t, "after")
		name := machineName(rapid.String().Draw(t, "token"), template, time.Unix(1795277750, 0), [4]byte{1, 2, 3, 4})
		if !safeName.MatchString(name) || !strings.Contains(name, "1795277750-01020304") {
			t.Fatalf("%q", name)
		}
	})
}

func TestBackoff(t *testing.T) {
	var b backoff
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fail := &driver.Error{Info: abi.Error{Kind: abi.Transient}}
	began := now
	var pauses []time.Duration
	for range 11 {
		b.failed(now, began, fail, 0.5)
		b.failed(now, began, fail, 0.5) // together with the one before
		pauses = append(pauses, b.until.Sub(now))
		began = b.until
		now = began.Add(time.Second)
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}
	for i := range want {
		want[i] *= time.Second
	}
	if diff := cmp.Diff(want, pauses); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
	if d := delay(1000, time.Second, time.Minute, 0.999); d > 75*time.Second || d < time.Minute {
		t.Errorf("delay %s after a thousand tries", d)
	}
	if d := retryAfter(errors.Join(&driver.Error{Info: abi.Error{RetryAfterS: 7}})); d != 7*time.Second {
		t.Errorf("retry after %s", d)
	}
}

func TestDemand(t *testing.T) {
	var d demand
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d.arrived(now)
	d.finished(now.Add(30*time.Second), 30*time.Second)
	d.arrived(now.Add(10 * time.Minute))
	d.finished(now.Add(10*time.Minute+5*time.Second), 10*time.Second)
	for _, tt := range []struct {
		name string
		at   time.Duration
		want []abi.Window
	}{
		{"ten minutes later", 10*time.Minute + 9*time.Second, []abi.Window{
			{Seconds: 60, Arrivals: 1, Finished: 1, MeanDuration: 10},
			{Seconds: 300, Arrivals: 1, Finished: 1, MeanDuration: 10},
			{Seconds: 900, Arrivals: 2, Finished: 2, MeanDuration: 20},
			{Seconds: 3600, Arrivals: 2, Finished: 2, MeanDuration: 20},
		}},
		{"an hour later", time.Hour + time.Minute, []abi.Window{
			{Seconds: 60}, {Seconds: 300}, {Seconds: 900}, {Seconds: 3600, Arrivals: 1, Finished: 1, MeanDuration: 10},
		}},
		{"a day later", 24 * time.Hour, []abi.Window{{Seconds: 60}, {Seconds: 300}, {Seconds: 900}, {Seconds: 3600}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, d.windows(now.Add(tt.at))); diff != "" {
				t.Errorf("windows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	var f failures
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.add(now, abi.Quota)
	f.add(now.Add(30*time.Minute), abi.Capacity)
	f.add(now.Add(50*time.Minute), abi.Quota)
	want := []abi.Failure{{Kind: abi.Capacity, Count: 1, AgeS: 1860}, {Kind: abi.Quota, Count: 1, AgeS: 660}}
	if diff := cmp.Diff(want, f.byKind(now.Add(61*time.Minute))); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}

func TestGroupKey(t *testing.T) {
	options := func(name, zone string) abi.Options {
		return abi.Options{"z": {zone}, "tag": {"ci-" + name}, "engine-env": {name}}
	}
	one, two := groupKey("d", options("m1", "a"), "m1"), groupKey("d", options("m2", "a"), "m2")
	if one != two || one == groupKey("d", options("m3", "b"), "m3") || one == groupKey("e", options("m1", "a"), "m1") {
		t.Errorf("%s, %s", one, two)
	}
}
