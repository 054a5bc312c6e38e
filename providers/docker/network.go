package main

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// network is what list tells of one.
type network struct {
	ID, Name, Created string
	Labels            map[string]string
}

// ensureNetwork returns the id of the machines' network, which it makes unless there is one of that name, whoever made it.
//
// Engines let two calls at the same time make two networks of one name, and then refuse the name as ambiguous. So whoever makes one
// looks again: the oldest stays and is used by its id, ours beside it go. A container that was made for one that went cannot start,
// and is made anew.
func (e engine) ensureNetwork(owner abi.Owner) (string, error) {
	same, err := e.networksNamed(e.network)
	if err != nil {
		return "", err
	}
	if len(same) == 0 {
		err := e.call("POST", "/networks/create", nil, map[string]any{
			"Name": e.network, "Driver": "bridge", "CheckDuplicate": true, "Labels": map[string]string{labelOwner: owner.ID},
		}, nil)
		if err != nil && !is(err, abi.Conflict) { // conflict: another call was faster
			return "", about("make the network "+e.network, err)
		}
		if same, err = e.networksNamed(e.network); err != nil {
			return "", err
		}
	}
	if len(same) == 0 {
		return "", &abi.Error{Kind: abi.Transient, Message: "the network " + e.network + " went while the machine was being made"}
	}
	for _, n := range same[1:] {
		if n.Labels[labelOwner] == owner.ID {
			e.removeNetwork(n)
		}
	}
	return same[0].ID, nil
}

// networksNamed returns the networks of exactly this name, the oldest first.
func (e engine) networksNamed(name string) ([]network, error) {
	text, err := json.Marshal(map[string][]string{"name": {name}})
	if err != nil {
		return nil, err
	}
	var found []network // the engine's filter also finds names that only hold this one
	if err := e.call("GET", "/networks", url.Values{"filters": {string(text)}}, nil, &found); err != nil {
		return nil, about("find the network "+name, err)
	}
	found = slices.DeleteFunc(found, func(n network) bool { return n.Name != name })
	slices.SortFunc(found, func(a, b network) int {
		return cmp.Or(created(a).Compare(created(b)), strings.Compare(a.ID, b.ID))
	})
	return found, nil
}

func created(n network) time.Time {
	t, err := time.Parse(time.RFC3339Nano, n.Created)
	if err != nil {
		return time.Time{}
	}
	return t
}

// missingNetwork tells whether a container could not be made or started because its network went in between: the last other machine
// on it was removed.
func missingNetwork(err error) bool {
	return is(err, abi.NotFound) && saying(err, "network")
}

// removeEmptyNetworks removes the networks that we made and that no container uses any more, running or not. A network that cannot
// be removed does no harm to the machine that was: the next removal tries again.
func (e engine) removeEmptyNetworks(owner abi.Owner) {
	var networks []network
	if err := e.call("GET", "/networks", filters(labelOwner+"="+owner.ID), nil, &networks); err != nil {
		host.Log(host.LevelWarn, "cannot list the networks of machines: "+err.Error(), nil)
		return
	}
	for _, n := range networks {
		if used, err := e.networkInUse(n.Name); err == nil && !used {
			e.removeNetwork(n)
		}
	}
}

// removeNetwork removes a network unless a container runs on it, which the engine says by conflict or 403.
func (e engine) removeNetwork(n network) {
	err := e.call("DELETE", "/networks/"+n.ID, nil, nil, nil)
	if err != nil && !is(err, abi.NotFound, abi.Conflict, abi.Auth) {
		host.Log(host.LevelWarn, "cannot remove a network of machines: "+err.Error(), map[string]string{"network": n.Name})
	}
}

func (e engine) networkInUse(name string) (bool, error) {
	text, err := json.Marshal(map[string][]string{"network": {name}})
	if err != nil {
		return false, err
	}
	var containers []struct{}
	err = e.call("GET", "/containers/json", url.Values{"all": {"1"}, "filters": {string(text)}}, nil, &containers)
	return len(containers) > 0, err
}
