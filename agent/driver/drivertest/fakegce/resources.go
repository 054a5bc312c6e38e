package fakegce

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

func (c *Cloud) insertInstance(r *request) (any, error) {
	project, zone := r.path["project"], r.path["zone"]
	name, _ := r.body["name"].(string)
	k := key(project, zone, name)
	if c.instances[k] != nil {
		return nil, refuse(http.StatusConflict, "alreadyExists", "The resource 'projects/%s/zones/%s/instances/%s' already exists", project, zone, name)
	}
	if err := c.checkInstance(r); err != nil {
		return nil, err
	}
	id, self := c.id(), link(project, "zones", zone, "instances", name)
	op := c.begin(r, "insert", self, id)
	failed, half := c.doom(op, r)
	if !failed || half {
		c.bootDisk(r, self, half)
	}
	if failed {
		return c.due(op), nil
	}
	i := &instance{project: project, zone: zone, name: name, object: maps.Clone(r.body), runs: time.Now().Add(c.settings.OpTime + c.settings.BootTime)}
	maps.Copy(i.object, object{"kind": "compute#instance", "id": id, "zone": link(project, "zones", zone), "selfLink": self, "creationTimestamp": stamp(time.Now())})
	c.network(i)
	c.instances[k] = i
	return c.due(op), nil
}

// checkInstance refuses what the API refuses at once.
func (c *Cloud) checkInstance(r *request) error {
	bad := func(format string, args ...any) error {
		return refuse(http.StatusBadRequest, "invalid", format, args...)
	}
	name, _ := r.body["name"].(string)
	switch {
	case !matches(`[a-z]([-a-z0-9]{0,61}[a-z0-9])?`, name):
		return bad("Invalid value for field 'resource.name': '%s'.", name)
	case !strings.Contains(text(r.body, "machineType"), "/zones/"+r.path["zone"]+"/machineTypes/"):
		return bad("Invalid value for field 'resource.machineType': '%s'.", text(r.body, "machineType"))
	case strings.HasSuffix(text(r.body, "machineType"), "/no-such-type"):
		return refuse(http.StatusNotFound, "notFound", "The resource '%s' was not found", text(r.body, "machineType"))
	}
	scheduling, _ := r.body["scheduling"].(object)
	gpus, _ := r.body["guestAccelerators"].([]any)
	if len(gpus) > 0 && scheduling["onHostMaintenance"] != "TERMINATE" {
		return bad("Instances with guest accelerators do not support live migration.")
	}
	if scheduling["terminationTime"] != nil && scheduling["instanceTerminationAction"] == nil {
		return bad("An instance termination action must be specified with a termination time.")
	}
	if scheduling["preemptible"] == true && scheduling["instanceTerminationAction"] != nil {
		return bad("Instance termination action can only be set for instances with provisioning model SPOT or a limited run time.")
	}
	for labelKey, value := range labelsOf(r.body) {
		if !matches(`[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}`, labelKey) || !matches(`[\p{Ll}\p{Lo}\p{N}_-]{0,63}`, value) {
			return bad("Invalid value for field 'resource.labels': '%s=%s'.", labelKey, value)
		}
	}
	disk := initialize(r.body)
	if c.disks[key(r.path["project"], r.path["zone"], text(disk, "diskName"))] != nil {
		return refuse(http.StatusConflict, "alreadyExists", "The resource 'disks/%s' already exists", text(disk, "diskName"))
	}
	return nil
}

// bootDisk makes the disk that an instance's body describes. The caller holds mu.
func (c *Cloud) bootDisk(r *request, user string, alone bool) {
	wish := initialize(r.body)
	project, zone, name := r.path["project"], r.path["zone"], text(wish, "diskName")
	d := &disk{project: project, zone: zone, name: name, users: []string{user}, object: object{
		"kind": "compute#disk", "id": c.id(), "name": name, "zone": link(project, "zones", zone), "sizeGb": wish["diskSizeGb"],
		"type": wish["diskType"], "sourceImage": wish["sourceImage"], "creationTimestamp": stamp(time.Now()), "status": "READY",
	}}
	if labels, ok := wish["labels"]; ok {
		d.object["labels"] = labels
	}
	if alone {
		d.users = nil
	}
	c.disks[key(project, zone, name)] = d
}

func initialize(body object) object {
	disks, _ := body["disks"].([]any)
	if len(disks) == 0 {
		return object{}
	}
	first, _ := disks[0].(object)
	wish, _ := first["initializeParams"].(object)
	return wish
}

func labelsOf(o object) map[string]string {
	out := map[string]string{}
	labels, _ := o["labels"].(object)
	for k, v := range labels {
		out[k], _ = v.(string)
	}
	return out
}

func text(o object, field string) string {
	s, _ := o[field].(string)
	return s
}

// network gives an instance its addresses. The caller holds mu.
func (c *Cloud) network(i *instance) {
	interfaces, _ := i.object["networkInterfaces"].([]any)
	for _, n := range interfaces {
		n, _ := n.(object)
		c.ids++
		if n["networkIP"] == nil {
			n["networkIP"] = fmt.Sprintf("10.128.%d.%d", c.ids>>8&255, c.ids&255)
		}
		configs, _ := n["accessConfigs"].([]any)
		for _, a := range configs {
			if a, _ := a.(object); a["natIP"] == nil {
				a["natIP"] = fmt.Sprintf(c.addresses4(), c.ids&255)
			}
		}
	}
}

