package fakegce

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mostMembers is what a group may have, and what one deletion may name.
// Source: Compute Engine documentation, "Creating managed instance groups", "Limitations".
const mostMembers = 1000

// locationOf is where the request's group is.
func locationOf(r *request) string {
	if zone := r.path["zone"]; zone != "" {
		return "zones/" + zone
	}
	return "regions/" + r.path["region"]
}

// findGroup returns the request's group. The caller holds mu.
func (c *Cloud) findGroup(r *request) (*group, error) {
	name := r.path["instanceGroupManager"]
	if g := c.groups[key(r.path["project"], locationOf(r), name)]; g != nil {
		return g, nil
	}
	return nil, refuse(http.StatusNotFound, "notFound", "The resource 'projects/%s/%s/instanceGroupManagers/%s' was not found", r.path["project"], locationOf(r), name)
}

func (c *Cloud) getGroup(r *request) (any, error) {
	g, err := c.findGroup(r)
	if err != nil {
		return nil, err
	}
	actions := map[string]int{}
	for _, m := range g.members {
		actions[m.action]++
	}
	summary := object{}
	for _, action := range []string{"NONE", "CREATING", "CREATING_WITHOUT_RETRIES", "VERIFYING", "RECREATING", "DELETING", "ABANDONING", "RESTARTING", "REFRESHING"} {
		words := strings.Split(strings.ToLower(action), "_")
		for i := 1; i < len(words); i++ {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
		summary[strings.Join(words, "")] = actions[action]
	}
	status, _ := clone(g.object["status"]).(object)
	if status == nil {
		status = object{}
	}
	status["isStable"] = len(g.members) == actions["NONE"]
	if g.Autoscaler != "" {
		status["autoscaler"] = link(g.Project, g.Location, "autoscalers", g.Name)
	}
	answer := maps.Clone(g.object)
	maps.Copy(answer, object{"targetSize": g.target, "currentActions": summary, "status": status})
	return answer, nil
}

func (c *Cloud) getAutoscaler(r *request) (any, error) {
	g := c.groups[key(r.path["project"], locationOf(r), r.path["autoscaler"])]
	if g == nil || g.Autoscaler == "" {
		return nil, refuse(http.StatusNotFound, "notFound", "The resource 'autoscalers/%s' was not found", r.path["autoscaler"])
	}
	return object{
		"kind": "compute#autoscaler", "name": g.Name, "target": g.object["selfLink"], "status": "ACTIVE",
		"autoscalingPolicy": object{"mode": g.Autoscaler, "minNumReplicas": 0, "maxNumReplicas": 10},
	}, nil
}

// listMembers answers in pages only where the group says so, and has no kind. Source: Compute Engine API v1, "listManagedInstances".
func (c *Cloud) listMembers(r *request) (any, error) {
	g, err := c.findGroup(r)
	if err != nil {
		return nil, err
	}
	members, from, size := g.members, 0, len(g.members)
	if g.object["listManagedInstancesResults"] == "PAGINATED" {
		size = 500
		if n, err := strconv.Atoi(r.query.Get("maxResults")); err == nil && n > 0 {
			size = min(n, size)
		}
		if c.settings.PageSize > 0 {
			size = min(size, c.settings.PageSize)
		}
		from, _ = strconv.Atoi(r.query.Get("pageToken")) // one of ours
	}
	answer := object{}
	members = slices.DeleteFunc(slices.Clone(members), func(m *member) bool { return m.number <= from })
	if len(members) > size {
		members, answer["nextPageToken"] = members[:size], strconv.Itoa(members[size-1].number)
	}
	if from > 0 && c.fault == "partial list" {
		return nil, refuse(http.StatusServiceUnavailable, "backendError", "Backend Error")
	}
	if c.fault == "empty list" {
		return object{}, nil
	}
	var shown []any
	for _, m := range members {
		o := object{"name": m.name, "instance": link(g.Project, "zones", m.zone, "instances", m.name), "currentAction": m.action}
		if i := c.instances[key(g.Project, m.zone, m.name)]; i != nil {
			o["id"], o["instanceStatus"] = i.object["id"], c.show(i)["status"]
		}
		if len(m.errors) > 0 {
			o["lastAttempt"] = object{"errors": object{"errors": m.errors}}
		}
		shown = append(shown, o)
	}
	if len(shown) > 0 {
		answer["managedInstances"] = shown
	}
	return answer, nil
}

// resizeGroup sets the target size; what is too much is deleted, whatever it does.
func (c *Cloud) resizeGroup(r *request) (any, error) {
	g, err := c.findGroup(r)
	if err != nil {
		return nil, err
	}
	size, _ := strconv.Atoi(r.query.Get("size")) // checked before
	if size < 0 {
		return nil, refuse(http.StatusBadRequest, "invalid", "Invalid value for field 'size': '%d'.", size)
	}
	if size > mostMembers {
		return nil, refuse(http.StatusForbidden, "limitExceeded", "Exceeded limit 'MAX_INSTANCES_IN_INSTANCE_GROUP' on resource '%s'. Limit: 1000.0", g.Name)
	}
	op := c.begin(r, "compute.instanceGroupManagers.resize", text(g.object, "selfLink"), text(g.object, "id"))
	op.finish = func() {
		g.target = size
		c.grow(g)
	}
	return c.due(op), nil
}

// memberURL is how a deletion names a VM. Source: Compute Engine API v1, "InstanceGroupManagersDeleteInstancesRequest".
var memberURL = regexp.MustCompile(`^(?:https://www\.googleapis\.com/compute/v1/projects/([^/]+)/)?zones/([a-z0-9-]+)/instances/([a-z0-9-]+)$`)

// deleteMembers deletes VMs and lowers the target size by them. One that is not the group's is refused, or passed over.
func (c *Cloud) deleteMembers(r *request) (any, error) {
	g, err := c.findGroup(r)
	if err != nil {
		return nil, err
	}
	named, _ := r.body["instances"].([]any)
	if len(named) == 0 || len(named) > mostMembers {
		return nil, refuse(http.StatusBadRequest, "invalid", "Invalid value for field 'instances': %d instances.", len(named))
	}
	skip := r.body["skipInstancesOnValidationError"] == true
	var doomed []*member
	for _, n := range named {
		url, _ := n.(string)
		parts := memberURL.FindStringSubmatch(url)
		if parts == nil || parts[1] != "" && parts[1] != g.Project || g.Location != "zones/"+parts[2] && g.Location != "regions/"+region(parts[2]) {
			return nil, refuse(http.StatusBadRequest, "invalid", "Invalid value for field 'instances': '%s'.", url)
		}
		at := slices.IndexFunc(g.members, func(m *member) bool { return m.name == parts[3] && m.zone == parts[2] && !m.leaves() })
		if at >= 0 {
			doomed = append(doomed, g.members[at])
		} else if !skip {
			return nil, refuse(http.StatusBadRequest, "invalid", "Invalid value for field 'instances': '%s' is not a member of '%s'.", url, g.Name)
		}
	}
	op := c.begin(r, "compute.instanceGroupManagers.deleteInstances", text(g.object, "selfLink"), text(g.object, "id"))
	op.finish = func() {
		for _, m := range doomed {
			if !m.leaves() {
				g.target--
				c.expel(g, m)
			}
		}
	}
	return c.due(op), nil
}
