package fakegce

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Group describes a managed instance group that somebody made.
type Group struct {
	Project  string
	Location string // zones/us-central1-a, or regions/us-central1, whose zones of Settings it uses in turn
	Name     string
	Size     int            // VMs that run in it already
	Template map[string]any // properties of its VMs, as an instance template's; nil is a small one that runs as a service account
	Manager  map[string]any // fields of the InstanceGroupManager, over those that such a group has by default
	// Autoscaler is the mode of one that is attached (ON, OFF, ONLY_SCALE_OUT); "" is that there is none.
	Autoscaler string
}

// group is a managed instance group.
type group struct {
	Group
	object  object // the InstanceGroupManager, without what changes
	target  int
	made    int // members so far
	members []*member
}

// member is a VM of a group, or one that the group is to make.
type member struct {
	number     int // in the order of members
	name, zone string
	action     string // ManagedInstance.currentAction
	due        time.Time
	errors     []any // of the last attempt to make it
}

// AddGroup puts a group into the cloud.
func (c *Cloud) AddGroup(g Group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.Template == nil {
		g.Template = plainTemplate()
	}
	made := &group{Group: g, target: g.Size, object: object{
		"kind": "compute#instanceGroupManager", "id": c.id(), "name": g.Name, "baseInstanceName": g.Name, "creationTimestamp": stamp(time.Now()),
		"selfLink": link(g.Project, g.Location, "instanceGroupManagers", g.Name), "instanceGroup": link(g.Project, g.Location, "instanceGroups", g.Name),
		"instanceTemplate":        link(g.Project, "global/instanceTemplates", g.Name),
		"updatePolicy":            object{"type": "OPPORTUNISTIC", "minimalAction": "REPLACE", "instanceRedistributionType": "NONE"},
		"instanceLifecyclePolicy": object{"defaultActionOnFailure": "DO_NOTHING", "forceUpdateOnRepair": "NO"},
		"standbyPolicy":           object{"mode": "MANUAL"}, "listManagedInstancesResults": "PAGELESS", "fingerprint": "W3qK9GCEsno=",
	}}
	maps.Copy(made.object, g.Manager)
	c.groups[key(g.Project, g.Location, g.Name)] = made
	c.grow(made)
	c.tend(time.Now())
	for _, m := range made.members { // they have been there for long
		m.action = "NONE"
		if i := c.instances[key(g.Project, m.zone, m.name)]; i != nil {
			i.runs = time.Now()
		}
	}
}

func plainTemplate() object {
	return object{
		"machineType": "n2-standard-2", "scheduling": object{"preemptible": false, "provisioningModel": "STANDARD"},
		"disks":             []any{object{"boot": true, "architecture": "X86_64", "licenses": []any{link("debian-cloud", "global/licenses/debian-12-bookworm")}}},
		"networkInterfaces": []any{object{"network": link("p", "global/networks/default"), "accessConfigs": []any{object{"type": "ONE_TO_ONE_NAT"}}}},
		"serviceAccounts":   []any{object{"email": "builders@example.iam.gserviceaccount.com"}},
		"metadata":          object{"items": []any{object{"key": "template", "value": "builders"}}},
	}
}

// Member is a VM of a group as Members tells of it.
type Member struct {
	Name, Zone, Action string
}

// Members returns what a group has now, and its target size.
func (c *Cloud) Members(project, location, name string) (members []Member, target int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	g := c.groups[key(project, location, name)]
	if g == nil {
		return nil, 0
	}
	for _, m := range g.members {
		members = append(members, Member{m.name, m.zone, m.action})
	}
	return members, g.target
}

// Act lets a group do something to one of its VMs, by the word of ManagedInstance.currentAction: RECREATING, RESTARTING, DELETING, ABANDONING, ...
func (c *Cloud) Act(name, action string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.groups {
		for _, m := range g.members {
			if m.name == name {
				m.action, m.due = action, time.Now().Add(time.Hour)
				return nil
			}
		}
	}
	return fmt.Errorf("no group has a VM %s", name)
}

