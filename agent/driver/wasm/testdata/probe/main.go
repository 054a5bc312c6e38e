// Command probe is a guest for the tests of agent/driver/wasm: a driver that does what the option probe-do says, over a provider that
// is an HTTP server at probe-url.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

func init() { driver.Register(probe{}) }

func main() {}

type probe struct{}

func (probe) Describe() abi.Describe {
	return abi.Describe{
		Name:      "probe",
		Hostnames: []string{"{probe-url}"},
		Options: []abi.Option{
			{Name: "probe-url", Type: abi.OptionString, Help: "where the provider is"},
			{Name: "probe-do", Type: abi.OptionString, Help: "what to do"},
		},
	}
}

func (probe) Validate(req abi.ValidateRequest) []abi.Problem {
	names := make([]string, 0, len(req.Options))
	for name := range req.Options {
		names = append(names, name)
	}
	sort.Strings(names)
	return []abi.Problem{{Option: "probe-do", Message: strings.Join(names, " ")}}
}

func (probe) Create(req abi.CreateRequest) (abi.Instance, error) {
	switch do := req.Options.Get("probe-do"); {
	case do == "panic":
		panic("boom")
	case do == "loop":
		for {
		}
	case do == "plain":
		return abi.Instance{}, errors.New("the cable is cut")
	case do == "another name":
		return abi.Instance{Name: "other"}, nil
	case do == "bad address":
		return abi.Instance{Name: req.Name, Address: "10.0.0.1; rm -rf /"}, nil
	case do == "bad port":
		return abi.Instance{Name: req.Name, SSHPort: 70000}, nil
	case do == "big state":
		return abi.Instance{Name: req.Name, State: abi.Raw(`"` + strings.Repeat("x", 20<<10) + `"`)}, nil
	case do == "odd status":
		return abi.Instance{Name: req.Name, Status: "exploded"}, nil
	case strings.HasPrefix(do, "kind "):
		return abi.Instance{}, fmt.Errorf("zone a: %w", &abi.Error{Kind: abi.ErrorKind(do[5:]), Message: "no", RetryAfterS: 1e6})
	}
	var inst abi.Instance
	err := ask("POST", req.Options.Get("probe-url")+"/machines/"+req.Name, &inst)
	return inst, err
}

func (probe) List(req abi.ListRequest) (abi.ListResult, error) {
	res := abi.ListResult{Complete: true}
	err := ask("GET", req.Options.Get("probe-url")+"/machines", &res.Instances)
	return res, err
}

func (probe) Remove(req abi.RemoveRequest) error {
	return ask("DELETE", req.Options.Get("probe-url")+"/machines/"+req.Name, nil)
}

// ask sends one request to the provider and reads its answer into out.
func ask(method, url string, out any) error {
	res := host.HTTPSend(abi.HTTPRequest{Method: method, URL: url})
	switch {
	case res.Error != nil:
		return &abi.Error{Kind: abi.Transient, Message: res.Error.Message, Code: res.Error.Kind}
	case res.Status == 404:
		return &abi.Error{Kind: abi.NotFound, Message: "no such machine"}
	case out == nil:
		return nil
	}
	return json.Unmarshal(res.Body, out)
}
