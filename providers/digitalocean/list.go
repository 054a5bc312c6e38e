package main

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// Bounds of a list: entries of a page, the most that DigitalOcean gives, and pages.
const (
	perPage  = 200
	maxPages = 100
)

// page is what pages of any list have beside their entries.
type page struct {
	Links struct {
		Pages struct {
			Next string `json:"next"`
		} `json:"pages"`
	} `json:"links"`
	Meta *struct {
		Total int `json:"total"`
	} `json:"meta"`
}

// dropletPage is one page of a list of droplets.
type dropletPage struct {
	page
	Droplets *[]droplet `json:"droplets"`
}

// Whole implements rest.Answer.
func (p *dropletPage) Whole() bool { return p.Droplets != nil && p.Meta != nil }

// droplets reads all pages of a list. It is not complete when there is less in them than DigitalOcean counts, or a page more than are wanted.
func droplets(a rest.API, query url.Values) (all []droplet, complete bool, err error) {
	query.Set("per_page", strconv.Itoa(perPage))
	seen := map[int64]bool{} // what is made or goes meanwhile moves others from one page to another
	for n := 1; n <= maxPages; n++ {
		query.Set("page", strconv.Itoa(n))
		var p dropletPage
		if _, err := a.Call("GET", "/v2/droplets", query, nil, &p); err != nil {
			return nil, false, err
		}
		for _, d := range *p.Droplets {
			if !seen[d.ID] {
				seen[d.ID] = true
				all = append(all, d)
			}
		}
		if p.Links.Pages.Next == "" {
			return all, len(all) >= p.Meta.Total, nil
		}
	}
	return all, false, nil
}

// owned returns the droplets of an owner.
func owned(a rest.API, owner string) ([]droplet, bool, error) {
	all, complete, err := droplets(a, url.Values{"tag_name": {tagOwner + owner}})
	all = slices.DeleteFunc(all, func(d droplet) bool { return d.tag(tagOwner) != owner })
	return all, complete, err
}

// List returns the droplets that bear the owner's tag, by one call a page. Where two have one name, which only requests that crossed each other can
// have made, the older is the machine, and the other goes with it. A machine of which there is only the SSH key counts as gone: it is something to
// remove.
func (digitalocean) List(req abi.ListRequest) (abi.ListResult, error) {
	a := api(req.Options)
	var all []droplet
	var complete bool
	var err error
	if req.AllOwners {
		all, complete, err = anybodys(a)
	} else {
		all, complete, err = owned(a, req.Owner.ID)
	}
	if err != nil {
		return abi.ListResult{}, driver.About("list the droplets", err)
	}
	slices.SortFunc(all, func(a, b droplet) int { return int(min(max(a.ID-b.ID, -1), 1)) })
	res := abi.ListResult{Complete: complete}
	known := map[string]bool{}
	for _, d := range all {
		key := d.tag(tagOwner) + " " + strings.ToLower(d.Name)
		if known[key] {
			host.Log(host.LevelWarn, "two droplets have one name; both are removed with the machine", map[string]string{"name": d.Name, "id": strconv.FormatInt(d.ID, 10)})
			continue
		}
		known[key] = true
		i := d.instance()
		if req.AllOwners {
			i.Owner = d.tag(tagOwner)
		}
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
		name := strings.TrimPrefix(k.Name, keyName(req.Owner.ID, ""))
		if !known[req.Owner.ID+" "+strings.ToLower(name)] {
			res.Instances = append(res.Instances, abi.Instance{Name: name, ID: "key-" + strconv.FormatInt(k.ID, 10), Status: abi.StatusGone,
				Message: "there is only its SSH key", State: stateOf(k.ID)})
		}
	}
	return res, nil
}

// anybodys returns the droplets that bear the tag of any Millwright. Those with GPUs are a list of their own.
func anybodys(a rest.API) ([]droplet, bool, error) {
	plain, complete, err := droplets(a, url.Values{})
	if err != nil {
		return nil, false, err
	}
	gpus, also, err := droplets(a, url.Values{"type": {"gpus"}})
	if err != nil {
		return nil, false, err
	}
	all := slices.DeleteFunc(append(plain, gpus...), func(d droplet) bool { return d.tag(tagOwner) == "" })
	slices.SortFunc(all, func(a, b droplet) int { return int(min(max(a.ID-b.ID, -1), 1)) })
	all = slices.CompactFunc(all, func(a, b droplet) bool { return a.ID == b.ID })
	return all, complete && also, nil
}
