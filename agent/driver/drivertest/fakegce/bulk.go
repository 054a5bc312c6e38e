package fakegce

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// bulkInsert makes one VM in a zone of the region: the first that the policy allows and that has what is asked for. The VM is there when the
// operation is done.
// Source: Compute Engine API v1, "RegionInstances: bulkInsert"; documentation, "Troubleshooting bulk VM creation".
func (c *Cloud) bulkInsert(r *request) (any, error) {
	bad := func(format string, args ...any) error {
		return refuse(http.StatusBadRequest, "invalid", format, args...)
	}
	names := slices.Collect(maps.Keys(r.body["perInstanceProperties"].(object)))
	properties, _ := r.body["instanceProperties"].(object)
	disk := initialize(properties)
	switch {
	case r.body["count"] != "1" || len(names) != 1:
		return nil, bad("This cloud makes one instance at a time.")
	case strings.Contains(text(properties, "machineType"), "/"), strings.Contains(text(disk, "diskType"), "/"):
		return nil, bad("Invalid value for field 'resource.instanceProperties': a type must be its name, not a URL.")
	case disk["diskName"] != nil:
		return nil, bad("Invalid value for field 'resource.instanceProperties.disks[0].initializeParams.diskName'.")
	}
	zones := c.allowed(r)
	if len(zones) == 0 {
		return nil, bad("Invalid value for field 'resource.locationPolicy': no zone of %s is allowed.", r.path["region"])
	}
	zone := zones[0]
	within := zonal(r, zone, names[0])
	if c.instances[key(r.path["project"], zone, names[0])] == nil { // else that is what the operation ends with
		if err := c.checkInstance(within); err != nil {
			return nil, err
		}
	}
	op := c.begin(r, "bulkInsert", link(r.path["project"], "regions", r.path["region"]), c.id())
	c.insertWithin(within, op)
	return c.due(op), nil
}

// insertWithin is what a bulk insert does in the zone that was chosen. The caller holds mu.
func (c *Cloud) insertWithin(r *request, op *operation) {
	project, zone, name := r.path["project"], r.path["zone"], text(r.body, "name")
	k, self := key(project, zone, name), link(project, "zones", zone, "instances", name)
	if c.instances[k] != nil {
		op.fail(http.StatusConflict, "RESOURCE_ALREADY_EXISTS", "The resource '"+self+"' already exists")
		return
	}
	failed, half := c.doom(op, r)
	if failed {
		cause := op.object["error"].(object)
		cause["errors"] = slices.Insert(cause["errors"].([]any), 0, any(object{
			"code": "VM_MIN_COUNT_NOT_REACHED", "message": "Requested minimum count of 1 VMs could not be created.",
		}))
	}
	if half {
		c.bootDisk(r, self, true)
	}
	if failed {
		return
	}
	i := &instance{project: project, zone: zone, name: name, object: maps.Clone(r.body), runs: time.Now().Add(c.settings.OpTime + c.settings.BootTime)}
	maps.Copy(i.object, object{"kind": "compute#instance", "id": c.id(), "zone": link(project, "zones", zone), "selfLink": self, "creationTimestamp": stamp(time.Now())})
	c.network(i)
	op.finish = func() {
		c.bootDisk(r, self, false)
		c.instances[k] = i
	}
}

// allowed are the zones of the request's region that its policy allows. The caller holds mu.
func (c *Cloud) allowed(r *request) (zones []string) {
	policy, _ := r.body["locationPolicy"].(object)
	locations, _ := policy["locations"].(object)
	said := func(zone string) any {
		location, _ := locations["zones/"+zone].(object)
		return location["preference"]
	}
	named := slices.ContainsFunc(c.settings.Zones, func(z string) bool { return said(z) == "ALLOW" })
	for _, z := range c.settings.Zones {
		if strings.HasPrefix(z, r.path["region"]+"-") && said(z) != "DENY" && (!named || said(z) == "ALLOW") {
			zones = append(zones, z)
		}
	}
	return zones
}

// zonal is the request for a zone that a bulk request comes to.
func zonal(r *request, zone, name string) *request {
	with := *r
	with.path = maps.Clone(r.path)
	with.path["zone"] = zone
	with.body, _ = clone(r.body["instanceProperties"]).(object)
	with.body["name"] = name
	prefix := link(r.path["project"], "zones", zone)
	with.body["machineType"] = prefix + "/machineTypes/" + text(with.body, "machineType")
	disk := initialize(with.body)
	disk["diskName"], disk["diskType"] = name, prefix+"/diskTypes/"+text(disk, "diskType")
	gpus, _ := with.body["guestAccelerators"].([]any)
	for _, g := range gpus {
		g := g.(object)
		g["acceleratorType"] = prefix + "/acceleratorTypes/" + text(g, "acceleratorType")
	}
	return &with
}

// clone copies a JSON value.
func clone(value any) any {
	switch v := value.(type) {
	case object:
		out := make(object, len(v))
		for name, field := range v {
			out[name] = clone(field)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clone(v[i])
		}
		return out
	}
	return value
}

// waitOperation holds the answer back until the operation is done, but under the fault "slow operations". The caller holds mu.
func (c *Cloud) waitOperation(r *request) (any, error) {
	for _, op := range c.operations {
		if op.object["name"] != r.path["operation"] {
			continue
		}
		if c.fault == "slow operations" {
			slow := maps.Clone(op.object)
			slow["status"] = "RUNNING"
			return slow, nil
		}
		c.mu.Unlock()
		select {
		case <-time.After(time.Until(op.due)):
		case <-r.Context().Done():
		}
		c.mu.Lock()
		c.settle()
		return maps.Clone(op.object), nil
	}
	return nil, refuse(http.StatusNotFound, "notFound", "The resource 'operations/%s' was not found", r.path["operation"])
}

// Exhaust leaves the cloud without machines of a type, such as n2-standard-4.
func (c *Cloud) Exhaust(machineType string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exhausted[machineType] = true
}