// show is an instance as it is now. The caller holds mu.
func (c *Cloud) show(i *instance) object {
	o := maps.Clone(i.object)
	switch now := time.Now(); {
	case i.going:
		o["status"] = "STOPPING"
	case i.forced != "":
		o["status"] = i.forced
	case !now.Before(i.runs):
		o["status"] = "RUNNING"
	case i.runs.Sub(now) > c.settings.BootTime:
		o["status"] = "PROVISIONING"
	default:
		o["status"] = "STAGING"
	}
	return o
}

// find returns a VM by its name or id. The caller holds mu.
func (c *Cloud) find(r *request) (string, *instance, error) {
	project, zone, name := r.path["project"], r.path["zone"], r.path["instance"]
	for k, i := range c.instances {
		if i.project == project && i.zone == zone && (i.name == name || i.object["id"] == name) {
			return k, i, nil
		}
	}
	return "", nil, refuse(http.StatusNotFound, "notFound", "The resource 'projects/%s/zones/%s/instances/%s' was not found", project, zone, name)
}

func (c *Cloud) getInstance(r *request) (any, error) {
	_, i, err := c.find(r)
	if err != nil {
		return nil, err
	}
	return fingerprinted(c.show(i)), nil
}

func (c *Cloud) deleteInstance(r *request) (any, error) {
	k, i, err := c.find(r)
	if err != nil {
		return nil, err
	}
	i.going = true
	op := c.begin(r, "delete", text(i.object, "selfLink"), text(i.object, "id"))
	op.finish = func() {
		if c.instances[k] == i {
			c.drop(k)
		}
	}
	return c.due(op), nil
}

func (c *Cloud) getDisk(r *request) (any, error) {
	d := c.disks[key(r.path["project"], r.path["zone"], r.path["disk"])]
	if d == nil {
		return nil, refuse(http.StatusNotFound, "notFound", "The resource 'disks/%s' was not found", r.path["disk"])
	}
	return d.show(), nil
}

func (d *disk) show() object {
	o := maps.Clone(d.object)
	if len(d.users) > 0 {
		o["users"] = slices.Clone(d.users)
	}
	return o
}

func (c *Cloud) deleteDisk(r *request) (any, error) {
	k := key(r.path["project"], r.path["zone"], r.path["disk"])
	d := c.disks[k]
	switch {
	case d == nil:
		return nil, refuse(http.StatusNotFound, "notFound", "The resource 'disks/%s' was not found", r.path["disk"])
	case len(d.users) > 0:
		return nil, refuse(http.StatusBadRequest, "resourceInUseByAnotherResource", "The disk resource '%s' is already being used by '%s'", d.name, d.users[0])
	}
	op := c.begin(r, "delete", link(d.project, "zones", d.zone, "disks", d.name), text(d.object, "id"))
	op.finish = func() { delete(c.disks, k) }
	return c.due(op), nil
}

func (c *Cloud) getFirewall(r *request) (any, error) {
	f := c.firewalls[key(r.path["project"], "", r.path["firewall"])]
	if f == nil {
		return nil, refuse(http.StatusNotFound, "notFound", "The resource 'firewalls/%s' was not found", r.path["firewall"])
	}
	return *f, nil
}

func (c *Cloud) insertFirewall(r *request) (any, error) {
	name := text(r.body, "name")
	k := key(r.path["project"], "", name)
	if c.firewalls[k] != nil {
		return nil, refuse(http.StatusConflict, "alreadyExists", "The resource 'firewalls/%s' already exists", name)
	}
	rule := maps.Clone(r.body)
	maps.Copy(rule, object{"kind": "compute#firewall", "id": c.id(), "creationTimestamp": stamp(time.Now())})
	op := c.begin(r, "insert", link(r.path["project"], "global", "firewalls", name), text(rule, "id"))
	op.finish = func() {
		if c.firewalls[k] == nil {
			c.firewalls[k] = &rule
		}
	}
	return c.due(op), nil
}

func (c *Cloud) patchFirewall(r *request) (any, error) {
	k := key(r.path["project"], "", r.path["firewall"])
	f := c.firewalls[k]
	if f == nil {
		return nil, refuse(http.StatusNotFound, "notFound", "The resource 'firewalls/%s' was not found", r.path["firewall"])
	}
	op := c.begin(r, "patch", link(r.path["project"], "global", "firewalls", r.path["firewall"]), text(*f, "id"))
	op.finish = func() {
		with := maps.Clone(*c.firewalls[k])
		maps.Copy(with, r.body)
		c.firewalls[k] = &with
	}
	return c.due(op), nil
}

func (c *Cloud) getAddress(r *request) (any, error) {
	address := c.addresses[key(r.path["project"], r.path["region"], r.path["address"])]
	if address == "" {
		return nil, refuse(http.StatusNotFound, "notFound", "The resource 'addresses/%s' was not found", r.path["address"])
	}
	return object{"kind": "compute#address", "name": r.path["address"], "address": address, "status": "RESERVED"}, nil
}

// addresses4 is the range of external addresses: one for documentation, or of loopback's where machines answer.
func (c *Cloud) addresses4() string {
	if c.settings.Machines {
		return fmt.Sprintf("127.%d.%d.%%d", 64+os.Getpid()>>8&63, os.Getpid()&255) // those of other test programs are others
	}
	return "203.0.113.%d"
}
