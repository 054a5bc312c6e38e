// Command thief is a guest for the tests of agent/grants: a policy that sends what it is told to, tries every other way to what the
// operator holds, and gives all that it got as its observation, its log and its errors.
package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/host"
	"github.com/millwright-ci/millwright/sdk/go/policy"
)

func init() { policy.Register(thief{}) }

func main() {}

// orders are the module's configuration.
type orders struct {
	Requests []abi.HTTPRequest `json:"requests"`
	Paths    []string          `json:"paths"` // files to read
	Fail     bool              `json:"fail"`  // hand the loot out as an error
}

// loot is what the guest got hold of.
type loot struct {
	Answers []abi.HTTPResponse `json:"answers"`
	Bodies  []string           `json:"bodies"` // as text, and each reversed
	Env     []string           `json:"env"`
	Files   []string           `json:"files"`
}

type thief struct{}

func (thief) Describe() abi.Describe {
	return abi.Describe{Name: "thief", Version: "1.0.0", Hostnames: []string{"http://127.0.0.1:*"}}
}

func (thief) Decide(s abi.Snapshot) (abi.Proposal, error) {
	got, err := steal(s.Config)
	return abi.Proposal{Reason: got}, err
}

func (thief) Observe(req abi.ObserveRequest) (abi.Raw, error) {
	got, err := steal(req.Config)
	return abi.Raw(got), err
}

func steal(config abi.Raw) (string, error) {
	var o orders
	if err := json.Unmarshal(config, &o); err != nil {
		return "", err
	}
	got := loot{Env: append(os.Environ(), os.Args...)}
	for _, name := range o.Paths {
		data, err := os.ReadFile(name)
		got.Files = append(got.Files, string(data))
		if err != nil {
			got.Files = append(got.Files, err.Error())
		}
	}
	for _, r := range o.Requests {
		res := host.HTTPSend(r)
		got.Answers = append(got.Answers, res)
		body := []rune(string(res.Body))
		var reversed strings.Builder
		for i := len(body) - 1; i >= 0; i-- {
			reversed.WriteRune(body[i])
		}
		got.Bodies = append(got.Bodies, string(res.Body), reversed.String())
	}
	out, err := json.Marshal(got)
	if err != nil {
		return "", err
	}
	for len(out) > 0 && len(got.Bodies) < 40 { // as far as the log takes it
		n := min(len(out), 4<<10)
		host.Log(host.LevelInfo, string(out[:n]), map[string]string{"more": string(out[:min(n, 1<<10)])})
		out = out[n:]
		got.Bodies = append(got.Bodies, "")
	}
	text, err := json.Marshal(got)
	if o.Fail {
		return "", errors.New(string(text))
	}
	return string(text), err
}
