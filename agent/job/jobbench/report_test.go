package jobbench

import (
	"fmt"
	"strings"
	"time"
)

// figures are what a run of the bench found.
type figures struct {
	bare          time.Duration // docker run --rm IMAGE true, the middle one of some
	bareProcessor time.Duration // of the whole machine

	trivial    time.Duration // from the coordinator's queue to the end's report, the middle one of some
	processor  time.Duration // of the whole machine, per job
	engine     counts        // of one job
	firstByte  time.Duration // from when the agent has the job, the middle one of some
	perMinute  float64       // at concurrent 10
	flow       float64       // MB/s of a long log, end to end, with a masked variable
	flowBytes  int
	cancelled  time.Duration // of a job that says nothing, from the cancel to the end
	interval   time.Duration // at which the coordinator wants to be told of a silent job
	concurrent int
}

// counts are what an engine was asked for.
type counts struct{ containers, starts, volumes, connects int }

// The figures of gitlab-runner 17.5 on two cores, measured on another machine; see docs/speed.md.
const (
	theirTrivial   = 1840 * time.Millisecond
	theirProcessor = 1700 * time.Millisecond
	theirPerMinute = 72
	theirFirstByte = 3 * time.Second
	theirFlow      = 27
	theirCancel    = 30 * time.Second
)

// table writes the figures as a table in Markdown.
func (f figures) table() string {
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
	row("Figure", "Millwright", "bare `docker run`", "gitlab-runner 17.5, elsewhere", "target")
	b.WriteString("|---|---|---|---|---|\n")
	row("a job that is just `true`, git fetch included", f.trivial, f.bare, theirTrivial, "a third of gitlab-runner's")
	row("its processor time, of the whole machine", f.processor, f.bareProcessor, theirProcessor, "")
	row("its containers", f.engine.containers, 1, 4, "2")
	row("their starts", f.engine.starts, 1, 5, "")
	row("volumes created", f.engine.volumes, 0, 8, "")
	row("networks connected", f.engine.connects, 1, 5, "")
	row(fmt.Sprintf("such jobs a minute at concurrent %d", f.concurrent), f.perMinute, "", theirPerMinute, "2.5 times gitlab-runner's")
	row("first byte of the log after pick-up", f.firstByte, "", theirFirstByte, "0.5 s")
	row(fmt.Sprintf("log of %d MB, masked, end to end, MB/s", f.flowBytes>>20), f.flow, "", theirFlow, "twice gitlab-runner's")
	row("a silent job's end after its cancel", f.cancelled, "", theirCancel, fmt.Sprintf("the update interval, here %s", f.interval))
	return b.String()
}
