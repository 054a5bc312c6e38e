package main

import (
	"encoding/binary"
	"net/url"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// stopPatience is how long a machine may take to end before the engine kills it, in seconds: docker's own default.
const stopPatience = "10"

// Switch starts, stops, kills or restarts the machine's container. It finds it by its labels, as Remove does.
// Source: Docker Engine API v1.41, "Start a container" and those beside it. 304 says that it is in that state already.
func (dockerDriver) Switch(export string, req abi.SwitchRequest) error {
	e, id, err := containerOf(req)
	if err != nil {
		return err
	}
	var query url.Values
	if export == abi.ExportStop || export == abi.ExportRestart {
		query = url.Values{"t": {stopPatience}}
	}
	err = e.call("POST", "/containers/"+id+"/"+export, query, nil, nil)
	if export == abi.ExportKill && driver.Is(err, abi.Conflict) { // it does not run
		err = nil
	}
	if err != nil {
		return driver.About(export+" the container", err)
	}
	return nil
}

// lastLines is how many lines of a container's output are read, from its end.
const lastLines = "1000"

// Logs returns the end of what the machine's container wrote: its console.
// Source: Docker Engine API v1.41, "Get container logs".
func (dockerDriver) Logs(req abi.LogsRequest) (string, error) {
	e, id, err := containerOf(req)
	if err != nil {
		return "", err
	}
	out, err := e.send("GET", "/containers/"+id+"/logs", url.Values{"stdout": {"1"}, "stderr": {"1"}, "tail": {lastLines}}, "", nil)
	if err != nil {
		return "", driver.About("read the output of the container", err)
	}
	return unframed(out), nil
}

// unframed takes the headers out of a container's output: a byte for the stream, three that are 0, and the length of what follows.
// Source: Docker Engine API v1.41, "Attach to a container", stream format.
func unframed(out []byte) string {
	var text strings.Builder
	for len(out) >= 8 {
		n := min(int(binary.BigEndian.Uint32(out[4:8])), len(out)-8)
		text.Write(out[8 : 8+n])
		out = out[8+n:]
	}
	return text.String()
}

// containerOf returns the engine, and the id of the owner's machine's container there.
func containerOf(req abi.RemoveRequest) (engine, string, error) {
	s, err := reachable(req.Options)
	if err != nil {
		return engine{}, "", err
	}
	e, err := open(s, req.Owner, req.Name)
	if err != nil {
		return e, "", err
	}
	query := filters(labelOwner+"="+req.Owner.ID, labelMachine+"="+req.Name)
	query.Set("all", "1")
	var containers []listed
	if err := e.call("GET", "/containers/json", query, nil, &containers); err != nil {
		return e, "", driver.About("find the container", err)
	}
	if len(containers) == 0 {
		return e, "", driver.Missing(req.Name)
	}
	return e, containers[0].ID, nil
}
