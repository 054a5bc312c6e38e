package main

import (
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// ruleName is the firewall rule that all machines of a network's project share, docker-machine's too. It is never removed.
const ruleName = "docker-machines"

const kindFirewall = "compute#firewall"

// rule is a firewall rule. Source: Compute Engine API v1, "Firewalls".
type rule struct {
	gce.Kinded   `json:"-"`
	Kind         string    `json:"kind,omitempty"`
	Name         string    `json:"name,omitempty"`
	Network      string    `json:"network,omitempty"`
	Allowed      []allowed `json:"allowed"`
	SourceRanges []string  `json:"sourceRanges,omitempty"`
	TargetTags   []string  `json:"targetTags,omitempty"`
}

// OfKind implements gce.Answer.
func (r rule) OfKind() string { return r.Kind }

type allowed struct {
	IPProtocol string   `json:"IPProtocol"`
	Ports      []string `json:"ports,omitempty"`
}

// ensureFirewall makes the rule, or adds the ports that it lacks. Many machines may do so at the same time: whoever is faster does it for
// all, and nobody waits for it, since it is in force long before a machine has booted.
func (s settings) ensureFirewall() error {
	project := s.networkProject()
	var found rule
	err := s.Call("GET", gce.InProject(project, "global", "firewalls", ruleName), nil, nil, kindFirewall, &found)
	switch {
	case driver.Is(err, abi.NotFound):
		err = s.makeRule(project)
	case err == nil:
		err = s.widenRule(project, found)
	}
	if driver.Is(err, abi.Auth) {
		err = driver.About("firewall rule "+ruleName+" (let "+optSkipFirewall+" stand in MachineOptions where another rule opens port "+enginePort.number+")", err)
	} else if err != nil {
		err = driver.About("firewall rule "+ruleName, err)
	}
	return err
}

// networkProject is the project of the network, which is another one's in a shared VPC.
func (s settings) networkProject() string {
	_, rest, ok := strings.Cut(s.network, "projects/")
	if project, _, more := strings.Cut(rest, "/"); ok && more && project != "" {
		return project
	}
	return s.Project
}

func (s settings) makeRule(project string) error {
	_, err := s.Change("POST", gce.InProject(project, "global", "firewalls"), nil, rule{
		Name: ruleName, Network: s.networkURL(), Allowed: merge(nil, s.ports), SourceRanges: []string{"0.0.0.0/0"}, TargetTags: []string{networkTag},
	})
	if driver.Is(err, abi.Conflict) {
		return nil // somebody was faster; ports that are missing come with the next machine
	}
	return err
}

func (s settings) widenRule(project string, found rule) error {
	if gce.LastPart(found.Network) != gce.LastPart(s.network) {
		host.Log(host.LevelWarn, "the firewall rule "+ruleName+" is of another network; machines can be reached only if a rule of their own network lets the agent in",
			map[string]string{"rule's network": gce.LastPart(found.Network), "machines' network": gce.LastPart(s.network)})
		return nil
	}
	all := merge(found.Allowed, s.ports)
	if covers(found.Allowed, all) {
		return nil
	}
	_, err := s.Change("PATCH", gce.InProject(project, "global", "firewalls", ruleName), nil, rule{Allowed: all})
	if driver.Is(err, abi.Conflict) {
		return nil
	}
	return err
}

// merge adds ports to what is allowed. An entry without ports allows all of its protocol.
func merge(has []allowed, ports []port) []allowed {
	out := slices.Clone(has)
	for _, p := range ports {
		if lets(out, p) {
			continue
		}
		i := slices.IndexFunc(out, func(a allowed) bool { return a.IPProtocol == p.protocol })
		if i < 0 {
			out = append(out, allowed{IPProtocol: p.protocol})
			i = len(out) - 1
		}
		out[i].Ports = append(slices.Clone(out[i].Ports), p.number)
	}
	return out
}

// lets tells whether p is among what is allowed. Ranges that hold it are not looked into: one more entry does no harm.
func lets(has []allowed, p port) bool {
	return slices.ContainsFunc(has, func(a allowed) bool {
		return a.IPProtocol == "all" || a.IPProtocol == p.protocol && (len(a.Ports) == 0 || slices.Contains(a.Ports, p.number))
	})
}

// covers tells whether nothing was added.
func covers(has, all []allowed) bool {
	return slices.EqualFunc(has, all, func(a, b allowed) bool { return a.IPProtocol == b.IPProtocol && slices.Equal(a.Ports, b.Ports) })
}
