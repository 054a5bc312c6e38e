package main

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// bulk is a regional insert: Google chooses the zone, by what is there. Of selections of machine and disk type the next is tried when there is none
// of the one before.
type bulk struct {
	on         bool
	region     string
	locations  map[string]string // ALLOW or DENY by zone; none: every zone of the region
	selections []selection       // at least one, in order
}

// selection is one choice of hardware.
type selection struct {
	machineType      string
	diskType         string
	iops, throughput int
}

// preferences are what may be said of a zone. Source: Compute Engine API v1, "LocationPolicyLocation".
const (
	allow = "ALLOW"
	deny  = "DENY"
)

// bulk reads the options of regional inserts; without optBulkInsert they say nothing.
func (r *reader) bulk(s settings) bulk {
	b := bulk{on: r.Options.Bool(optBulkInsert), region: r.Options.Get(optRegion)}
	if !b.on {
		for _, option := range []string{optRegion, optLocationZone, optFlex} {
			if len(r.Options[option]) > 0 && r.Options.Get(option) != "" {
				r.Warn(option, "says nothing without "+optBulkInsert)
			}
		}
		return b
	}
	switch {
	case b.region == "":
		r.Wrong(optRegion, "is missing; "+optBulkInsert+" wants one, such as us-central1")
	case !gce.IsRegion(b.region):
		r.Bad(optRegion, b.region, "a region, such as us-central1")
	}
	if s.zone != defaultZone {
		r.Bad(optZone, s.zone, "no zone with "+optBulkInsert+": name those that are allowed as "+optLocationZone)
	}
	if s.address != "" {
		r.Bad(optAddress, s.address, "no address with "+optBulkInsert)
	}
	if r.Options.Bool(optUseExisting) {
		r.Bad(optUseExisting, "true", "it without "+optBulkInsert)
	}
	if cooldown := r.Options.Get(optFlexCooldown); cooldown != "" && cooldown != defaultCooldown {
		r.Warn(optFlexCooldown, "has no effect: each machine tries the selections in order; alternatives in millwright.toml remember what was out, for capacity_memory")
	}
	b.locations = r.locations(b.region)
	b.selections = r.selections(s)
	return b
}

func (r *reader) locations(region string) map[string]string {
	out := map[string]string{}
	for _, entry := range r.Options[optLocationZone] {
		zone, preference, said := strings.Cut(entry, ":")
		if !said {
			preference = allow
		}
		if !gce.ZoneLike.MatchString(zone) || !strings.HasPrefix(zone, region+"-") || preference != allow && preference != deny {
			r.Bad(optLocationZone, entry, "ZONE, ZONE:ALLOW or ZONE:DENY, with a zone of the region")
			continue
		}
		out[zone] = preference
	}
	return out
}

// selections reads what is chosen from, in order; without any it is the one that the plain options make.
func (r *reader) selections(s settings) []selection {
	plain := selection{s.machineType, s.diskType, s.iops, s.throughput}
	var out []selection
	for _, entry := range r.Options[optFlex] {
		chosen, ok := plain, true
		for _, part := range strings.Split(entry, ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			n, err := strconv.Atoi(value)
			number := err == nil && n >= 0
			switch key {
			case "machine-type":
				chosen.machineType, ok = value, ok && typeLike.MatchString(value)
			case "disk-type":
				chosen.diskType, ok = value, ok && typeLike.MatchString(value)
			case "disk-iops":
				chosen.iops, ok = n, ok && number
			case "disk-throughput":
				chosen.throughput, ok = n, ok && number
			default:
				ok = false
			}
		}
		if !ok {
			r.Bad(optFlex, entry, "machine-type=T, with disk-type=T, disk-iops=N and disk-throughput=N after it, separated by commas")
			continue
		}
		out = append(out, chosen)
	}
	if len(out) == 0 {
		return []selection{plain}
	}
	return out
}

// insertBulk asks for the VM by one selection after another, until Google has one. Request ids are used up by machines that failed or are gone, as
// with insert; those of one round are tried before the next, so that a call whose predecessor got no answer finds what that one asked for.
func (s settings) insertBulk(req abi.CreateRequest) (abi.Instance, error) {
	var failed error
	for try := range insertTries {
		asked := false
		for n, chosen := range s.bulk.selections {
			with := s
			with.machineType, with.diskType, with.iops, with.throughput = chosen.machineType, chosen.diskType, chosen.iops, chosen.throughput
			made, fresh, err := with.insertSelected(req, gce.RequestID("bulk", req.Owner.ID, req.Name, strconv.Itoa(n), strconv.Itoa(try)))
			if err == nil {
				return made, nil
			}
			asked, failed = asked || fresh, err
			if driver.Is(err, abi.Capacity) {
				continue
			}
			if fresh {
				return abi.Instance{}, err
			}
			break
		}
		if asked {
			break
		}
	}
	return abi.Instance{}, failed
}