// grow makes members, or gives some up, until the group has as many as it is to have. The caller holds mu.
func (c *Cloud) grow(g *group) {
	staying := slices.DeleteFunc(slices.Clone(g.members), func(m *member) bool { return m.leaves() })
	for n := len(staying); n > g.target; n-- { // which ones is the cloud's choice
		c.expel(g, staying[n-1])
	}
	for n := len(staying); n < g.target; n++ {
		zone := g.Location[len("zones/"):]
		if zones := c.zonesOf(g); len(zones) > 0 {
			zone = zones[g.made%len(zones)]
		}
		g.made++
		c.members++
		g.members = append(g.members, &member{number: c.members, name: g.Name + "-" + suffix(c.members), zone: zone, action: "CREATING"})
	}
}

// leaves tells whether a member is on its way out of the group.
func (m *member) leaves() bool { return m.action == "DELETING" || m.action == "ABANDONING" }

// zonesOf are the zones of a regional group; none of a zonal one. The caller holds mu.
func (c *Cloud) zonesOf(g *group) (zones []string) {
	for _, z := range c.settings.Zones {
		if g.Location == "regions/"+region(z) {
			zones = append(zones, z)
		}
	}
	return zones
}

// suffix is what a VM's name has after the group's: four letters and digits.
func suffix(n int) string {
	text := strconv.FormatInt(int64(n)*7919%1679616, 36)
	return "0000"[:4-len(text)] + text
}

// expel deletes a member. The caller holds mu.
func (c *Cloud) expel(g *group, m *member) {
	m.action, m.due = "DELETING", time.Now().Add(c.settings.OpTime)
	if i := c.instances[key(g.Project, m.zone, m.name)]; i != nil {
		i.going = true
	}
}

// tend brings the groups up to date: VMs are made, run and go. The caller holds mu.
func (c *Cloud) tend(now time.Time) {
	for _, g := range c.groups {
		g.members = slices.DeleteFunc(g.members, func(m *member) bool {
			k := key(g.Project, m.zone, m.name)
			i := c.instances[k]
			switch {
			case m.leaves() && !now.Before(m.due):
				if m.action == "DELETING" && i != nil {
					c.drop(k)
				}
				return true
			case m.action == "CREATING" && i == nil:
				c.make(g, m, now)
			case m.action == "CREATING" && !now.Before(i.runs):
				m.action, m.errors = "NONE", nil
			}
			return false
		})
	}
}

// make tries to make a member's VM. A group tries again and again, and tells why it has not succeeded. The caller holds mu.
func (c *Cloud) make(g *group, m *member, now time.Time) {
	switch c.fault {
	case "stock-out":
		m.errors = []any{object{"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "The zone '" + m.zone + "' does not have enough resources available to fulfill the request."}}
		return
	case "quota":
		m.errors = []any{object{"code": "QUOTA_EXCEEDED", "message": "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1."}}
		return
	}
	made, _ := clone(object(g.Template)).(object)
	maps.Copy(made, object{
		"kind": "compute#instance", "id": c.id(), "name": m.name, "zone": link(g.Project, "zones", m.zone), "creationTimestamp": stamp(now),
		"selfLink": link(g.Project, "zones", m.zone, "instances", m.name),
	})
	made["metadata"] = object{"items": append(itemsOf(made), object{"key": "instance-template", "value": g.object["instanceTemplate"]},
		object{"key": "created-by", "value": "projects/123456789012/" + g.Location + "/instanceGroupManagers/" + g.Name})}
	i := &instance{project: g.Project, zone: m.zone, name: m.name, object: made, runs: now.Add(c.settings.OpTime + c.settings.BootTime)}
	c.network(i)
	c.instances[key(g.Project, m.zone, m.name)] = i
}

func itemsOf(o object) []any {
	metadata, _ := o["metadata"].(object)
	items, _ := metadata["items"].([]any)
	return items
}
