package fakehcloud

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakerest"
)

// Rights of a token: read, and read and write.
const (
	read  = "Read"
	write = "Read & Write"
)

func (c *Cloud) routes() []fakerest.Route {
	list := []string{"page", "per_page", "name", "label_selector", "sort"}
	routes := []fakerest.Route{
		{Pattern: "POST /v1/servers", Scope: write, Status: http.StatusCreated, Handle: c.createServer},
		{Pattern: "GET /v1/servers", Scope: read, Query: append(slices.Clone(list), "status"), Handle: c.listServers},
		{Pattern: "DELETE /v1/servers/{id}", Scope: write, Handle: c.deleteServer},
		{Pattern: "POST /v1/servers/{id}/actions/{action}", Scope: write, Status: http.StatusCreated, Handle: c.act},
		{Pattern: "GET /v1/servers/actions", Scope: read, Query: []string{"page", "per_page", "sort", "status", "id"}, Handle: c.listActions},
		{Pattern: "POST /v1/ssh_keys", Scope: write, Status: http.StatusCreated, Handle: c.createKey},
		{Pattern: "GET /v1/ssh_keys", Scope: read, Query: append(slices.Clone(list), "fingerprint"), Handle: c.listKeys},
		{Pattern: "DELETE /v1/ssh_keys/{id}", Scope: write, Handle: c.deleteKey},
		{Pattern: "POST /v1/placement_groups", Scope: write, Status: http.StatusCreated, Handle: c.createGroup},
		{Pattern: "GET /v1/placement_groups", Scope: read, Query: append(slices.Clone(list), "type"), Handle: c.listGroups},
		{Pattern: "DELETE /v1/placement_groups/{id}", Scope: write, Handle: c.deleteGroup},
	}
	for what, more := range map[string]string{"networks": "", "firewalls": "", "volumes": "status", "primary_ips": "ip", "images": "architecture"} {
		routes = append(routes, fakerest.Route{Pattern: "GET /v1/" + what, Scope: read, Query: append(slices.Clone(list), more), Handle: func(r *fakerest.Request) (any, error) {
			return c.listNames(r, what)
		}})
	}
	return routes
}

