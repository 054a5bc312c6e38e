package main

import (
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

const (
	maySee    = "list containers"
	mayChange = "make and remove containers, networks and volumes"
)

var needs = driver.Needs{List: []driver.Need{
	{Name: maySee, Purpose: "find the machines", Without: "nothing is known of machines: none counts as gone, none is made",
		Fix: "let the agent's user reach the engine: its socket is the group docker's as a rule; see " + optHost},
	{Name: mayChange, Purpose: "make and remove machines", Fix: "let the engine's proxy or authorization plug-in allow it"},
}}

// Check reads what the driver reads. Whoever may speak to an engine may do all on it, unless a plug-in of the engine's, or a proxy before a port,
// allows some calls alone: then nothing tells which.
func (dockerDriver) Check(req abi.CheckRequest) ([]abi.Permission, error) {
	s, err := reachable(req.Options)
	if err != nil {
		return nil, err
	}
	e, err := connect(s)
	if denied := err != nil && (driver.Is(err, abi.Auth) || strings.Contains(err.Error(), "permission denied")); denied {
		see := needs.Is(maySee, abi.PermissionDenied, err.(*abi.Error).Message)
		return []abi.Permission{see, needs.Is(mayChange, abi.PermissionUnknown, "the engine does not let the agent in")}, nil
	}
	if err != nil {
		return nil, err
	}
	see := needs.After(maySee, e.call("GET", "/containers/json", filters(labelOwner+"="+req.Owner.ID), nil, nil))
	var info struct {
		ID      string
		Plugins struct{ Authorization []string }
	}
	change := needs.Is(mayChange, abi.PermissionGranted, "")
	switch err := e.call("GET", "/info", nil, nil, &info); {
	case see.Result != abi.PermissionGranted:
		change = needs.Is(mayChange, abi.PermissionUnknown, "not all calls are let through to the engine")
	case err != nil:
		change = needs.Is(mayChange, abi.PermissionUnknown, "not all calls are let through to the engine: "+err.Error())
	case len(info.Plugins.Authorization) > 0:
		change = needs.Is(mayChange, abi.PermissionUnknown, "the engine asks its plug-in "+strings.Join(info.Plugins.Authorization, ", ")+", which tells nobody beforehand")
	}
	return []abi.Permission{see, change}, nil
}
