package main

import (
	"encoding/base64"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// Switch starts, stops or restarts the instance. AWS stops no spot instance that was asked for once, as ours are, and says so.
// Source: EC2 API Reference, "StartInstances", "StopInstances", "RebootInstances".
func (amazonec2) Switch(export string, req abi.SwitchRequest) error {
	p, v, err := instanceOf(req)
	if err != nil || driver.Switched(export, v.status()) {
		return err
	}
	f := newForm()
	f.list("InstanceId", v.id)
	action := map[string]string{abi.ExportStart: "StartInstances", abi.ExportRestart: "RebootInstances"}[export]
	if action == "" {
		action = "StopInstances"
		if export == abi.ExportKill {
			f.put("Force", "true")
		}
	}
	_, err = p.call(action, f)
	return driver.About(export+" "+req.Name, err)
}

// Logs returns what the instance wrote to its serial console, 64 KB at most: what it says now, or where its type can't tell that, what it said
// when it was booted.
// Source: EC2 API Reference, "GetConsoleOutput".
func (amazonec2) Logs(req abi.LogsRequest) (string, error) {
	p, v, err := instanceOf(req)
	if err != nil {
		return "", err
	}
	f := newForm()
	f.put("InstanceId", v.id)
	f.put("Latest", "true")
	a, err := p.call("GetConsoleOutput", f)
	if driver.Is(err, abi.Invalid) {
		f.Del("Latest")
		a, err = p.call("GetConsoleOutput", f)
	}
	if err != nil {
		return "", driver.About("read the console of "+req.Name, err)
	}
	text, err := base64.StdEncoding.DecodeString(a.At("output"))
	if err != nil {
		return "", p.nonsense("GetConsoleOutput", "its output is no base64")
	}
	return string(text), nil
}

// instanceOf returns the owner's instance of a request that is not gone.
func instanceOf(req abi.RemoveRequest) (place, vm, error) {
	p, err := reachable(req.Options)
	if err != nil {
		return p, vm{}, err
	}
	if !nameLike.MatchString(req.Name) {
		return p, vm{}, driver.Missing(req.Name)
	}
	found, err := p.machine(req.Owner.ID, req.Name)
	if err != nil {
		return p, vm{}, driver.About("look at "+req.Name, err)
	}
	for _, v := range found {
		if v.status() != abi.StatusGone {
			return p, v, nil
		}
	}
	return p, vm{}, driver.Missing(req.Name)
}
