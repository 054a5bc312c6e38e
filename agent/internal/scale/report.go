package scale

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is what was measured, size by size.
type Report struct {
	Size Size       // what all sizes have in common
	Idle []*Figures // by the number of machines
	Busy []*Figures
}

// Add adds a size, in the place of what there was of it; busy is nil when no jobs ran.
func (r *Report) Add(idle, busy *Figures) {
	put := func(all []*Figures, f *Figures) []*Figures {
		if f == nil {
			return all
		}
		at, found := slices.BinarySearchFunc(all, f.Machines, func(f *Figures, n int) int { return cmp.Compare(f.Machines, n) })
		if found {
			all[at] = f
			return all
		}
		return slices.Insert(all, at, f)
	}
	r.Idle, r.Busy = put(r.Idle, idle), put(r.Busy, busy)
}

// Recall takes up the sizes that an earlier run has kept in a file; that there is none is no error.
func (r *Report) Recall(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	return err
}

// Keep writes a file for Recall.
func (r *Report) Keep(path string) error {
	data, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	return err
}

// target is one promise and what became of it.
type target struct {
	what, want, got string
	met             bool
}

// leastSamples is how many samples a quantile must have to count.
const leastSamples = 20

// targets are those that the measured sizes can show.
func (r *Report) targets() (all []target) {
	add := func(what, want, got string, met bool) {
		mark := ", missed"
		if met {
			mark = ""
		}
		all = append(all, target{what, want, got + mark, met})
	}
	for _, f := range r.Idle {
		switch f.Machines {
		case 0:
			add("no machines, the default chain and one driver: RSS", "80 MB", megabytes(f.Memory.RSS), f.Memory.RSS <= 80e6)
		case 100:
			add("100 idle machines: RSS", "100 MB", megabytes(f.Memory.RSS), f.Memory.RSS < 100e6)
			add("100 idle machines: processor", "1 % of a core", percent(f.CPU), f.CPU <= 0.01)
		}
	}
	for _, f := range r.Busy {
		if f.Machines != 1000 || f.Jobs != 500 {
			continue
		}
		const size = "1,000 machines, 500 jobs: "
		add(size+"RSS", "250 MB", megabytes(f.Memory.RSS), f.Memory.RSS <= 250e6)
		add(size+"processor", "50 % of a core", percent(f.CPU), f.CPU <= 0.5)
		add(size+"the pool's tick, p99", "20 ms", samples(f.TickP99, f.Ticks), f.TickP99.Milliseconds() < 20 && f.Ticks >= leastSamples)
		add(size+"pick-up with an idle machine, p95", "100 ms", samples(f.PickUpP95, f.PickUps), f.PickUpP95.Milliseconds() < 100 && f.PickUps >= leastSamples)
	}
	return all
}

// costs says what each machine and each job adds to the memory, between the smallest size with machines and the largest one; "" when two
// sizes are not there.
func (r *Report) costs() string {
	first := slices.IndexFunc(r.Idle, func(f *Figures) bool { return f.Machines > 0 })
	if first < 0 || first == len(r.Idle)-1 {
		return ""
	}
	low, high := r.Idle[first], r.Idle[len(r.Idle)-1]
	text := fmt.Sprintf("From %d to %d machines each idle one adds %.0f KB", low.Machines, high.Machines,
		float64(high.Memory.RSS-low.Memory.RSS)/1e3/float64(high.Machines-low.Machines))
	for _, f := range r.Busy {
		if f.Machines == high.Machines && f.Jobs > 0 {
			text += fmt.Sprintf("; at %d of them each job adds %.0f KB", f.Machines, float64(f.Memory.RSS-high.Memory.RSS)/1e3/float64(f.Jobs))
		}
	}
	return text + ".\n"
}

// Missed are the promises that the measured sizes do not keep, in words; few samples keep none.
func (r *Report) Missed() []string {
	var missed []string
	for _, t := range r.targets() {
		if !t.met {
			missed = append(missed, fmt.Sprintf("%s: %s, where %s is the most", t.what, strings.TrimSuffix(t.got, ", missed"), t.want))
		}
	}
	return missed
}

// samples is a quantile of so many samples in words.
func samples(d time.Duration, of int) string { return fmt.Sprintf("%s of %d", short(d), of) }

func percent(cpu float64) string { return fmt.Sprintf("%.1f %%", 100*cpu) }

