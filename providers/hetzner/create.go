package main

import (
	"net/netip"
	"net/url"
	"strconv"

	"github.com/millwright-ci/millwright/providers/internal/cloudinit"
	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// lowPause is for how many seconds creations pause when the rate limit is nearly used up.
const lowPause = 60

// serverBody is what is sent for a server. Source: Hetzner Cloud API, "Create a Server".
type serverBody struct {
	Name      string            `json:"name"`
	Type      string            `json:"server_type"`
	Image     any               `json:"image"`
	Location  string            `json:"location,omitempty"`
	SSHKeys   []int64           `json:"ssh_keys"`
	UserData  string            `json:"user_data"`
	Labels    map[string]string `json:"labels"`
	Networks  []int64           `json:"networks,omitempty"`
	Volumes   []int64           `json:"volumes,omitempty"`
	Firewalls []firewallBody    `json:"firewalls,omitempty"`
	Group     int64             `json:"placement_group,omitempty"`
	PublicNet *publicBody       `json:"public_net,omitempty"`
}

type firewallBody struct {
	Firewall int64 `json:"firewall"`
}

type publicBody struct {
	IPv4   bool  `json:"enable_ipv4"`
	IPv6   bool  `json:"enable_ipv6"`
	IPv4ID int64 `json:"ipv4,omitempty"`
	IPv6ID int64 `json:"ipv6,omitempty"`
}

type serverAnswer struct {
	Server server `json:"server"`
	Action action `json:"action"`
}

// Whole implements rest.Answer.
func (s *serverAnswer) Whole() bool { return s.Server.ID != 0 }

// Create adds the machine's SSH key, asks for the server and takes the key away: three calls, and one for each name among the options. It does not
// wait for the action: the host has the server's number as soon as there is one. Names of servers are unique in a project, so a second request for the
// same one is refused, and the server is looked at.
func (hetzner) Create(req abi.CreateRequest) (abi.Instance, error) {
	r := &settings.Reader{Options: req.Options}
	m := read(r)
	if err := r.Err(); err != nil {
		return abi.Instance{}, err
	}
	if !nameLike.MatchString(req.Name) {
		return abi.Instance{}, &abi.Error{Kind: abi.Invalid, Message: "the machine name " + strconv.Quote(settings.Short(req.Name)) +
			" is not allowed; Hetzner takes letters, digits, hyphens and dots, 63 at most: change MachineName"}
	}
	a := api(req.Options)
	body, err := m.body(a, req)
	if err != nil {
		return abi.Instance{}, err
	}
	group, ours, err := m.placement(a, req.Owner)
	if err != nil {
		return abi.Instance{}, err
	}
	body.Group = group
	if !ours {
		group = 0
	}
	if m.key != 0 {
		body.SSHKeys = []int64{m.key}
		return ask(a, req, body, group)
	}
	key, own, budget, err := m.makeKey(a, req)
	if err != nil {
		return abi.Instance{}, err
	}
	body.SSHKeys = []int64{key.ID}
	var made abi.Instance
	if budget.Low() {
		err = budget.Exhausted(lowPause)
	} else {
		made, err = ask(a, req, body, group)
	}
	if own && !driver.Is(err, abi.Transient) { // else the request may be on its way with it
		if removeKey(a, key.ID) != nil && err == nil { // then it goes with the machine
			made.State = state{group, key.ID}.raw()
		}
	}
	return made, err
}

// ask asks for the server, or returns the one that there is.
func ask(a rest.API, req abi.CreateRequest, body serverBody, group int64) (abi.Instance, error) {
	var got serverAnswer
	_, err := a.Call("POST", "/servers", nil, body, &got)
	if driver.Is(err, abi.Conflict, abi.NotFound, abi.Invalid) { // another creation may have been faster, and taken the key away
		found, unseen := byName(a, req.Name)
		switch {
		case unseen != nil:
			return abi.Instance{}, driver.About("look at "+req.Name, unseen)
		case found.ID == 0:
			return abi.Instance{}, driver.About("create "+req.Name, missing(err))
		case found.Status == "deleting":
			return abi.Instance{}, &abi.Error{Kind: abi.Conflict, Message: "create " + req.Name + ": the server of that name is being deleted"}
		case found.Labels[labelOwner] != req.Owner.ID:
			return abi.Instance{}, &abi.Error{Kind: abi.Conflict, Message: "there is a server " + req.Name + " in the project that this agent did not make; remove or rename it"}
		}
		got.Server, err = found, nil
	}
	if err != nil {
		return abi.Instance{}, driver.About("create "+req.Name, missing(err))
	}
	i := got.Server.instance()
	i.State = state{Group: group}.raw()
	return i, nil
}

// byName returns the server of that name, one without a number when there is none.
func byName(a rest.API, name string) (server, error) {
	all, _, err := pages[server](a, "servers", url.Values{"name": {name}})
	if err != nil || len(all) == 0 {
		return server{}, err
	}
	return all[0], nil
}

// body describes the server but for its key and group, with numbers for names.
func (m machine) body(a rest.API, req abi.CreateRequest) (b serverBody, err error) {
	b = serverBody{
		Name: req.Name, Type: m.kind, Image: m.image, Location: m.location, Labels: m.allLabels(req),
		UserData: cloudinit.JoinScripts(cloudinit.Login(req.Bootstrap, m.user, m.moreKeys...), m.userData, cloudinit.End(req.ExpiresAt), req.Bootstrap.FirstBoot),
	}
	if n := number(m.image); n != 0 {
		b.Image = n
	} else if m.arch != "" {
		if b.Image, err = lookUp(a, optImage, "images", m.image, url.Values{"architecture": {m.arch}}); err != nil {
			return b, driver.About("look for the image", err)
		}
	}
	all := func(option, what string, items []string) (ids []int64) {
		for _, item := range items {
			var id int64
			if err == nil {
				id, err = lookUp(a, option, what, item, nil)
			}
			ids = append(ids, id)
		}
		return ids
	}
	b.Networks, b.Volumes = all(optNetworks, "networks", m.networks), all(optVolumes, "volumes", m.volumes)
	for _, id := range all(optFirewalls, "firewalls", m.firewalls) {
		b.Firewalls = append(b.Firewalls, firewallBody{id})
	}
	if err != nil {
		return b, driver.About("look for what the options name", err)
	}
	b.PublicNet, err = m.publicNet(a)
	return b, driver.About("look for a primary IP", err)
}

// publicNet says which public addresses the server has; nil leaves that to Hetzner, which gives both.
func (m machine) publicNet(a rest.API) (*publicBody, error) {
	if !m.noIPv4 && !m.noIPv6 && m.primary4+m.primary6 == "" {
		return nil, nil
	}
	b := publicBody{IPv4: !m.noIPv4, IPv6: !m.noIPv6}
	for _, p := range []struct {
		option, item string
		id           *int64
	}{{optPrimary4, m.primary4, &b.IPv4ID}, {optPrimary6, m.primary6, &b.IPv6ID}} {
		if p.item == "" {
			continue
		}
		query := url.Values{"name": {p.item}}
		if _, err := netip.ParseAddr(p.item); err == nil {
			query = url.Values{"ip": {p.item}}
		} else if n := number(p.item); n != 0 {
			*p.id = n
			continue
		}
		found, _, err := pages[entry](a, "primary_ips", query)
		if err == nil && len(found) == 0 {
			err = &abi.Error{Kind: abi.Invalid, Message: p.option + ": there is no primary IP " + strconv.Quote(p.item)}
		}
		if err != nil {
			return nil, err
		}
		*p.id = found[0].ID
	}
	return &b, nil
}

// allLabels are the host's, the operator's and ours.
func (m machine) allLabels(req abi.CreateRequest) map[string]string {
	out := map[string]string{}
	for key, value := range req.Labels {
		if key = asLabel(key); labelKey.MatchString(key) {
			out[key] = asLabel(value)
		}
	}
	for key, value := range m.labels {
		out[key] = value
	}
	out[labelOwner], out[labelUser] = req.Owner.ID, m.user
	if runner := asLabel(req.Owner.Runner); runner != "" {
		out[labelRunner] = runner
	}
	if m.port != 22 {
		out[labelPort] = strconv.Itoa(m.port)
	}
	if m.private {
		out[labelReach] = reachPrivate
	}
	return out
}
