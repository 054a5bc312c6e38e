package main

import (
	"errors"
	"net/url"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// Remove deletes the machine's container with its anonymous volumes, its own volume, and the networks that nobody uses any more. It
// finds them by their labels, so that what is not ours is never touched, whatever its name. It goes as far as it can and then
// reports what is left.
func (dockerDriver) Remove(req abi.RemoveRequest) error {
	if req.Name == "" {
		return &abi.Error{Kind: abi.Invalid, Message: "no machine is named"}
	}
	s, err := reachable(req.Options)
	if err != nil {
		return err
	}
	e, err := open(s, req.Owner, req.Name)
	if err != nil {
		return err
	}
	return e.remove(req.Owner, req.Name)
}

func (e engine) remove(owner abi.Owner, machine string) error {
	query := filters(labelOwner+"="+owner.ID, labelMachine+"="+machine)
	query.Set("all", "1")
	var containers []listed
	if err := e.call("GET", "/containers/json", query, nil, &containers); err != nil {
		return driver.About("find the container", err)
	}
	var failed []error
	for _, c := range containers {
		failed = append(failed, e.removeContainer(c.ID))
	}
	volumes, err := e.volumes(labelOwner+"="+owner.ID, machine)
	failed = append(failed, err)
	for _, v := range volumes {
		failed = append(failed, e.removeVolume(v.Name))
	}
	e.removeEmptyNetworks(owner)
	return errors.Join(failed...)
}

// tidy removes what a failed creation has left. What stays is found by its labels later.
func (e engine) tidy(owner abi.Owner, machine string) { _ = e.remove(owner, machine) }

// removeContainer kills and deletes a container. One that is gone, or going already, is no error: whether it went shows when its
// volume is removed.
func (e engine) removeContainer(id string) error {
	err := e.call("DELETE", "/containers/"+id, url.Values{"force": {"1"}, "v": {"1"}}, nil, nil)
	if err == nil || driver.Is(err, abi.NotFound) || driver.Is(err, abi.Conflict) && saying(err, "already in progress") {
		return nil
	}
	return driver.About("remove the container "+short(id), err)
}

func (e engine) removeVolume(name string) error {
	err := e.call("DELETE", "/volumes/"+url.PathEscape(name), nil, nil, nil)
	if err == nil || driver.Is(err, abi.NotFound) {
		return nil
	}
	return driver.About("remove the volume "+name, err)
}
