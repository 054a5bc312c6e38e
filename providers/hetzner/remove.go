package main

import (
	"encoding/json"
	"net/url"
	"strconv"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

type actionAnswer struct {
	Action action `json:"action"`
}

// Whole implements rest.Answer.
func (d *actionAnswer) Whole() bool { return d.Action.ID != 0 }

// Remove deletes the server, a key that its creation left, and the runner's placement groups that are empty. What does not bear the owner's label is
// never touched, whatever its name.
func (hetzner) Remove(req abi.RemoveRequest) error {
	if !nameLike.MatchString(req.Name) {
		return nil // there can be none of that name
	}
	a := api(req.Options)
	found, err := byName(a, req.Name)
	if err != nil {
		return driver.About("look at "+req.Name, err)
	}
	var going int64
	if found.ID != 0 && found.Labels[labelOwner] == req.Owner.ID {
		going = found.ID
		if found.Status != "deleting" {
			var got actionAnswer
			if _, err := a.Call("DELETE", "/servers/"+strconv.FormatInt(found.ID, 10), nil, nil, &got); err != nil && !driver.Is(err, abi.NotFound) {
				return driver.About("remove "+req.Name, err)
			}
		}
	}
	var known state
	unknown := json.Unmarshal([]byte(req.State), &known) != nil // then there may be a key and a group
	if unknown {
		if err := removeKeyOf(a, req.Owner.ID, req.Name); err != nil {
			return driver.About("remove the SSH key of "+req.Name, err)
		}
	} else if known.Key != 0 {
		if err := removeKey(a, known.Key); err != nil {
			return driver.About("remove the SSH key of "+req.Name, err)
		}
	}
	if unknown || known.Group != 0 {
		if err := removeGroups(a, req.Owner.ID, going); err != nil {
			return driver.About("remove the placement group of "+req.Name, err)
		}
	}
	return nil
}

// removeKeyOf removes a key that a creation left.
func removeKeyOf(a rest.API, owner, machine string) error {
	found, _, err := pages[sshKey](a, "ssh_keys", url.Values{"name": {keyName(owner, machine)}})
	if err != nil {
		return err
	}
	for _, k := range found {
		if k.Labels[labelOwner] != owner {
			continue
		}
		if err := removeKey(a, k.ID); err != nil {
			return err
		}
	}
	return nil
}
