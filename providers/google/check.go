package main

import (
	"net/url"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// Permissions that are named more than once.
const (
	maySeeInstances  = "compute.instances.list"
	maySeeDisks      = "compute.disks.list"
	maySeeOperations = "compute.globalOperations.list"
	maySetAccount    = "compute.instances.setServiceAccount"
	mayUseSubnet     = "compute.subnetworks.use"
	mayUseExternal   = "compute.subnetworks.useExternalIp"
	maySeeAddress    = "compute.addresses.get"
	mayFollowBulk    = "compute.regionOperations.get"
	mayChangeNetwork = "compute.networks.updatePolicy"
	firewallPrefix   = "compute.firewalls."
)

const (
	makeMachines = "make machines"
	firewallRule = "make the firewall rule " + ruleName + ", or open ports in it"
	todoFirewall = "add it to the role, or give " + optSkipFirewall + " and a rule of your own"
)

// needs are the permissions of the role on the driver's page.
var needs = driver.Needs{
	Todo: "add NAME to the role of the agent's service account: docs/drivers/google.md has the whole of it",
	List: []driver.Need{
		{Name: maySeeInstances, Purpose: "find the machines", Without: "nothing is known of machines: none counts as gone, none is made"},
		{Name: "compute.instances.create", Purpose: makeMachines},
		{Name: "compute.instances.setLabels", Purpose: makeMachines + ", with their owner's label"},
		{Name: "compute.instances.setMetadata", Purpose: makeMachines + ", with their keys"},
		{Name: "compute.instances.setTags", Purpose: makeMachines + ", with network tags"},
		{Name: maySetAccount, Purpose: makeMachines + " with a service account", Fix: "add it to the role, or give " + optNoAccount},
		{Name: "compute.disks.create", Purpose: makeMachines + ", with their boot disk"},
		{Name: "compute.disks.setLabels", Purpose: makeMachines + ", with their owner's label on the boot disk"},
		{Name: mayUseSubnet, Purpose: makeMachines + " in the subnetwork", Fix: "grant it in the project that has the subnetwork, or on the subnetwork itself"},
		{Name: mayUseExternal, Purpose: "give machines an external address", Fix: "grant it as " + mayUseSubnet + ", or give " + optInternalIPOnly},
		{Name: maySeeAddress, Purpose: "find the reserved address by its name", Fix: "add it to the role, or give the address itself"},
		{Name: firewallPrefix + "get", Purpose: "look at the firewall rule " + ruleName, Fix: todoFirewall},
		{Name: firewallPrefix + "create", Purpose: firewallRule, Fix: todoFirewall},
		{Name: firewallPrefix + "update", Purpose: firewallRule, Fix: todoFirewall},
		{Name: mayChangeNetwork, Purpose: firewallRule, Fix: todoFirewall},
		{Name: "compute.instances.get", Purpose: "see whose a machine is before it is removed", Without: "no machine is removed"},
		{Name: "compute.instances.delete", Purpose: "remove machines", Without: "machines are made and can't be removed: they cost until somebody does it by hand"},
		{Name: "compute.disks.get", Purpose: "see whose a boot disk is before it is removed", Without: "boot disks that a failed creation left stay, and are tried again"},
		{Name: "compute.disks.delete", Purpose: "remove boot disks that a failed creation left", Without: "they stay, and are tried again"},
		{Name: maySeeDisks, Purpose: "find boot disks that a machine left behind", Without: "they are not found; everything else works"},
		{Name: maySeeOperations, Purpose: "learn why a machine was not made",
			Without: "a stock-out is seen as a machine that never came, half a minute later and without its reason; everything else works"},
		{Name: mayFollowBulk, Purpose: "learn where a bulk insert made a machine, or why not",
			Without: "a stock-out of " + optBulkInsert + " is seen as a machine that never came, and the next " + optFlex + " is not tried"},
	},
}

// Check asks Google which of the permissions the credential has: those of the project, those in the network's, and on the subnetwork if it is named.
// Where the API that tells is off, three lists are read instead, and the rest is not known.
func (google) Check(req abi.CheckRequest) ([]abi.Permission, error) {
	s, err := usable(req.Options)
	if err != nil {
		return nil, err
	}
	var found []abi.Permission
	for _, where := range s.places() {
		granted, err := s.Granted(where.project, where.path, where.names)
		if driver.Is(err, abi.Transient, abi.RateLimited, abi.Invalid, abi.NotFound) || gce.RefusedAltogether(err) {
			return nil, driver.About("ask what is allowed in "+where.project, err)
		}
		for _, name := range where.names {
			switch {
			case err != nil:
				found = append(found, s.tried(name, err))
			case slices.Contains(granted, name):
				found = append(found, needs.Is(name, abi.PermissionGranted, ""))
			default:
				found = append(found, needs.Is(name, abi.PermissionDenied, "Google says that the credential does not have it in "+where.project))
			}
		}
	}
	order := needs.Names()
	slices.SortStableFunc(found, func(a, b abi.Permission) int { return slices.Index(order, a.Name) - slices.Index(order, b.Name) })
	return found, nil
}

// site is where some permissions are needed.
type site struct {
	project string
	path    string // of a resource in the Compute API; "" is the project as a whole
	names   []string
}

// places sorts the permissions that machines of these options take by where they must be had.
func (s settings) places() []site {
	project := site{project: s.Project}
	network := site{project: s.networkProject()}
	subnet := site{project: s.Project}
	if s.subnetwork != "" {
		subnet.path = "projects/" + s.Project + "/regions/" + s.region() + "/subnetworks/" + s.subnetwork
		if _, rest, ok := strings.Cut(s.subnetwork, "projects/"); ok {
			subnet.path = "projects/" + rest
			subnet.project, _, _ = strings.Cut(rest, "/")
		}
	}
	for _, name := range needs.Names() {
		switch {
		case strings.HasPrefix(name, firewallPrefix) || name == mayChangeNetwork:
			if s.firewall {
				network.names = append(network.names, name)
			}
		case name == mayUseExternal && !s.external, name == maySetAccount && s.account == "", name == maySeeAddress && (s.address == "" || !s.external), name == mayFollowBulk && !s.bulk.on:
		case name == mayUseSubnet || name == mayUseExternal:
			subnet.names = append(subnet.names, name)
		default:
			project.names = append(project.names, name)
		}
	}
	return slices.DeleteFunc([]site{project, network, subnet}, func(w site) bool { return len(w.names) == 0 })
}

// tried is what a look tells of a permission, where Google does not tell by itself.
func (s settings) tried(name string, why error) abi.Permission {
	list, ok := map[string]struct{ path, kind string }{
		maySeeInstances: {"instances", "compute#instanceAggregatedList"}, maySeeDisks: {"disks", "compute#diskAggregatedList"},
		maySeeOperations: {"operations", "compute#operationAggregatedList"},
	}[name]
	if ok {
		var out gce.Kinded
		return needs.After(name, s.Call("GET", s.In("aggregated", list.path), url.Values{"maxResults": {"1"}}, nil, list.kind, &out))
	}
	p := needs.Is(name, abi.PermissionUnknown, why.(*abi.Error).Message)
	p.Fix = gce.TodoRights
	return p
}
