package main

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// groupSize is how many servers a placement group of the type spread holds. Source: Hetzner Cloud documentation, "Placement groups".
const groupSize = 10

// Values of labelSpread: why a group was made.
const (
	spreadAuto  = "auto"
	spreadNamed = "named"
)

// group is a placement group.
type group struct {
	ID      int64             `json:"id"`
	Name    string            `json:"name"`
	Labels  map[string]string `json:"labels"`
	Servers []int64           `json:"servers"`
}

type groupAnswer struct {
	Group group `json:"placement_group"`
}

// Whole implements rest.Answer.
func (g *groupAnswer) Whole() bool { return g.Group.ID != 0 }

type groupBody struct {
	Name   string            `json:"name"`
	Type   string            `json:"type"`
	Labels map[string]string `json:"labels"`
}

// placement returns the number of the machine's placement group, 0 for none, and whether the driver made it, so that it goes when it is empty.
func (m machine) placement(a rest.API, owner abi.Owner) (id int64, ours bool, err error) {
	switch {
	case m.spread:
		id, err = spread(a, owner)
		return id, true, driver.About(optSpread, err)
	case m.group == "":
		return 0, false, nil
	case number(m.group) != 0:
		return number(m.group), false, nil
	}
	found, _, err := pages[group](a, "placement_groups", url.Values{"name": {m.group}})
	if err != nil {
		return 0, false, driver.About(optGroup, err)
	}
	if len(found) > 0 {
		return found[0].ID, found[0].Labels[labelOwner] == owner.ID, nil
	}
	id, err = makeGroup(a, owner, m.group, spreadNamed)
	return id, true, driver.About(optGroup, err)
}

// spread returns a group of the runner's own that has room, and makes one when there is none.
func spread(a rest.API, owner abi.Owner) (int64, error) {
	all, err := ownGroups(a, owner.ID)
	if err != nil {
		return 0, err
	}
	taken := map[string]bool{}
	for _, g := range all {
		taken[g.Name] = true
		if g.Labels[labelRunner] == asLabel(owner.Runner) && g.Labels[labelSpread] == spreadAuto && len(g.Servers) < groupSize {
			return g.ID, nil
		}
	}
	for n := 1; ; n++ {
		if name := labelPrefix + owner.ID + "-" + strconv.Itoa(n); !taken[name] {
			return makeGroup(a, owner, name, spreadAuto)
		}
	}
}

// ownGroups returns the groups that the driver made for an owner, in the order of their numbers.
func ownGroups(a rest.API, owner string) ([]group, error) {
	all, _, err := pages[group](a, "placement_groups", url.Values{"label_selector": {labelOwner + "=" + owner}})
	all = slices.DeleteFunc(all, func(g group) bool { return g.Labels[labelOwner] != owner || g.Labels[labelSpread] == "" })
	slices.SortFunc(all, func(a, b group) int { return int(min(max(a.ID-b.ID, -1), 1)) })
	return all, err
}

func makeGroup(a rest.API, owner abi.Owner, name, kind string) (int64, error) {
	body := groupBody{name, "spread", map[string]string{labelOwner: owner.ID, labelRunner: asLabel(owner.Runner), labelSpread: kind}}
	var got groupAnswer
	if _, err := a.Call("POST", "/placement_groups", nil, body, &got); err == nil || !driver.Is(err, abi.Conflict) {
		return got.Group.ID, err
	}
	found, _, err := pages[group](a, "placement_groups", url.Values{"name": {name}}) // somebody was faster
	if err == nil && len(found) == 0 {
		err = &abi.Error{Kind: abi.Transient, Message: "the placement group " + name + " is said to be there, and is not"}
	}
	if err != nil {
		return 0, err
	}
	return found[0].ID, nil
}

// removeGroups removes the owner's groups that are empty. One that has the server that is going makes the removal a conflict, so that it is asked for
// again when the server is gone: else nobody would see that the group is empty.
func removeGroups(a rest.API, owner string, going int64) error {
	all, err := ownGroups(a, owner)
	if err != nil {
		return err
	}
	for _, g := range all {
		switch {
		case going != 0 && slices.Contains(g.Servers, going):
			return &abi.Error{Kind: abi.Conflict, Message: "the placement group " + g.Name + " is looked at again when the server is gone"}
		case len(g.Servers) > 0:
			continue
		}
		if _, err := a.Call("DELETE", "/placement_groups/"+strconv.FormatInt(g.ID, 10), nil, nil, nil); err != nil && !driver.Is(err, abi.NotFound) {
			return err
		}
	}
	return nil
}