// insertSelected asks for the VM with one selection. It tells whether that was news to the cloud, rather than something that it remembers.
func (s settings) insertSelected(req abi.CreateRequest, requestID string) (made abi.Instance, fresh bool, err error) {
	op, err := s.Change("POST", s.In("regions", s.bulk.region, "instances", "bulkInsert"), url.Values{"requestId": {requestID}}, s.bulkBody(req))
	if fresh = op.Status != "DONE"; fresh && err == nil {
		op, err = s.await(op)
	}
	switch {
	case driver.Is(err, abi.Conflict):
		there, none := s.existingAnywhere(req)
		if driver.Is(none, abi.NotFound) { // its disk is: one that is being deleted, or somebody's
			none = driver.About("create "+req.Name, err)
		}
		return there, true, none
	case err != nil:
		return made, fresh, driver.About("create "+req.Name, missing(err))
	case op.Status != "DONE":
		return abi.Instance{Name: req.Name, ID: op.Name, Status: abi.StatusCreating, SSHUser: s.user, CreatedAt: gce.Seconds(op.InsertTime)}, true, nil
	}
	made, err = s.existingAnywhere(req)
	if driver.Is(err, abi.NotFound) {
		err = &abi.Error{Kind: abi.Transient, Message: "create " + req.Name + ": it is said to be there, and is not"}
	}
	return made, fresh, err
}

// await returns a regional operation at its end, or as it is when the cloud holds the answer back for longer than a request may take: nobody but
// this operation knows why there is no machine, and it does not name the machine, so that no list can tell.
// Source: Compute Engine API v1, "RegionOperations: wait".
func (s settings) await(op gce.Operation) (gce.Operation, error) {
	var now gce.Operation
	err := s.Call("POST", s.In("regions", s.bulk.region, "operations", op.Name, "wait"), nil, nil, gce.KindOperation, &now)
	if driver.Is(err, abi.Transient, abi.RateLimited, abi.Auth) {
		return op, nil // it goes on without being watched
	}
	if err != nil {
		return op, err
	}
	return now, s.Failure(now)
}

// existingAnywhere returns the machine in whichever zone of the region it is, an error of the kind conflict when it is not ours.
func (s settings) existingAnywhere(req abi.CreateRequest) (abi.Instance, error) {
	var found *vm
	_, err := s.aggregated("instances", "compute#instanceAggregatedList", vmFields, `name = "`+req.Name+`"`, 1, func(in scope) {
		for i, v := range in.Instances {
			if v.Name == req.Name && strings.HasPrefix(gce.LastPart(v.Zone), s.bulk.region+"-") && (found == nil || v.Labels[labelOwner] == req.Owner.ID) {
				found = &in.Instances[i]
			}
		}
	})
	switch {
	case err != nil:
		return abi.Instance{}, driver.About("look for "+req.Name, err)
	case found == nil:
		return abi.Instance{}, &abi.Error{Kind: abi.NotFound, Message: "there is no instance " + req.Name + " in " + s.bulk.region}
	case found.Labels[labelOwner] != req.Owner.ID:
		return abi.Instance{}, &abi.Error{Kind: abi.Conflict, Message: "there is an instance " + req.Name + " in " + gce.LastPart(found.Zone) +
			" that this agent did not make; remove or rename it"}
	}
	return found.instance(), nil
}

// The parts of the API's BulkInsertInstanceResource that we send.
// Source: Compute Engine API v1, "RegionInstances: bulkInsert".
type (
	bulkBody struct {
		Count       string              `json:"count"`
		MinCount    string              `json:"minCount"`
		PerInstance map[string]struct{} `json:"perInstanceProperties"`
		Properties  instanceBody        `json:"instanceProperties"`
		Policy      policyBody          `json:"locationPolicy"`
	}
	policyBody struct {
		TargetShape string                  `json:"targetShape"`
		Locations   map[string]locationBody `json:"locations,omitempty"`
	}
	locationBody struct {
		Preference string `json:"preference"`
	}
)

// bulkBody describes the machine for any zone: types by their bare names, and the boot disk by no name, for which Google takes the machine's.
func (s settings) bulkBody(req abi.CreateRequest) bulkBody {
	b := bulkBody{Count: "1", MinCount: "1", PerInstance: map[string]struct{}{req.Name: {}}, Properties: s.body(req), Policy: policyBody{TargetShape: "ANY"}}
	p := &b.Properties
	p.Name, p.MachineType = "", s.machineType
	p.Disks[0].InitializeParams.DiskName, p.Disks[0].InitializeParams.DiskType = "", s.diskType
	for i := range p.GuestAccelerators {
		p.GuestAccelerators[i].AcceleratorType = s.accelerator.name
	}
	for zone, preference := range s.bulk.locations {
		if b.Policy.Locations == nil {
			b.Policy.Locations = map[string]locationBody{}
		}
		b.Policy.Locations["zones/"+zone] = locationBody{preference}
	}
	return b
}
