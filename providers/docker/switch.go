package main

import (
	"net/url"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// stopPatience is how long a machine may take to end before the engine kills it, in seconds: docker's own default.
const stopPatience = "10"

// Switch starts, stops, kills or restarts the machine's container. It finds it by its labels, as Remove does.
// Source: Docker Engine API v1.41, "Start a container" and those beside it. 304 says that it is in that state already.
func (dockerDriver) Switch(export string, req abi.SwitchRequest) error {
	s, err := reachable(req.Options)
	if err != nil {
		return err
	}
	e, err := open(s, req.Owner, req.Name)
	if err != nil {
		return err
	}
	query := filters(labelOwner+"="+req.Owner.ID, labelMachine+"="+req.Name)
	query.Set("all", "1")
	var containers []listed
	if err := e.call("GET", "/containers/json", query, nil, &containers); err != nil {
		return driver.About("find the container", err)
	}
	if len(containers) == 0 {
		return &abi.Error{Kind: abi.NotFound, Message: "there is no container of the machine " + req.Name}
	}
	query = nil
	if export == abi.ExportStop || export == abi.ExportRestart {
		query = url.Values{"t": {stopPatience}}
	}
	err = e.call("POST", "/containers/"+containers[0].ID+"/"+export, query, nil, nil)
	if export == abi.ExportKill && driver.Is(err, abi.Conflict) { // it does not run
		err = nil
	}
	if err != nil {
		return driver.About(export+" the container", err)
	}
	return nil
}
