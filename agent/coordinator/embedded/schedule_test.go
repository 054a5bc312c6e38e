package embedded

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/ciyaml"
)

func TestDecide(t *testing.T) {
	in := func(stage int, state State) node { return node{name: "before", stage: stage, state: state} }
	allowed := func(n node) node { n.allowed = true; return n }
	manual := func(n node) node { n.manual = true; return n }
	tests := []struct {
		name   string
		before []node
		needs  bool // the job needs all of before, instead of waiting for their stages
		when   ciyaml.When
		want   verdict
		why    string
	}{
		{"nothing before", nil, false, ciyaml.OnSuccess, runs, ""},
		{"needs nothing", []node{in(0, Running)}, false, ciyaml.OnSuccess, waits, ""},
		{"running", []node{in(0, Success), in(0, Running)}, true, ciyaml.OnSuccess, waits, ""},
		{"canceling", []node{in(0, Canceling)}, false, ciyaml.Always, waits, ""},
		{"retrying", []node{{state: Failed, retrying: true}}, false, ciyaml.OnFailure, waits, ""},
		{"same stage", []node{in(1, Running)}, false, ciyaml.OnSuccess, runs, ""},
		{"success", []node{in(0, Success)}, false, ciyaml.OnSuccess, runs, ""},
		{"failed", []node{in(0, Success), in(0, Failed)}, false, ciyaml.OnSuccess, isSkipped, `job "before" failed`},
		{"failed and allowed", []node{allowed(in(0, Failed))}, true, ciyaml.OnSuccess, runs, ""},
		{"canceled", []node{in(0, Canceled)}, false, ciyaml.OnSuccess, isSkipped, `job "before" was canceled`},
		{"skipped before", []node{in(0, Skipped)}, false, ciyaml.OnSuccess, runs, ""},
		{"skipped need", []node{in(0, Skipped)}, true, ciyaml.OnSuccess, isSkipped, `job "before" was skipped`},
		{"on_failure, none", []node{in(0, Success)}, false, ciyaml.OnFailure, isSkipped, "no job before it failed"},
		{"on_failure, one", []node{in(0, Success), in(0, Failed)}, false, ciyaml.OnFailure, runs, ""},
		{"on_failure, allowed one", []node{allowed(in(0, Failed))}, false, ciyaml.OnFailure, isSkipped, "no job before it failed"},
		{"always after failure", []node{in(0, Failed)}, false, ciyaml.Always, runs, ""},
		{"always after cancel", []node{in(0, Canceled)}, false, ciyaml.Always, isSkipped, `job "before" was canceled`},
		{"manual", []node{in(0, Success)}, false, ciyaml.Manual, isManual, "it is manual; name it to run it"},
		{"manual after failure", []node{in(0, Failed)}, false, ciyaml.Manual, isSkipped, `job "before" failed`},
		{"optional manual before", []node{allowed(manual(in(0, Skipped)))}, false, ciyaml.OnSuccess, runs, ""},
		{"optional manual need", []node{allowed(manual(in(0, Skipped)))}, true, ciyaml.OnSuccess, isSkipped, `job "before" was skipped`},
		{"blocking manual", []node{manual(in(0, Skipped))}, false, ciyaml.Always, isSkipped, `the manual job "before" before it was not started`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			nodes := append(tt.before, node{name: "it", stage: 1, when: tt.when, state: Created})
			if tt.needs {
				it := &nodes[len(nodes)-1]
				it.needs = []int{}
				for i := range tt.before {
					it.needs = append(it.needs, i)
				}
			}
			got, why := decide(nodes, len(nodes)-1)
			if got != tt.want || why != tt.why {
				t.Errorf("got %d %q; want %d %q", got, why, tt.want, tt.why)
			}
		})
	}
	free := node{stage: 1, needs: []int{}, when: ciyaml.OnSuccess, state: Created}
	if got, _ := decide([]node{in(0, Running), free}, 1); got != runs {
		t.Error("a job with empty needs starts at once")
	}
	picked := node{stage: 0, when: ciyaml.Manual, picked: true, state: Created}
	if got, _ := decide([]node{picked}, 0); got != runs {
		t.Error("a manual job that was named runs")
	}
}