// Table is the figures as Markdown.
func (r *Report) Table() string {
	var b strings.Builder
	if t := r.targets(); len(t) > 0 {
		b.WriteString("| | At most | Measured |\n| --- | --- | --- |\n")
		for _, t := range t {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", t.what, t.want, t.got)
		}
		b.WriteString("\n")
	}
	b.WriteString("| Machines | Jobs | RSS | RSS, highest | Go heap | Processor, of a core | Tick p50 | Tick p99 | Ticks | Pick-up p50 | Pick-up p95 | Pick-ups | Jobs ended, failed | Trace | Goroutines | Load average |\n")
	b.WriteString("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, f := range append(append([]*Figures(nil), r.Idle...), r.Busy...) {
		pick50, pick95, picks, ended, trace := "", "", "", "", ""
		if f.Jobs > 0 {
			picks = strconv.Itoa(f.PickUps)
			ended, trace = fmt.Sprintf("%d, %d", f.Ended, f.Failed), fmt.Sprintf("%.0f KB/s", f.TraceRate/1000)
		}
		if f.PickUps > 0 {
			pick50, pick95 = short(f.PickUpP50), short(f.PickUpP95)
		}
		fmt.Fprintf(&b, "| %d | %d | %s | %s | %s | %s | %s | %s | %d | %s | %s | %s | %s | %s | %d | %.1f |\n", f.Machines, f.Jobs, megabytes(f.Memory.RSS),
			megabytes(f.Memory.RSSMax), megabytes(f.HeapBytes), percent(f.CPU), short(f.TickP50), short(f.TickP99), f.Ticks, pick50, pick95, picks, ended, trace,
			f.Goroutines, f.Load)
	}
	return b.String()
}

// Write writes scale.md and its plots into a folder.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	memory, processor := r.plots()
	for name, text := range map[string]string{"scale.md": r.page(), "scale-memory.svg": memory.svg(), "scale-processor.svg": processor.svg()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const intro = `# What an agent costs

Written by ` + "`go tool task bench:scale`" + `: the agent's process alone, by the number of its machines and jobs. The cloud, the machines' engines and the
coordinator run in processes of their own; the agent is the real one, with its policies and its driver as Wasm, SSH to each machine, an engine behind TLS on
each, and the runner API over HTTP. Only what runs inside the containers is pretended: each job writes %d bytes of trace a second, a fifth of them every
200 ms, and lasts %s on average. Each size is a fresh agent, watched for %s once its machines are idle, and again with jobs on half of them.

`

const notes = `
RSS is what the kernel counts for the process (VmRSS), the pages of its file included; the highest is that since its start (VmHWM), when modules are
compiled and all machines made at once. Processor time is user and system time over the window. A tick is one turn of the pool's loop that the clock began
(` + "`millwright_pool_step_seconds`" + `). Pick-up is from a job's place in the queue until it is handed out, by the coordinator's clock and with long polls.
Times depend on what else the computer does, which the load average tells; memory and processor time hardly do.

An idle machine costs the agent its record and the TLS connection that its probes come over, and no goroutine. A job costs about six: its own,
those that read its output, the one that sends its trace, one that heeds the provider, and those that ask whether its engine is there.

A bound that is missed, or a quantile of fewer than %d samples, ends the command with exit code 1. The sizes, the window and more are flags: ` + "`go run ./agent/internal/scale/bench --help`" + `.
`

func (r *Report) page() string {
	return fmt.Sprintf(intro, r.Size.Rate, r.Size.Lasts, r.Size.Window) + r.Table() + "\n" + r.costs() +
		"\n![Memory by machines](scale-memory.svg)\n\n![Processor by machines](scale-processor.svg)\n" + fmt.Sprintf(notes, leastSamples)
}

// plots draw memory and processor time by the number of machines.
func (r *Report) plots() (memory, processor plot) {
	memory = plot{title: "Memory of the agent", x: "machines", y: "RSS, MB"}
	processor = plot{title: "Processor time of the agent", x: "machines", y: "% of a core"}
	for _, of := range []struct {
		name    string
		figures []*Figures
	}{{"idle", r.Idle}, {"jobs on half of them", r.Busy}} {
		m, c := line{name: of.name}, line{name: of.name}
		for _, f := range of.figures {
			m.points = append(m.points, point{float64(f.Machines), float64(f.Memory.RSS) / 1e6})
			c.points = append(c.points, point{float64(f.Machines), 100 * f.CPU})
		}
		memory.lines, processor.lines = append(memory.lines, m), append(processor.lines, c)
	}
	return memory, processor
}
