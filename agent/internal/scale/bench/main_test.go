package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/scale"
)

// asBench makes this test's binary the command.
const asBench = "MILLWRIGHT_BENCH"

func TestMain(m *testing.M) {
	if os.Getenv(asBench) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestBoundsAreHeld has the command judge what was measured: it ends with 1 where a bound is missed, or where there are too few samples to tell,
// and prints how many there are.
func TestBoundsAreHeld(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	good := func() *scale.Figures {
		f := &scale.Figures{Machines: 1000, Jobs: 500, CPU: 0.4, TickP99: 19 * time.Millisecond, Ticks: 30, PickUpP95: 99 * time.Millisecond, PickUps: 87}
		f.Memory.RSS = 250e6
		return f
	}
	idle := func(machines int, rss int64, cpu float64) *scale.Figures {
		f := &scale.Figures{Machines: machines, CPU: cpu}
		f.Memory.RSS = rss
		return f
	}
	for _, tt := range []struct {
		name   string
		idle   *scale.Figures
		change func(*scale.Figures)
		missed string // "" is none
	}{
		{name: "all held", change: func(*scale.Figures) {}},
		{name: "memory", change: func(f *scale.Figures) { f.Memory.RSS++ }, missed: "500 jobs: RSS"},
		{name: "processor", change: func(f *scale.Figures) { f.CPU = 0.51 }, missed: "500 jobs: processor: 51.0 %, where 50 % of a core is the most"},
		{name: "tick", change: func(f *scale.Figures) { f.TickP99 = 20 * time.Millisecond }, missed: "tick, p99: 20 ms of 30"},
		{name: "pick-up", change: func(f *scale.Figures) { f.PickUpP95 = 100 * time.Millisecond }, missed: "p95: 100 ms of 87"},
		{name: "few ticks", change: func(f *scale.Figures) { f.Ticks = 3 }, missed: "19 ms of 3"},
		{name: "few pick-ups", change: func(f *scale.Figures) { f.PickUps = 0 }, missed: "99 ms of 0"},
		{name: "nothing to do", idle: idle(0, 80e6+1, 0), change: func(*scale.Figures) {}, missed: "one driver: RSS"},
		{name: "100 machines", idle: idle(100, 99e6, 0.011), change: func(*scale.Figures) {}, missed: "100 idle machines: processor"},
		{name: "another size", idle: idle(10, 900e6, 1), change: func(*scale.Figures) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := good()
			tt.change(f)
			report := scale.Report{Busy: []*scale.Figures{f}}
			if tt.idle != nil {
				report.Idle = []*scale.Figures{tt.idle}
			}
			data, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "figures.json")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(exe, "--sizes", "", "--docs", "", "--figures", path)
			cmd.Env = append(os.Environ(), asBench+"=1")
			out, err := cmd.CombinedOutput()
			text := string(out)
			var exit *exec.ExitError
			switch {
			case tt.missed == "" && (err != nil || strings.Contains(text, "missed")):
				t.Errorf("%v\n%s", err, text)
			case tt.missed != "" && (!errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(text, tt.missed)):
				t.Errorf("%v; want exit code 1 and %q\n%s", err, tt.missed, text)
			case !strings.Contains(text, " | 30 | ") && f.Ticks == 30 || !strings.Contains(text, " | 87 | ") && f.PickUps == 87:
				t.Errorf("the samples are not told:\n%s", text)
			}
		})
	}
}
