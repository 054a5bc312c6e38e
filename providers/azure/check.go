package main

import (
	"net/url"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

const (
	versionAuthorization = "2022-04-01"

	inCompute   = "Microsoft.Compute/"
	inNetwork   = "Microsoft.Network/"
	inResources = "Microsoft.Resources/subscriptions/resourceGroups/"

	makeMachines   = "make machines"
	removeMachines = "remove machines"
	noneRemoved    = "machines are made and can't be removed: they cost until somebody does it by hand"
)

// needs are the actions of the role on the driver's page.
var needs = driver.Needs{
	Todo: "add NAME to the role of the agent's identity: docs/drivers/azure.md has the whole of it",
	List: []driver.Need{
		{Name: inCompute + "virtualMachines/read", Purpose: "find the machines", Without: "nothing is known of machines: none counts as gone, none is made"},
		{Name: inCompute + "virtualMachines/write", Purpose: makeMachines},
		{Name: inCompute + "virtualMachines/delete", Purpose: removeMachines, Without: noneRemoved},
		{Name: inCompute + "disks/read", Purpose: "find disks that a machine left", Without: "they are not removed"},
		{Name: inCompute + "disks/write", Purpose: makeMachines},
		{Name: inCompute + "disks/delete", Purpose: removeMachines + " with their disks", Without: noneRemoved},
		{Name: inCompute + "availabilitySets/read", Purpose: "find the availability set"},
		{Name: inCompute + "availabilitySets/write", Purpose: "make the availability set, where it is missing", Without: "the set must be there, or " + optAvailabilitySet + " be empty"},
		{Name: inNetwork + "networkInterfaces/read", Purpose: "find the addresses of machines", Without: "no machine is reached"},
		{Name: inNetwork + "networkInterfaces/write", Purpose: makeMachines},
		{Name: inNetwork + "networkInterfaces/delete", Purpose: removeMachines + " with their interfaces", Without: noneRemoved},
		{Name: inNetwork + "networkInterfaces/join/action", Purpose: makeMachines},
		{Name: inNetwork + "publicIPAddresses/read", Purpose: "find the public addresses of machines", Without: "no machine is reached by a public address"},
		{Name: inNetwork + "publicIPAddresses/write", Purpose: "give machines a public address"},
		{Name: inNetwork + "publicIPAddresses/delete", Purpose: removeMachines + " with their public addresses", Without: noneRemoved},
		{Name: inNetwork + "publicIPAddresses/join/action", Purpose: "give machines a public address"},
		{Name: inNetwork + "networkSecurityGroups/read", Purpose: "find the security group"},
		{Name: inNetwork + "networkSecurityGroups/write", Purpose: "make the security group, where it is missing", Without: "it must be there: " + optNSG},
		{Name: inNetwork + "networkSecurityGroups/join/action", Purpose: makeMachines + " in the security group"},
		{Name: inNetwork + "virtualNetworks/read", Purpose: "find the network"},
		{Name: inNetwork + "virtualNetworks/write", Purpose: "make the network, where it is missing", Without: "network and subnet must be there"},
		{Name: inNetwork + "virtualNetworks/subnets/write", Purpose: "make the subnet, where it is missing", Without: "the subnet must be there"},
		{Name: inNetwork + "virtualNetworks/subnets/join/action", Purpose: makeMachines + " in the subnet"},
		{Name: inResources + "read", Purpose: "find the resource group"},
		{Name: inResources + "write", Purpose: "make the resource group, where it is missing", Without: "it must be there"},
		{Name: inResources + "resources/read", Purpose: "find what a machine left behind", Without: "it is not found; everything else works"},
	},
}

// allowed is what one role assignment gives. Source: Azure REST API, "Permissions - List For Resource Group".
type allowed struct {
	Actions    []string `json:"actions"`
	NotActions []string `json:"notActions"`
}

// Check asks Azure what the identity's roles allow in the resource group, and in that of the network where it is another one. Deny assignments and
// policies are not told so.
func (azure) Check(req abi.CheckRequest) ([]abi.Permission, error) {
	w, err := usable(req.Options)
	if err != nil {
		return nil, err
	}
	groups := map[string][]allowed{}
	unknown := map[string]string{}
	for _, group := range []string{w.group, w.vnetGroup} {
		if _, before := groups[group]; before {
			continue
		}
		path := w.id(group) + "/providers/Microsoft.Authorization/permissions"
		roles, _, err := pages[allowed](w.place, path, versionAuthorization, url.Values{})
		switch e, _ := err.(*abi.Error); {
		case e != nil && e.Code == "ResourceGroupNotFound":
			unknown[group] = "the resource group " + group + " is not there, and Azure tells rights in those that are; make it, or check again when it is there"
		case driver.Is(err, abi.Auth) && !refusedAltogether(err):
			unknown[group] = err.(*abi.Error).Message
		case err != nil:
			return nil, driver.About("ask what is allowed in "+group, err)
		}
		groups[group] = roles
	}
	var found []abi.Permission
	for _, name := range needs.Names() {
		group := w.group
		if strings.HasPrefix(name, inNetwork+"virtualNetworks/") {
			group = w.vnetGroup
		}
		switch {
		case w.needless(name):
		case unknown[group] != "":
			found = append(found, needs.Is(name, abi.PermissionUnknown, unknown[group]))
		case allows(groups[group], name):
			found = append(found, needs.Is(name, abi.PermissionGranted, ""))
		default:
			found = append(found, needs.Is(name, abi.PermissionDenied, "no role of the identity allows it in the resource group "+group))
		}
	}
	return found, nil
}

// needless tells what machines with these options do without.
func (w wishes) needless(name string) bool {
	switch {
	case strings.HasPrefix(name, inCompute+"availabilitySets/"):
		return w.set == ""
	case strings.HasPrefix(name, inNetwork+"publicIPAddresses/"):
		return !w.public
	case strings.HasPrefix(name, inNetwork+"networkSecurityGroups/"):
		return w.nsg != "" && !strings.HasSuffix(name, "/join/action")
	}
	return false
}

// refusedAltogether tells an identity that Azure does not take from one that lacks a right.
func refusedAltogether(err error) bool {
	e, ok := err.(*abi.Error)
	return ok && e.Code != "AuthorizationFailed" && e.Code != "LinkedAuthorizationFailed"
}

// allows tells whether one of the roles gives an action and does not take it away again. Roles add up; stars stand for any text.
// Source: Azure documentation, "Understand Azure role definitions".
func allows(roles []allowed, action string) bool {
	any := func(patterns []string) bool {
		for _, p := range patterns {
			if like(strings.ToLower(p), strings.ToLower(action)) {
				return true
			}
		}
		return false
	}
	for _, r := range roles {
		if any(r.Actions) && !any(r.NotActions) {
			return true
		}
	}
	return false
}

// like tells whether a text is as a pattern with stars says.
func like(pattern, text string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for {
		var part string
		if part, rest, star = strings.Cut(rest, "*"); !star {
			return strings.HasSuffix(text, part)
		}
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
}
