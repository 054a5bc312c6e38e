package wasm_test

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestDockerDriver asks a real engine, through the built-in driver's Wasm and the socket that docker-host grants to it.
func TestDockerDriver(t *testing.T) {
	engine := need.Docker(t)
	m, err := moduletest.Host(t, module.Limits{}).Load(t.Context(), module.Source{Name: "docker", Wasm: guests.Wasm(t, "providers/docker"), Builtin: true})
	if err != nil {
		t.Fatal(err)
	}
	d, err := wasm.New(m)
	if err != nil {
		t.Fatal(err)
	}
	options, problems := wasm.ParseOptions(d.Describe(), []string{"docker-host=" + engine}, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if problems, err := d.Validate(t.Context(), options); err != nil || len(problems) > 0 {
		t.Errorf("validate: %v, %v", problems, err)
	}
	owner := abi.Owner{ID: "nobodyownsthis00"}
	list, err := d.List(t.Context(), abi.ListRequest{Owner: owner, Options: options})
	if err != nil || !list.Complete || len(list.Instances) != 0 {
		t.Errorf("list: %+v, %v", list, err)
	}
	options["docker-host"] = []string{"unix:///no/such.sock"}
	if _, err := d.List(t.Context(), abi.ListRequest{Owner: owner, Options: options}); err == nil || strings.Contains(err.Error(), "granted") {
		t.Errorf("a socket that is granted and not there: %v", err)
	}
}
