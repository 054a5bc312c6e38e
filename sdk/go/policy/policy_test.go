package policy

import (
	"errors"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// twice wants two machines per job that runs.
type twice struct{}

func (twice) Describe() abi.Describe { return abi.Describe{Name: "twice", Position: 30} }
func (twice) Decide(s abi.Snapshot) (abi.Proposal, error) {
	if s.Demand.Running < 0 {
		return abi.Proposal{}, errors.New("less than no jobs")
	}
	target := 2 * s.Demand.Running
	return abi.Proposal{IdleTarget: &target, Reason: "two per job"}, nil
}

// watcher also has the optional exports.
type watcher struct{ twice }

func (watcher) Validate(r abi.ValidateRequest) []abi.Problem {
	return []abi.Problem{{Option: "url", Message: "is missing"}}
}
func (watcher) Observe(r abi.ObserveRequest) (abi.Raw, error) {
	return abi.Raw(`{"at":"` + r.Now + `"}`), nil
}

func TestCall(t *testing.T) {
	for name, tc := range map[string]struct {
		policy              Policy
		export, input, want string
	}{
		"describe fills in abi and kind": {twice{}, abi.ExportDescribe, ``, `{"abi":1,"kind":"policy","name":"twice","position":30}`},
		"decide":                         {twice{}, abi.ExportDecide, `{"demand":{"running":3}}`, `{"idle_target":6,"reason":"two per job"}`},
		"no validator finds no problems": {twice{}, abi.ExportValidate, `{}`, `{"problems":[]}`},
		"a validator's problems":         {watcher{}, abi.ExportValidate, `{}`, `{"problems":[{"option":"url","message":"is missing"}]}`},
		"no observer gives no bytes":     {twice{}, abi.ExportObserve, `{}`, ``},
		"an observer's observation":      {watcher{}, abi.ExportObserve, `{"now":"n"}`, `{"at":"n"}`},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := Call(tc.policy, tc.export, []byte(tc.input))
			if err != nil || string(out) != tc.want {
				t.Errorf("got %s, %v\nwant %s", out, err, tc.want)
			}
		})
	}
}

func TestCallRefuses(t *testing.T) {
	for name, call := range map[string]func() ([]byte, error){
		"no policy":          func() ([]byte, error) { return Call(nil, abi.ExportDecide, []byte("{}")) },
		"unknown export":     func() ([]byte, error) { return Call(twice{}, "guess", []byte("{}")) },
		"no JSON":            func() ([]byte, error) { return Call(twice{}, abi.ExportDecide, []byte("junk")) },
		"the policy's own":   func() ([]byte, error) { return Call(twice{}, abi.ExportDecide, []byte(`{"demand":{"running":-1}}`)) },
		"no JSON to look at": func() ([]byte, error) { return Call(watcher{}, abi.ExportObserve, []byte("junk")) },
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := call(); err == nil {
				t.Errorf("got %s, want an error", out)
			}
		})
	}
}
