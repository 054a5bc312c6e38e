package jobbench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// report is what a run of the bench found.
type report struct {
	bare       sample // docker run --rm IMAGE true
	ours       figures
	theirs     *figures // nil where there is no gitlab-runner
	version    string   // of theirs
	flowBytes  int
	interval   time.Duration // at which the coordinator wants to be told of a silent job
	concurrent int
}

// figures are those of one agent.
type figures struct {
	trivial   sample // from the pick-up to the report of the end
	engine    counts // of one job
	firstByte sample // from the pick-up
	perMinute []float64
	each      []time.Duration // processor time of one of those, of the whole machine
	flow      []float64       // MB/s of a long log, end to end, with a masked variable
	cancelled time.Duration   // of a job that says nothing, from the cancel to the end
}

// sample is what one thing took, time and time again, with the processor time of the whole machine.
type sample struct{ took, processor []time.Duration }

func (s *sample) add(took, processor time.Duration) {
	s.took, s.processor = append(s.took, took), append(s.processor, processor)
}

func (s *sample) middle() time.Duration { return median(s.took) }

func median[T cmp.Ordered](values []T) T {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

// counts are what an engine was asked for.
type counts struct{ containers, starts, volumes, connects int }

// elsewhere are the figures of gitlab-runner 17.5 on two cores of another machine, where there is none to measure; see docs/speed.md.
var elsewhere = figures{
	trivial:   sample{[]time.Duration{1840 * time.Millisecond}, []time.Duration{1700 * time.Millisecond}},
	engine:    counts{containers: 4, starts: 5, volumes: 8, connects: 5},
	firstByte: sample{took: []time.Duration{3 * time.Second}}, perMinute: []float64{72}, flow: []float64{27}, cancelled: 30 * time.Second,
}

// table writes the figures as a table in Markdown.
func (r report) table() string {
	theirs, name := &elsewhere, "gitlab-runner 17.5, elsewhere"
	if r.theirs != nil {
		theirs, name = r.theirs, r.version
	}
	ours := r.ours
	var b strings.Builder
	row := func(what string, cells ...any) {
		fmt.Fprintf(&b, "| %s |", what)
		for _, c := range cells {
			switch c := c.(type) {
			case time.Duration:
				fmt.Fprintf(&b, " %.2f s |", c.Seconds())
			case float64:
				fmt.Fprintf(&b, " %.1f |", c)
			default:
				fmt.Fprintf(&b, " %v |", c)
			}
		}
		b.WriteByte('\n')
	}
	ratio := func(a, b float64) string { return fmt.Sprintf("%.2f", a/b) }
	seconds := func(a, b time.Duration) string { return ratio(a.Seconds(), b.Seconds()) }
	row("Figure", "Millwright", "bare `docker run`", name, "ratio to it", "target")
	b.WriteString("|---|---|---|---|---|---|\n")
	row("a job that is just `true`, git fetch included, from its pick-up", ours.trivial.middle(), r.bare.middle(), theirs.trivial.middle(),
		seconds(ours.trivial.middle(), theirs.trivial.middle()), "0.33")
	row("its processor time, of the whole machine", median(ours.trivial.processor), median(r.bare.processor), median(theirs.trivial.processor),
		seconds(median(ours.trivial.processor), median(theirs.trivial.processor)), "")
	row("its containers", ours.engine.containers, 1, theirs.engine.containers, "", "2")
	row("their starts", ours.engine.starts, 1, theirs.engine.starts, "", "")
	row("volumes created", ours.engine.volumes, 0, theirs.engine.volumes, "", "")
	row("networks connected", ours.engine.connects, 1, theirs.engine.connects, "", "")
	row(fmt.Sprintf("such jobs a minute at concurrent %d", r.concurrent), median(ours.perMinute), "", median(theirs.perMinute),
		ratio(median(ours.perMinute), median(theirs.perMinute)), "2.5")
	if len(theirs.each) > 0 {
		row("processor time of one of those, of the whole machine", median(ours.each), "", median(theirs.each), seconds(median(ours.each), median(theirs.each)), "")
	}
	row("first byte of the log after pick-up", ours.firstByte.middle(), "", theirs.firstByte.middle(), seconds(ours.firstByte.middle(), theirs.firstByte.middle()), "0.5 s")
	row(fmt.Sprintf("log of %d MB, masked, end to end, MB/s", r.flowBytes>>20), median(ours.flow), "", median(theirs.flow),
		ratio(median(ours.flow), median(theirs.flow)), "2")
	row("a silent job's end after its cancel", ours.cancelled, "", theirs.cancelled, seconds(ours.cancelled, theirs.cancelled),
		fmt.Sprintf("the update interval, here %s", r.interval))
	return b.String()
}
