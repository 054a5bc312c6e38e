package scale

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/cli"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/internal/guests"
)

// role tells a process of this test's binary what it is.
const role = "MILLWRIGHT_SCALE_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "agent":
		os.Exit(cli.Main(append([]string{"millwright"}, os.Args[1:]...)))
	case "cloud":
		end(fakecloud.Command(os.Args[1:], os.Stdin, os.Stdout))
	case "coordinator":
		end(Coordinator(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func programs(t *testing.T) Programs {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("it reads /proc, which only Linux has")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	as := func(name string) Command { return Command{Args: []string{exe}, Env: []string{role + "=" + name}} }
	return Programs{
		Agent: as("agent"), Cloud: as("cloud"), Coordinator: as("coordinator"), Driver: guests.Wasm(t, "examples/drivers/fakecloud"),
	}
}

// TestAFleetAtWork has a whole agent hold machines and run jobs on them in steady state, as the large run does. It asserts that all of it
// works; how fast it is depends on who else is here, and is printed.
func TestAFleetAtWork(t *testing.T) {
	p := programs(t)
	idle, busy, err := Measure(t.Context(), p, Size{
		Machines: 20, Jobs: 10, Lasts: 3 * time.Second, Rate: 1000, Window: 5 * time.Second, Patience: 5 * time.Minute,
	}, t.Output(), func(string, Look) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*Figures{idle, busy} {
		if f.Memory.RSS <= 0 || f.Memory.RSSMax < f.Memory.RSS || f.TickP99 <= 0 || f.Ticks <= 0 || f.Goroutines == 0 {
			t.Errorf("figures are missing: %+v", f)
		}
	}
	if busy.Failed > 0 {
		t.Errorf("%d jobs failed", busy.Failed)
	}
	if busy.TraceRate <= 0 {
		t.Error("no trace arrived")
	}
	if busy.CPU <= 0 {
		t.Error("the agent took no time for its jobs")
	}
}

func TestReadingHistograms(t *testing.T) {
	p := readPage([]byte(`# HELP h x
h_bucket{by="clock",le="0.001"} 50
h_bucket{by="clock",le="0.002"} 90
h_bucket{by="clock",le="+Inf"} 100
h_bucket{by="event",le="0.001"} 7
h_bucket{by="event",le="+Inf"} 7
machines{state="idle"} 3
machines{state="used"} 4
`))
	for _, c := range []struct {
		name   string
		series string
		q      float64
		want   time.Duration
	}{
		{"the edge of a bucket", `h_bucket{by="clock"`, 0.5, time.Millisecond},
		{"within a bucket", `h_bucket{by="clock"`, 0.7, 1500 * time.Microsecond},
		{"beyond the last bound", `h_bucket{by="clock"`, 0.99, 2 * time.Millisecond},
		{"another label", `h_bucket{by="event"`, 0.5, 500 * time.Microsecond},
		{"no such series", `h_bucket{by="none"`, 0.5, 0},
	} {
		if got := p.histogram(c.series, c.q); got.Round(time.Microsecond) != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if n := p.sum("machines{"); n != 7 {
		t.Errorf("sum = %g, want 7", n)
	}
	if d := p.since(page{`machines{state="idle"}`: 1}); d[`machines{state="idle"}`] != 2 {
		t.Errorf("since = %g, want 2", d[`machines{state="idle"}`])
	}
}

func TestQuantile(t *testing.T) {
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(i+1))
	}
	slices.Reverse(all)
	if a, b, none := quantile(all, 0.5), quantile(all, 0.95), quantile(nil, 0.5); a != 51 || b != 96 || none != 0 {
		t.Errorf("quantiles are %d, %d, %d", a, b, none)
	}
}

func TestCosts(t *testing.T) {
	var r Report
	if got := r.costs(); got != "" {
		t.Errorf("of nothing: %q", got)
	}
	figures := func(machines, jobs int, rss int64) *Figures {
		return &Figures{Machines: machines, Jobs: jobs, Memory: memory{RSS: rss}}
	}
	r.Add(figures(0, 0, 1), nil)
	r.Add(figures(10, 0, 100e6), figures(10, 5, 101e6))
	if got := r.costs(); got != "" {
		t.Errorf("of one size: %q", got)
	}
	r.Add(figures(110, 0, 105e6), figures(110, 50, 110e6))
	if got, want := r.costs(), "From 10 to 110 machines each idle one adds 50 KB; at 110 of them each job adds 100 KB.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
