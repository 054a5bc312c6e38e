package driver

import (
	"errors"
	"fmt"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// broken fails every call with err.
type broken struct{ err error }

func (b broken) Describe() abi.Describe                         { return abi.Describe{Name: "broken"} }
func (b broken) Validate(abi.ValidateRequest) []abi.Problem     { return nil }
func (b broken) Create(abi.CreateRequest) (abi.Instance, error) { return abi.Instance{}, b.err }
func (b broken) List(abi.ListRequest) (abi.ListResult, error)   { return abi.ListResult{}, b.err }
func (b broken) Remove(abi.RemoveRequest) error                 { return b.err }

func TestCall(t *testing.T) {
	quota := &abi.Error{Kind: abi.Quota, Message: "no cpus left", Code: "CPUS", RetryAfterS: 60}
	for name, tc := range map[string]struct {
		err          error
		export, want string
	}{
		"describe fills in abi and kind": {nil, abi.ExportDescribe, `{"abi":1,"kind":"driver","name":"broken"}`},
		"no problems are an empty list":  {nil, abi.ExportValidate, `{"ok":{"problems":[]}}`},
		"no instances are an empty list": {nil, abi.ExportList, `{"ok":{"instances":[],"complete":false}}`},
		"remove has nothing to say":      {nil, abi.ExportRemove, `{"ok":{}}`},
		"an abi error keeps its kind":    {quota, abi.ExportCreate, `{"error":{"kind":"quota","message":"no cpus left","code":"CPUS","retry_after_s":60}}`},
		"a wrapped one its text too": {fmt.Errorf("zone a: %w", quota), abi.ExportCreate,
			`{"error":{"kind":"quota","message":"zone a: quota: no cpus left (CPUS)","retry_after_s":60}}`},
		"any other is transient": {errors.New("cable"), abi.ExportRemove, `{"error":{"kind":"transient","message":"cable"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := Call(broken{tc.err}, tc.export, []byte("{}"))
			if err != nil || string(out) != tc.want {
				t.Errorf("got %s, %v\nwant %s", out, err, tc.want)
			}
		})
	}
}

func TestCallRefuses(t *testing.T) {
	for name, call := range map[string]func() ([]byte, error){
		"no driver":      func() ([]byte, error) { return Call(nil, abi.ExportList, []byte("{}")) },
		"unknown export": func() ([]byte, error) { return Call(broken{}, "reboot", []byte("{}")) },
		"no JSON":        func() ([]byte, error) { return Call(broken{}, abi.ExportList, []byte("junk")) },
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := call(); err == nil {
				t.Errorf("got %s, want an error", out)
			}
		})
	}
}
