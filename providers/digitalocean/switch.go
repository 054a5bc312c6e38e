package main

import (
	"strconv"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// actions are DigitalOcean's words. Source: DigitalOcean API, "Droplet Actions".
var actions = map[string]string{abi.ExportStart: "power_on", abi.ExportStop: "shutdown", abi.ExportKill: "power_off", abi.ExportRestart: "reboot"}

type actionAnswer struct {
	Action struct {
		ID int64 `json:"id"`
	} `json:"action"`
}

// Whole implements rest.Answer.
func (a *actionAnswer) Whole() bool { return a.Action.ID != 0 }

// Switch starts, stops, kills or restarts the droplet. One that is switched off costs as much as one that runs.
func (digitalocean) Switch(export string, req abi.SwitchRequest) error {
	if !nameLike.MatchString(req.Name) {
		return driver.Missing(req.Name)
	}
	a := api(req.Options)
	all, complete, err := owned(a, req.Owner.ID)
	if err != nil {
		return driver.About("look for "+req.Name, err)
	}
	for _, d := range all {
		if !d.ours(req.Owner.ID, req.Name) {
			continue
		}
		if driver.Switched(export, d.status()) {
			return nil
		}
		var got actionAnswer
		_, err := a.Call("POST", "/v2/droplets/"+strconv.FormatInt(d.ID, 10)+"/actions", nil, map[string]string{"type": actions[export]}, &got)
		return driver.About(export+" "+req.Name, err)
	}
	if !complete {
		return &abi.Error{Kind: abi.Transient, Message: "look for " + req.Name + ": a part of the list is missing, so it may be there"}
	}
	return driver.Missing(req.Name)
}
