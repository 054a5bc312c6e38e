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
		"no check names no permission":   {nil, abi.ExportCheck, `{"ok":{"permissions":[]}}`},
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

// checking is a driver with a check.
type checking struct{ broken }

var needs = Needs{List: []Need{{Name: "a", Purpose: "p"}, {Name: "b", Without: "w", Fix: "f"}}, Todo: "grant NAME"}

func (c checking) Check(abi.CheckRequest) ([]abi.Permission, error) {
	if c.err != nil && !Is(c.err, abi.Auth) {
		return nil, c.err
	}
	return []abi.Permission{needs.After("a", c.err), needs.After("b", c.err)}, nil
}

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"granted": {nil, `{"ok":{"permissions":[{"name":"a","result":"granted","purpose":"p"},{"name":"b","result":"granted"}]}}`},
		"denied": {&abi.Error{Kind: abi.Auth, Message: "no"}, `{"ok":{"permissions":[{"name":"a","result":"denied","purpose":"p","without":"no machine is made","fix":"grant a","message":"no"},` +
			`{"name":"b","result":"denied","without":"w","fix":"f","message":"no"}]}}`},
		"a failure": {&abi.Error{Kind: abi.Transient, Message: "cable"}, `{"error":{"kind":"transient","message":"cable"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := Call(checking{broken{tc.err}}, abi.ExportCheck, []byte("{}"))
			if err != nil || string(out) != tc.want {
				t.Errorf("got %s, %v\nwant %s", out, err, tc.want)
			}
		})
	}
	for err, want := range map[error]abi.PermissionResult{
		&abi.Error{Kind: abi.NotFound}: abi.PermissionGranted, &abi.Error{Kind: abi.RateLimited}: abi.PermissionUnknown, errors.New("cable"): abi.PermissionUnknown,
	} {
		if p := needs.After("a", err); p.Result != want || want == abi.PermissionUnknown && p.Fix != "" {
			t.Errorf("%v: %+v", err, p)
		}
	}
}
