package main

import (
	"slices"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// Permissions that are named more than once.
const (
	maySeeGroup      = "compute.instanceGroupManagers.get"
	maySeeAutoscaler = "compute.autoscalers.get"
	mayActAs         = "iam.serviceAccounts.actAs"
)

// needs are the permissions of the role on the driver's page.
var needs = driver.Needs{
	Todo: "add NAME to the role of the agent's service account: docs/drivers/googlecompute.md has the whole of it",
	List: []driver.Need{
		{Name: maySeeGroup, Purpose: "see the group and list its instances", Without: "nothing is known of the group: no instance counts as gone, none is made"},
		{Name: "compute.instanceGroupManagers.update", Purpose: "let the group grow, and delete instances of it", Without: "no instance is made, and none is removed"},
		{Name: "compute.instances.get", Purpose: "learn how an instance is reached", Without: "no instance gets a job"},
		{Name: "compute.instances.setMetadata", Purpose: "let the agent's key in",
			Without: "no instance gets a job, unless connector_config has credentials of its own (use_static_credentials)"},
		{Name: mayActAs, Purpose: "set metadata of instances that run as a service account",
			Without: "no such instance gets a job, unless connector_config has credentials of its own (use_static_credentials)",
			Fix:     "give the agent's service account the role roles/iam.serviceAccountUser on the one of the group's template"},
		{Name: maySeeAutoscaler, Purpose: "see that an autoscaler of the group is off", Without: "one that is on is only warned of; everything else works"},
	},
}

// Check asks Google which of the permissions the credential has in the group's project. Where the API that tells is off, the group is looked at
// instead, and the rest is not known.
func (googlecompute) Check(req abi.CheckRequest) ([]abi.Permission, error) {
	g, err := usable(req.Options)
	if err != nil {
		return nil, err
	}
	granted, err := g.Granted(g.Project, "", needs.Names())
	if driver.Is(err, abi.Transient, abi.RateLimited, abi.Invalid, abi.NotFound) || gce.RefusedAltogether(err) {
		return nil, driver.About("ask what is allowed in "+g.Project, err)
	}
	var all []abi.Permission
	for _, name := range needs.Names() {
		all = append(all, g.permission(name, slices.Contains(granted, name), err))
	}
	return all, nil
}

// permission is what is known of one. unasked is why Google did not tell.
func (g group) permission(name string, granted bool, unasked error) abi.Permission {
	switch {
	case unasked != nil && name == maySeeGroup:
		_, err := g.manager()
		return needs.After(name, err)
	case unasked != nil:
		p := needs.Is(name, abi.PermissionUnknown, unasked.(*abi.Error).Message)
		p.Fix = gce.TodoRights
		return p
	case granted:
		return needs.Is(name, abi.PermissionGranted, "")
	case name == mayActAs:
		return needs.Is(name, abi.PermissionUnknown, "the credential does not have it in the whole of "+g.Project+"; it may have it on the service account")
	}
	return needs.Is(name, abi.PermissionDenied, "Google says that the credential does not have it in "+g.Project)
}
