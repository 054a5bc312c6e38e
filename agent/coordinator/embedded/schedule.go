package embedded

import (
	"fmt"

	"github.com/millwright-ci/millwright/agent/ciyaml"
)

// node is what scheduling sees of a job.
type node struct {
	name     string
	stage    int
	needs    []int // nil = all jobs of earlier stages
	when     ciyaml.When
	picked   bool // named by the user, so a manual job runs
	state    State
	allowed  bool // its failure is allowed; a manual job with it does not block
	manual   bool // it was skipped because it waits for a user
	retrying bool // another try will take its place
}

// verdict is what becomes of a job that was waiting.
type verdict int

const (
	waits verdict = iota
	runs
	isSkipped
	isManual
)

// decide says what becomes of node i, and why when it is skipped. It is pure and looks at no clock.
//
// A job waits until all jobs before it have ended: those it needs, or else all of earlier stages. Then on_success wants no failure
// that is not allowed (and of needs that none was skipped), on_failure wants one, always takes all but a cancel.
// Source: the processing rules of GitLab's pipelines.
func decide(nodes []node, i int) (verdict, string) {
	n := nodes[i]
	var before []node
	if n.needs != nil {
		for _, at := range n.needs {
			before = append(before, nodes[at])
		}
	} else {
		for _, other := range nodes {
			if other.stage < n.stage {
				before = append(before, other)
			}
		}
	}
	var failed, canceled, skipped, blocked string
	for _, b := range before {
		switch {
		case !b.state.Final() || b.retrying:
			return waits, ""
		case b.manual && !b.allowed:
			blocked = b.name
		case b.allowed && (b.state == Failed || b.state == Canceled):
		case b.state == Failed:
			failed = b.name
		case b.state == Canceled:
			canceled = b.name
		case b.state == Skipped:
			skipped = b.name
		}
	}
	switch {
	case blocked != "":
		return isSkipped, fmt.Sprintf("the manual job %q before it was not started", blocked)
	case n.when == ciyaml.OnFailure:
		if failed == "" {
			return isSkipped, "no job before it failed"
		}
		return runs, ""
	case n.when == ciyaml.Always:
		if canceled != "" && failed == "" {
			return isSkipped, fmt.Sprintf("job %q was canceled", canceled)
		}
		return runs, ""
	case failed != "":
		return isSkipped, fmt.Sprintf("job %q failed", failed)
	case canceled != "":
		return isSkipped, fmt.Sprintf("job %q was canceled", canceled)
	case skipped != "" && n.needs != nil:
		return isSkipped, fmt.Sprintf("job %q was skipped", skipped)
	case n.when == ciyaml.Manual && !n.picked:
		return isManual, "it is manual; name it to run it"
	}
	return runs, ""
}
