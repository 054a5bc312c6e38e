package main

import (
	"encoding/json"
	"strconv"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// Remove deletes the droplet, all of them where there are several of the name, and then the SSH key that was made for it. What does not bear the
// owner's tag is never touched, whatever its name.
func (digitalocean) Remove(req abi.RemoveRequest) error {
	if !nameLike.MatchString(req.Name) {
		return nil // there can be none of that name
	}
	a := api(req.Options)
	all, complete, err := owned(a, req.Owner.ID)
	if err != nil {
		return driver.About("look for "+req.Name, err)
	}
	for _, d := range all {
		if !d.ours(req.Owner.ID, req.Name) {
			continue
		}
		if err := removeDroplet(a, d.ID); err != nil {
			return driver.About("remove "+req.Name, err)
		}
	}
	if !complete {
		return &abi.Error{Kind: abi.Transient, Message: "look for " + req.Name + ": a part of the list is missing, so it may be there"}
	}
	var known state
	if json.Unmarshal([]byte(req.State), &known) == nil && known.Key == 0 {
		return nil // it was made with a key of the operator's
	}
	if err := removeKey(a, known.Key, keyName(req.Owner.ID, req.Name)); err != nil {
		return driver.About("remove the SSH key of "+req.Name, err)
	}
	return nil
}

func removeDroplet(a rest.API, id int64) error {
	_, err := a.Call("DELETE", "/v2/droplets/"+strconv.FormatInt(id, 10), nil, nil, nil)
	if driver.Is(err, abi.NotFound) {
		return nil
	}
	return err
}
