package main

import (
	"strconv"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// actions are Hetzner's words. Source: Hetzner Cloud API, "Server Actions".
var actions = map[string]string{abi.ExportStart: "poweron", abi.ExportStop: "shutdown", abi.ExportKill: "poweroff", abi.ExportRestart: "reboot"}

// Switch starts, stops, kills or restarts the server. One that is switched off costs as much as one that runs.
func (hetzner) Switch(export string, req abi.SwitchRequest) error {
	if !nameLike.MatchString(req.Name) {
		return driver.Missing(req.Name)
	}
	a := api(req.Options)
	found, err := byName(a, req.Name)
	switch {
	case err != nil:
		return driver.About("look at "+req.Name, err)
	case found.ID == 0 || found.Labels[labelOwner] != req.Owner.ID || found.Status == "deleting":
		return driver.Missing(req.Name)
	case driver.Switched(export, found.status()):
		return nil
	}
	var got actionAnswer
	_, err = a.Call("POST", "/servers/"+strconv.FormatInt(found.ID, 10)+"/actions/"+actions[export], nil, nil, &got)
	return driver.About(export+" "+req.Name, err)
}
