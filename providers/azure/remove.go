package main

import (
	"net/url"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// Remove deletes the VM, and its disk, interface and address with it. When it is gone, what it left behind is looked for by its tags and deleted.
// What is not the owner's is never touched, whatever its name, and what machines share stays.
func (azure) Remove(req abi.RemoveRequest) error {
	p, err := reachable(req.Options)
	if err != nil {
		return err
	}
	if !nameLike.MatchString(req.Name) {
		return nil // there can be none of that name
	}
	v, err := p.machine(req.Name)
	switch {
	case codeOf(err) == codeGroupMissing:
		return nil
	case driver.Is(err, abi.NotFound), err == nil && v.Tags[tagOwner] != req.Owner.ID:
		return p.removeParts(req.Owner.ID, req.Name)
	case err != nil:
		return driver.About("look at "+req.Name, err)
	}
	// A job's machine has nothing to save: forced, it goes at once.
	_, err = p.call(request{
		method: "DELETE", path: p.compute("virtualMachines", req.Name), version: versionCompute, query: url.Values{"forceDeletion": {"true"}},
	}, status{})
	if err != nil && !driver.Is(err, abi.NotFound) {
		return driver.About("remove "+req.Name, err)
	}
	return nil
}

// removeParts deletes what the owner's machine of that name left behind: the interface first, since it holds the address. What fails does not keep
// the others from going.
func (p place) removeParts(owner, name string) error {
	filter := "tagName eq '" + tagMachine + "' and tagValue eq '" + name + "'"
	found, _, err := pages[resource](p, p.id(p.group)+"/resources", versionResources, url.Values{"$filter": {filter}})
	if codeOf(err) == codeGroupMissing {
		return nil
	}
	if err != nil {
		return driver.About("look for what "+name+" left behind", err)
	}
	found = slices.DeleteFunc(found, func(r resource) bool {
		return typeOf(r) < 0 || r.Tags[tagOwner] != owner || !strings.EqualFold(r.Tags[tagMachine], name) || !p.ours(r.ID)
	})
	slices.SortStableFunc(found, func(a, b resource) int { return typeOf(a) - typeOf(b) })
	var first error
	for _, r := range found {
		kind := partTypes[typeOf(r)]
		if _, err := p.call(request{method: "DELETE", path: r.ID, version: kind.version}, status{}); err != nil && !driver.Is(err, abi.NotFound) && first == nil {
			first = driver.About("remove the "+kind.words+" "+r.Name, err)
		}
	}
	return first
}
