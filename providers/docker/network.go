package main

import (
	"encoding/json"
	"hash/fnv"
	"net/url"
	"slices"
	"strconv"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// network is what list tells of one.
type network struct{ ID, Name string }

// looks bounds how often ensureNetwork looks for the network that another call is making.
const looks = 10

// ensureNetwork makes the machines' network unless there is one of that name, whoever made it.
//
// Two calls at the same time could make two networks of one name, which the engine then refuses as ambiguous. It never makes two
// bridges of one name, though, so that name is what decides who was first; the other waits until the network shows.
func (e engine) ensureNetwork(owner abi.Owner) error {
	for range looks {
		there, err := e.hasNetwork()
		if there || err != nil {
			return err
		}
		err = e.call("POST", "/networks/create", nil, map[string]any{
			"Name": e.network, "Driver": "bridge", "CheckDuplicate": true, "Labels": map[string]string{labelOwner: owner.ID},
			"Options": map[string]string{"com.docker.network.bridge.name": bridgeName(e.network)},
		}, nil)
		switch {
		case err == nil:
			return nil
		case !driver.Is(err, abi.Conflict) && !saying(err, "same bridge name"):
			return driver.About("make the network "+e.network, err)
		}
	}
	return &abi.Error{Kind: abi.Transient, Message: "the network " + e.network + " is being made by another call and does not show yet"}
}

// bridgeName fits the 15 characters that Linux allows.
func bridgeName(network string) string {
	h := fnv.New64a()
	h.Write([]byte(network))
	return "mw-" + strconv.FormatUint(h.Sum64()>>16, 16)
}

// hasNetwork tells whether there is a network of exactly the name that docker-network gives.
func (e engine) hasNetwork() (bool, error) {
	text, err := json.Marshal(map[string][]string{"name": {e.network}})
	if err != nil {
		return false, err
	}
	var found []network // the engine's filter also finds names that only hold this one
	if err := e.call("GET", "/networks", url.Values{"filters": {string(text)}}, nil, &found); err != nil {
		return false, driver.About("find the network "+e.network, err)
	}
	return slices.ContainsFunc(found, func(n network) bool { return n.Name == e.network }), nil
}

// missingNetwork tells whether a container could not be made or started because its network went in between: the last other machine
// on it was removed.
func missingNetwork(err error) bool {
	return saying(err, "network") && saying(err, "not found", "does not exist")
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
	if err != nil && !driver.Is(err, abi.NotFound, abi.Conflict, abi.Auth) {
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
