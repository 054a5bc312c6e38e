package main

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// List returns the servers that bear the owner's label, by one call a page. A creation whose action failed is listed as gone, with the reason; so is a
// machine of which there is only the SSH key.
func (hetzner) List(req abi.ListRequest) (abi.ListResult, error) {
	a := api(req.Options)
	selector := labelOwner + "=" + req.Owner.ID
	if req.AllOwners {
		selector = labelOwner
	}
	all, complete, err := pages[server](a, "servers", url.Values{"label_selector": {selector}})
	if err != nil {
		return abi.ListResult{}, driver.About("list the servers", err)
	}
	res := abi.ListResult{Complete: complete}
	reasons, err := failures(a, all)
	if err != nil {
		return abi.ListResult{}, driver.About("list the actions", err)
	}
	known := map[string]bool{}
	for _, s := range all {
		owner := s.Labels[labelOwner]
		if owner == "" || !req.AllOwners && owner != req.Owner.ID {
			continue
		}
		i := s.instance()
		if why := reasons[s.ID]; why != nil && i.Status != abi.StatusRunning {
			i.Status, i.Message, i.Error = abi.StatusGone, why.Message, why
		}
		if req.AllOwners {
			i.Owner = owner
		}
		known[i.Name] = true
		res.Instances = append(res.Instances, i)
	}
	if req.AllOwners {
		return res, nil
	}
	keys, err := ownedKeys(a, req.Owner.ID)
	if err != nil {
		return abi.ListResult{}, driver.About("list the SSH keys", err)
	}
	for _, k := range keys {
		name := k.Name[min(len(keyName(req.Owner.ID, "")), len(k.Name)):]
		if nameLike.MatchString(name) && !known[name] && k.Labels[labelOwner] == req.Owner.ID {
			res.Instances = append(res.Instances, abi.Instance{Name: name, ID: "key-" + strconv.FormatInt(k.ID, 10), Status: abi.StatusGone, Message: "there is only its SSH key"})
		}
	}
	return res, nil
}

// failures returns why creations failed, by the server's number. It asks only while a server comes up: by one call, for the newest.
func failures(a rest.API, all []server) (map[int64]*abi.Error, error) {
	if !slices.ContainsFunc(all, func(s server) bool { return s.Status == "initializing" }) {
		return nil, nil
	}
	p := page[action]{what: "actions"}
	query := url.Values{"status": {"error"}, "sort": {"id:desc"}, "page": {"1"}, "per_page": {strconv.Itoa(perPage)}}
	if _, err := a.Call("GET", "/servers/actions", query, nil, &p); err != nil {
		return nil, err
	}
	out := map[int64]*abi.Error{}
	for _, failure := range *p.entries {
		if failure.Error == nil || failure.Command != "create_server" && failure.Command != "start_server" {
			continue
		}
		for _, on := range failure.Resources {
			if on.Type == "server" && out[on.ID] == nil {
				out[on.ID] = failed(failure.Error.Code, failure.Error.Message)
			}
		}
	}
	return out, nil
}
