package main

import (
	"net/url"
	"strconv"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// Increase raises the group's target size. That is asked for just before: a deletion that Google has not counted yet only makes the new size the one
// that the two come to together.
func (googlecompute) Increase(req abi.IncreaseRequest) (abi.IncreaseResult, error) {
	g, err := usable(req.Options)
	if err != nil {
		return abi.IncreaseResult{}, err
	}
	m, err := g.manager()
	if err != nil {
		return abi.IncreaseResult{}, err
	}
	size := strconv.Itoa(m.TargetSize + req.Count)
	if _, err := g.Change("POST", g.at("resize"), url.Values{"size": {size}}, nil); err != nil {
		return abi.IncreaseResult{}, driver.About("let the group "+g.name+" have "+size+" VMs", err)
	}
	return abi.IncreaseResult{Count: req.Count}, nil
}

// deletion is the body of deleteInstances. VMs that are not the group's, or that are going already, are passed over.
// Source: Compute Engine API v1, "InstanceGroupManagers: deleteInstances".
type deletion struct {
	Instances []string `json:"instances"`
	Skip      bool     `json:"skipInstancesOnValidationError"`
}

// Decrease deletes VMs of the group, which lowers its target size. One that is not there is gone.
func (googlecompute) Decrease(req abi.DecreaseRequest) (abi.DecreaseResult, error) {
	g, err := usable(req.Options)
	if err != nil {
		return abi.DecreaseResult{}, err
	}
	zones, err := g.zonesOf(req.Instances)
	if err != nil {
		return abi.DecreaseResult{}, err
	}
	body := deletion{Skip: true}
	for _, name := range req.Instances {
		if zone := zones[name]; zone != "" {
			body.Instances = append(body.Instances, "zones/"+zone+"/instances/"+name)
		}
	}
	if len(body.Instances) == 0 {
		return abi.DecreaseResult{Instances: req.Instances}, nil
	}
	if _, err := g.Change("POST", g.at("deleteInstances"), nil, body); err != nil {
		return abi.DecreaseResult{}, driver.About("delete "+strconv.Itoa(len(body.Instances))+" VMs of the group "+g.name, err)
	}
	return abi.DecreaseResult{Instances: req.Instances}, nil
}

// zonesOf tells in which zones VMs are. Those of a regional group are looked for in its list; one that is in none has none, and a list that lacks
// a part is an error.
func (g group) zonesOf(names []string) (map[string]string, error) {
	zones := map[string]string{}
	if g.zone != "" {
		for _, name := range names {
			if gce.NameLike.MatchString(name) { // there can be none of another name
				zones[name] = g.zone
			}
		}
		return zones, nil
	}
	all, complete, err := g.members()
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		zones[m.Name] = m.zone()
	}
	for _, name := range names {
		if zones[name] == "" && !complete {
			return nil, &abi.Error{Kind: abi.Transient, Message: "look for " + opts.Short(name) + ": a part of the group's list could not be read"}
		}
	}
	return zones, nil
}