var (
	hostLike = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$`)
	labelKey = regexp.MustCompile(`^([a-z0-9A-Z]([-a-z0-9A-Z.]{0,251}[a-z0-9A-Z])?/)?[a-z0-9A-Z]([-_.a-z0-9A-Z]{0,61}[a-z0-9A-Z])?$`)
	labelVal = regexp.MustCompile(`^([a-z0-9A-Z]([-_.a-z0-9A-Z]{0,61}[a-z0-9A-Z])?)?$`)
)

func invalid(format string, args ...any) error {
	return fakerest.Refuse(http.StatusUnprocessableEntity, "", format, args...)
}

func missing(what string) error {
	return fakerest.Refuse(http.StatusNotFound, "", "%s not found", what)
}

func checkLabels(labels *map[string]string) error {
	if labels == nil {
		return nil
	}
	for k, v := range *labels {
		if !labelKey.MatchString(k) || !labelVal.MatchString(v) {
			return invalid("invalid label %s=%s", k, v)
		}
	}
	return nil
}

// mostUserData is how many bytes of user data are taken.
const mostUserData = 32 << 10

func (c *Cloud) createServer(r *fakerest.Request) (any, error) {
	var req schema.ServerCreateRequest
	if err := r.Read(&req); err != nil {
		return nil, err
	}
	c.settle()
	if err := c.check(req); err != nil {
		return nil, err
	}
	switch {
	case c.Failing(fakerest.StockOut):
		return nil, fakerest.Refuse(http.StatusPreconditionFailed, "resource_unavailable", "error during placement")
	case c.Failing(fakerest.OverQuota):
		return nil, fakerest.Refuse(http.StatusForbidden, "resource_limit_exceeded", "server limit reached")
	}
	m := &machine{request: req, group: req.PlacementGroup, runs: time.Now().Add(c.settings.BootTime)}
	m.Server = schema.Server{ID: c.id(), Name: req.Name, Status: "initializing", Created: time.Now().UTC(), Volumes: req.Volumes, LoadBalancers: []int64{}, Labels: map[string]string{},
		ServerType: schema.ServerType{Name: req.ServerType.Name}, Location: schema.Location{Name: req.Location}}
	if req.Labels != nil {
		m.Labels = *req.Labels
	}
	if req.PublicNet == nil || req.PublicNet.EnableIPv4 {
		m.PublicNet.IPv4.IP = fmt.Sprintf("203.0.113.%d", m.ID%250+1)
	}
	if req.PublicNet == nil || req.PublicNet.EnableIPv6 {
		m.PublicNet.IPv6.IP = fmt.Sprintf("2001:db8:0:%x::/64", m.ID%0xffff)
	}
	for _, n := range req.Networks {
		m.PrivateNet = append(m.PrivateNet, schema.ServerPrivateNet{Network: n, IP: fmt.Sprintf("10.0.%d.%d", m.ID/200%200, m.ID%200+2)})
	}
	act := schema.Action{ID: c.id(), Command: "create_server", Status: "running", Started: time.Now(), Resources: []schema.ActionResourceReference{{ID: m.ID, Type: "server"}}}
	shown := act
	if c.Failing(fakerest.HalfMade) {
		m.runs = time.Time{}
		act.Status, act.Error = "error", &schema.ActionError{Code: "resource_unavailable", Message: "no host had room"}
		c.actions = append(c.actions, act)
	}
	c.servers = append(c.servers, m)
	c.settle()
	return schema.ServerCreateResponse{Server: m.Server, Action: shown, NextActions: []schema.Action{{ID: c.id(), Command: "start_server", Status: "running"}}}, nil
}

// check holds a request to Hetzner's rules.
func (c *Cloud) check(req schema.ServerCreateRequest) error {
	switch {
	case !hostLike.MatchString(req.Name):
		return invalid("invalid input in field 'name'")
	case slices.ContainsFunc(c.servers, func(m *machine) bool { return m.Name == req.Name }):
		return fakerest.Refuse(http.StatusConflict, "uniqueness_error", "server name is already used")
	case !slices.Contains(types, req.ServerType.Name):
		return invalid("server type %s not found", req.ServerType.Name)
	case req.Image.ID == 0 && !slices.Contains(images, req.Image.Name):
		return invalid("image %s not found", req.Image.Name)
	case !slices.Contains(locations, req.Location):
		return invalid("location %s not found", req.Location)
	case len(req.UserData) > mostUserData:
		return invalid("user_data must not be longer than 32768 bytes")
	}
	for _, id := range req.SSHKeys {
		if !slices.ContainsFunc(c.keys, func(k schema.SSHKey) bool { return k.ID == id }) {
			return missing("SSH key")
		}
	}
	for what, ids := range map[string][]int64{"networks": req.Networks, "volumes": req.Volumes} {
		for _, id := range ids {
			if !c.has(what, id) {
				return missing(what)
			}
		}
	}
	for _, f := range req.Firewalls {
		if !c.has("firewalls", f.Firewall) {
			return missing("firewall")
		}
	}
	if req.PlacementGroup != 0 {
		i := slices.IndexFunc(c.groups, func(g *schema.PlacementGroup) bool { return g.ID == req.PlacementGroup })
		switch {
		case i < 0:
			return missing("placement group")
		case len(c.groups[i].Servers) >= 10:
			return fakerest.Refuse(http.StatusPreconditionFailed, "placement_error", "the placement group is full")
		}
	}
	if p := req.PublicNet; p != nil {
		if p.IPv4ID != 0 && !c.has("primary_ips", p.IPv4ID) || p.IPv6ID != 0 && !c.has("primary_ips", p.IPv6ID) {
			return missing("primary IP")
		}
		if !p.EnableIPv4 && !p.EnableIPv6 && len(req.Networks) == 0 {
			return invalid("either public net or a network is needed")
		}
	}
	return checkLabels(req.Labels)
}

func (c *Cloud) has(what string, id int64) bool {
	return slices.ContainsFunc(c.names[what], func(n named) bool { return n.ID == id })
}

// selects tells whether labels are those of a selector: KEY or KEY=VALUE.
func selects(selector string, labels map[string]string) bool {
	key, value, exact := strings.Cut(selector, "=")
	got, ok := labels[key]
	return selector == "" || ok && (!exact || got == value)
}

func (c *Cloud) listServers(r *fakerest.Request) (any, error) {
	c.settle()
	found := []schema.Server{}
	for _, m := range c.servers {
		if n := r.Query.Get("name"); (n == "" || n == m.Name) && selects(r.Query.Get("label_selector"), m.Labels) {
			found = append(found, m.Server)
		}
	}
	return paged(c, r, "servers", found)
}

// paged answers with one page of a list. A partial one lacks its last entry.
func paged[T any](c *Cloud, r *fakerest.Request, what string, all []T) (any, error) {
	size, err := strconv.Atoi(r.Query.Get("per_page"))
	if err != nil || size < 1 || size > 50 {
		return nil, &fakerest.Refusal{Status: http.StatusBadRequest, Message: "per_page is no number from 1 to 50", Wrong: true}
	}
	page, err := strconv.Atoi(r.Query.Get("page"))
	if err != nil || page < 1 {
		return nil, &fakerest.Refusal{Status: http.StatusBadRequest, Message: "page is no number from 1 on", Wrong: true}
	}
	if c.settings.PageSize > 0 {
		size = c.settings.PageSize
	}
	shown := len(all)
	if c.Failing(fakerest.PartialList) {
		shown = max(shown-1, 0)
	}
	from, to := min((page-1)*size, shown), min(page*size, shown)
	meta := schema.Meta{Pagination: &schema.MetaPagination{Page: page, PerPage: size, TotalEntries: len(all)}}
	if to < shown {
		meta.Pagination.NextPage = page + 1
	}
	return map[string]any{what: all[from:to], "meta": meta}, nil
}

func (c *Cloud) deleteServer(r *fakerest.Request) (any, error) {
	c.settle()
	for _, m := range c.servers {
		if m.ID == r.Number("id") {
			m.Status, m.runs, m.gone = "deleting", time.Time{}, time.Now().Add(c.settings.DeleteTime)
			c.settle()
			return schema.ServerDeleteResponse{Action: schema.Action{ID: c.id(), Command: "delete_server", Status: "running"}}, nil
		}
	}
	return nil, missing("server")
}

// act switches a server, which is done at once.
func (c *Cloud) act(r *fakerest.Request) (any, error) {
	c.settle()
	i := slices.IndexFunc(c.servers, func(m *machine) bool { return m.ID == r.Number("id") })
	if i < 0 {
		return nil, missing("server")
	}
	command := map[string]string{"poweron": "start_server", "poweroff": "stop_server", "shutdown": "shutdown_server", "reboot": "reboot_server"}[r.PathValue("action")]
	switch m := c.servers[i]; command {
	case "start_server":
		m.Status = "running"
	case "stop_server", "shutdown_server":
		m.Status = "off"
	case "reboot_server":
		if m.Status != "running" {
			return nil, fakerest.Refuse(http.StatusConflict, "server_not_running", "the server does not run")
		}
	default:
		return nil, &fakerest.Refusal{Status: http.StatusNotFound, Message: "there is no such action", Wrong: true}
	}
	return schema.ServerActionPoweronResponse{Action: schema.Action{ID: c.id(), Command: command, Status: "running"}}, nil
}

func (c *Cloud) listActions(r *fakerest.Request) (any, error) {
	found := []schema.Action{}
	for _, a := range slices.Backward(c.actions) {
		if s := r.Query.Get("status"); s == "" || s == a.Status {
			found = append(found, a)
		}
	}
	return paged(c, r, "actions", found)
}

func (c *Cloud) listNames(r *fakerest.Request, what string) (any, error) {
	found := []named{}
	for _, n := range c.names[what] {
		name, ip, arch := r.Query.Get("name"), r.Query.Get("ip"), r.Query.Get("architecture")
		if (name == "" || name == n.Name) && (ip == "" || ip == n.IP) && (arch == "" || arch == n.Architecture) {
			found = append(found, n)
		}
	}
	return paged(c, r, what, found)
}
