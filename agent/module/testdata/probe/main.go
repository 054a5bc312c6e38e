// Command probe is a guest for the tests of agent/module: a policy that does what its configuration says, good or bad.
package main

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/host"
	"github.com/millwright-ci/millwright/sdk/go/policy"
)

func init() { policy.Register(probe{}) }

func main() {}

// orders is the module's configuration.
type orders struct {
	Do    string          `json:"do"`
	URL   string          `json:"url"`
	Times int             `json:"times"`
	Then  json.RawMessage `json:"then"` // the proposal of do = "propose"
}

type probe struct{}

// remembered counts the calls of one instance.
var remembered int

func (probe) Describe() abi.Describe {
	return abi.Describe{Name: "probe", Version: "1.0.0", Hostnames: []string{"http://127.0.0.1:*"}, WantMachines: true}
}

func (probe) Decide(s abi.Snapshot) (abi.Proposal, error) {
	var o orders
	if len(s.Config) > 0 {
		if err := json.Unmarshal(s.Config, &o); err != nil {
			return abi.Proposal{}, err
		}
	}
	switch o.Do {
	case "propose":
		var p abi.Proposal
		err := json.Unmarshal(o.Then, &p)
		return p, err
	case "count":
		n, _ := strconv.Atoi(s.State)
		if o.Times > 0 && n >= o.Times {
			panic("worn out")
		}
		state := strconv.Itoa(n + 1)
		return abi.Proposal{IdleTarget: &n, State: &state, Reason: "asked " + state + " times"}, nil
	case "remember": // in its own memory, as no policy should
		remembered++
		return abi.Proposal{Reason: "asked " + strconv.Itoa(remembered) + " times"}, nil
	case "fail when many":
		if s.Fleet.Total >= 1000 {
			return abi.Proposal{}, errors.New("there are too many")
		}
		return abi.Proposal{Reason: "there are few"}, nil
	case "see":
		seen, err := json.Marshal(s)
		return abi.Proposal{Reason: string(seen)}, err
	case "http":
		return abi.Proposal{Reason: host.HTTPSend(abi.HTTPRequest{Method: "GET", URL: o.URL}).Error.Kind}, nil
	}
	return abi.Proposal{}, misbehave(o)
}

func (probe) Observe(req abi.ObserveRequest) (abi.Raw, error) {
	var o orders
	if err := json.Unmarshal(req.Config, &o); err != nil {
		return nil, err
	}
	if o.Do == "http" {
		return json.Marshal(host.HTTPSend(abi.HTTPRequest{Method: "GET", URL: o.URL}))
	}
	return nil, misbehave(o)
}

// misbehave does what a guest should not.
func misbehave(o orders) error {
	switch o.Do {
	case "fail":
		return errors.New("the weather is bad")
	case "panic":
		panic("boom")
	case "nil":
		var p *orders
		return errors.New(p.URL)
	case "exit":
		os.Exit(o.Times)
	case "eat":
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
		}
	case "extism http":
		extismHTTP(o.URL)
	case "log":
		for i := range o.Times {
			host.Log(host.LevelInfo, "line "+strconv.Itoa(i), map[string]string{"of": strconv.Itoa(o.Times)})
		}
	case "wait":
		for {
		}
	case "read":
		if _, err := os.ReadDir("/"); err == nil {
			return errors.New("there are files")
		}
		if len(os.Environ()) > 0 {
			return errors.New("there is an environment")
		}
	}
	return nil
}
