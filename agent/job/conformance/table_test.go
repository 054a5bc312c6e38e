package conformance

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/cli"
	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// numbers is how many examples there are.
const numbers = 100

// atOnce is how many rows run at the same time: most of a row's time is waiting.
const atOnce = "6"

// row is one example: a payload, and what can be seen of it. Several rows may share a number.
type row struct {
	n       int
	name    string
	payload coordinator.Job
	runner  func(*config.Runner) // changes the configuration
	want    []string             // in the trace, in this order
	not     []string             // nowhere in the trace
	reason  coordinator.FailureReason
	code    int
	check   func(t *testing.T, b *jobtest.Bench, e jobtest.Ended)
	// run takes the place of all of the above where one payload is not enough.
	run func(t *testing.T, b *jobtest.Bench)
}

// Shorter names for what every row uses.
var (
	script   = jobtest.Script
	with     = jobtest.With
	archived = jobtest.Archived
)

const (
	scriptFailure = coordinator.ScriptFailure
	timedOut      = coordinator.JobExecutionTimeout
)

// rows is the table.
func rows() []row {
	return slices.Concat(scriptRows(), variableRows(), traceRows(), timeoutRows(), answerRows(), sourceRows(), imageRows(), registryRows(),
		serviceRows(), artifactRows(), cacheRows(), endRows())
}

// actAsAgent makes the test's binary the agent's command line.
const actAsAgent = "MILLWRIGHT_CONFORMANCE_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(actAsAgent) != "" {
		os.Exit(cli.Main(append([]string{"millwright"}, os.Args[1:]...)))
	}
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", atOnce) // it is a number, so it is taken
	}
	goleak.VerifyTestMain(m)
}

// TestConformance runs the table and says how it went. A number that no row has run is an error, unless the row's parts are missing on this
// machine and nobody requires them (see package need).
func TestConformance(t *testing.T) {
	site := jobtest.NewSite(t)
	var mu sync.Mutex
	var passed, failed int
	covered, skipped := map[int]bool{}, map[int]bool{}
	t.Run("rows", func(t *testing.T) {
		for _, r := range rows() {
			t.Run(fmt.Sprintf("%d %s", r.n, r.name), func(t *testing.T) {
				t.Parallel()
				t.Cleanup(func() { // after those of the bench
					mu.Lock()
					defer mu.Unlock()
					covered[r.n] = covered[r.n] || !t.Skipped()
					skipped[r.n] = skipped[r.n] || t.Skipped()
					switch {
					case t.Failed():
						failed++
					case !t.Skipped():
						passed++
					}
				})
				r.play(t, site.Bench(t))
			})
		}
	})
	picked := flag.Lookup("test.run").Value.String() + flag.Lookup("test.skip").Value.String()
	var missing []string
	for n := 1; n <= numbers; n++ {
		if covered[n] {
			continue
		}
		missing = append(missing, fmt.Sprint(n))
		if !strings.Contains(picked, "/") && (!skipped[n] || need.Required()) {
			t.Errorf("no row of number %d has run", n)
		}
	}
	fmt.Printf("%d passed, %d failed; not covered: %s\n", passed, failed, cmp.Or(strings.Join(missing, " "), "none"))
}

// play runs a row on its bench.
func (r row) play(t *testing.T, b *jobtest.Bench) {
	if r.run != nil {
		r.run(t, b)
		return
	}
	payload := r.payload
	if payload.Image == nil {
		payload.Image = &coordinator.Image{Name: b.Image}
	}
	e := b.Run(t, t.Context(), payload, func(_ *job.Params, c *config.Runner) {
		if r.runner != nil {
			r.runner(c)
		}
	})
	jobtest.CheckTrace(t, e, r.want, r.not)
	jobtest.CheckEnd(t, e, r.reason, r.code)
	if r.check != nil {
		r.check(t, b, e)
	}
}
