package main

import (
	"encoding/json"
	"net/url"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// Switch starts or stops the VM. Compute Engine has no restart that asks the system first: the host stops and starts it then.
// Source: Compute Engine API v1, "instances.start", "instances.stop".
func (google) Switch(export string, req abi.SwitchRequest) error {
	method := map[string]string{abi.ExportStart: "start", abi.ExportStop: "stop", abi.ExportKill: "stop"}[export]
	if method == "" {
		return &abi.Error{Kind: abi.Invalid, Code: abi.CodeNoSwitch, Message: "Compute Engine has no " + export + "; stop the machine and start it"}
	}
	p, v, err := owned(req)
	if err != nil || driver.Switched(export, v.status()) {
		return err
	}
	_, err = p.Change("POST", p.inZone("instances", v.ID, method), nil, nil)
	return driver.About(export+" "+req.Name, err)
}

// lastOutput is how many bytes of a serial port are read, from its end.
const lastOutput = "-131072"

// Logs returns the end of what the VM wrote to its first serial port.
// Source: Compute Engine API v1, "instances.getSerialPortOutput": a negative start counts from the end.
func (google) Logs(req abi.LogsRequest) (string, error) {
	p, v, err := owned(req)
	if err != nil {
		return "", err
	}
	var out struct {
		gce.Kinded
		Contents string `json:"contents"`
	}
	query := url.Values{"port": {"1"}, "start": {lastOutput}, "fields": {"kind,contents"}}
	if err := p.Call("GET", p.inZone("instances", v.ID, "serialPort"), query, nil, "compute#serialPortOutput", &out); err != nil {
		return "", driver.About("read the serial port of "+req.Name, err)
	}
	return out.Contents, nil
}

// owned returns the owner's VM of a request and where it is: in the zone that the host keeps with it, else in that of the options.
func owned(req abi.RemoveRequest) (place, vm, error) {
	p, err := reachable(req.Options)
	if err != nil {
		return p, vm{}, err
	}
	var known state
	if json.Unmarshal([]byte(req.State), &known) == nil && known.Zone != "" {
		p.zone = known.Zone
	}
	if !gce.NameLike.MatchString(req.Name) {
		return p, vm{}, driver.Missing(req.Name)
	}
	v, err := p.get(req.Name)
	switch {
	case driver.Is(err, abi.NotFound), err == nil && v.Labels[labelOwner] != req.Owner.ID:
		return p, vm{}, driver.Missing(req.Name)
	case err != nil:
		return p, vm{}, driver.About("look at "+req.Name, err)
	}
	return p, v, nil
}
