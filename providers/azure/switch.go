package main

import (
	"net/url"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// Switch starts, stops, kills or restarts the VM. A stop gives its processor back, so that it costs no more than its disk; a kill switches it off
// as it stands, which costs on.
// Source: Azure REST API, "Virtual Machines": Start, Deallocate, Power Off, Restart.
func (azure) Switch(export string, req abi.SwitchRequest) error {
	p, err := reachable(req.Options)
	if err != nil {
		return err
	}
	if !nameLike.MatchString(req.Name) {
		return driver.Missing(req.Name)
	}
	v, err := p.machine(req.Name)
	switch {
	case driver.Is(err, abi.NotFound), err == nil && v.Tags[tagOwner] != req.Owner.ID:
		return driver.Missing(req.Name)
	case err != nil:
		return driver.About("look at "+req.Name, err)
	case driver.Switched(export, v.status(powersOf(v).power)):
		return nil
	}
	verb, query := export, url.Values(nil)
	switch export {
	case abi.ExportStop:
		verb = "deallocate"
	case abi.ExportKill:
		verb, query = "powerOff", url.Values{"skipShutdown": {"true"}}
	}
	_, err = p.call(request{method: "POST", path: p.compute("virtualMachines", req.Name, verb), version: versionCompute, query: query}, status{})
	return driver.About(export+" "+req.Name, err)
}
