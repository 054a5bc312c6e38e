package main

import (
	"encoding/json"
	"net/url"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

const kindInstance = "compute#instance"

// get returns a VM of the zone.
func (p place) get(name string) (vm, error) {
	var v vm
	err := p.Call("GET", p.inZone("instances", name), url.Values{"fields": {"kind," + vmFields}}, nil, kindInstance, &v)
	return v, err
}

// Remove deletes the VM, and its boot disk with it. It looks where the machine was made; when nothing tells where that was, in all zones.
// What is not the owner's is never touched, whatever its name.
func (google) Remove(req abi.RemoveRequest) error {
	p, err := reachable(req.Options)
	if err != nil {
		return err
	}
	if !gce.NameLike.MatchString(req.Name) {
		return nil // there can be none of that name
	}
	var known state
	if json.Unmarshal([]byte(req.State), &known) == nil && known.Zone != "" {
		p.zone = known.Zone
	}
	found, err := p.removeInstance(req.Owner.ID, req.Name)
	if found || err != nil {
		return err
	}
	if known.Zone == "" {
		return p.removeAnywhere(req)
	}
	return p.removeDisk(req.Owner.ID, req.Name, opts.Or(known.Disk, req.Name+diskSuffix))
}

// removeInstance deletes the owner's VM of that name in the zone, if there is one, by its id: what takes the name meanwhile stays.
func (p place) removeInstance(owner, name string) (found bool, err error) {
	v, err := p.get(name)
	switch {
	case driver.Is(err, abi.NotFound):
		return false, nil
	case err != nil:
		return false, driver.About("look at "+name, err)
	case v.Labels[labelOwner] != owner:
		return false, nil
	}
	if _, err := p.Change("DELETE", p.inZone("instances", v.ID), nil, nil); err != nil && !driver.Is(err, abi.NotFound) {
		return true, driver.About("remove "+name, err)
	}
	return true, nil
}

// removeDisk deletes a boot disk that outlived its VM.
func (p place) removeDisk(owner, machine, name string) error {
	var d disk
	err := p.Call("GET", p.inZone("disks", name), url.Values{"fields": {"kind," + diskFields}}, nil, "compute#disk", &d)
	switch {
	case driver.Is(err, abi.NotFound):
		return nil
	case err != nil:
		return driver.About("look at the disk of "+machine, err)
	case d.Labels[labelOwner] != owner || len(d.Users) > 0: // in use: it goes with its VM
		return nil
	}
	if _, err := p.Change("DELETE", p.inZone("disks", d.Name), nil, nil); err != nil && !driver.Is(err, abi.NotFound) {
		return driver.About("remove the disk of "+machine, err)
	}
	return nil
}

// removeAnywhere looks for the machine, and for a boot disk that it left, in all zones. Where not all could be seen nobody knows that it is gone.
func (p place) removeAnywhere(req abi.RemoveRequest) error {
	ours := ` (labels.` + labelOwner + ` = "` + req.Owner.ID + `")`
	var zones []string
	complete, err := p.aggregated("instances", "compute#instanceAggregatedList", vmFields, `(name = "`+req.Name+`")`+ours, maxPages, func(s scope) {
		for _, v := range s.Instances {
			if v.Name == req.Name {
				zones = append(zones, gce.LastPart(v.Zone))
			}
		}
	})
	if err != nil {
		return driver.About("look for "+req.Name, err)
	}
	disks := map[string]string{req.Name + diskSuffix: p.zone} // by name: in which zone
	_, err = p.aggregated("disks", "compute#diskAggregatedList", diskFields, `labels.`+labelOwner+` = "`+req.Owner.ID+`"`, maxPages, func(s scope) {
		for _, d := range s.Disks {
			if d.Name == req.Name || d.Name == req.Name+diskSuffix {
				disks[d.Name] = gce.LastPart(d.Zone)
			}
		}
	})
	if err != nil && !driver.Is(err, abi.Auth) { // a role without that right looks in one zone
		return driver.About("look for the disk of "+req.Name, err)
	}
	for _, zone := range zones {
		p.zone = zone
		if _, err := p.removeInstance(req.Owner.ID, req.Name); err != nil {
			return err
		}
	}
	for name, zone := range disks {
		p.zone = zone
		if err := p.removeDisk(req.Owner.ID, req.Name, name); err != nil {
			return err
		}
	}
	if !complete {
		return &abi.Error{Kind: abi.Transient, Message: "look for " + req.Name + ": some zones could not be read, so it may be there"}
	}
	return nil
}
