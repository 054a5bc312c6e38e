package main

import (
	"net/url"
	"sync"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// rounds bounds how often create looks again after something was made, healed or changed under its hands. The longest way on which
// nothing else interferes takes five.
const rounds = 8

// unprivileged remembers the engines, by docker-host, that could not start a privileged container. It saves the first try; when the
// instance of the module goes, the next finds out again.
var unprivileged sync.Map

// Create makes the machine's container, puts the bootstrap data into it and starts it. What is there already is kept and a half-made
// machine is finished, so each round looks first and takes the next step that is missing.
func (dockerDriver) Create(req abi.CreateRequest) (abi.Instance, error) {
	s, err := usable(req.Options)
	if err != nil {
		return abi.Instance{}, err
	}
	e, err := open(s, req.Owner, req.Name)
	if err != nil {
		return abi.Instance{}, err
	}
	for range rounds {
		c, err := e.inspect(req.Name, req.Owner)
		switch {
		case driver.Is(err, abi.NotFound):
			err = e.make(req)
		case err != nil:
		case c.State.Status == "created":
			err = e.start(c, req)
		case c.State.Status == "removing":
			err = &abi.Error{Kind: abi.Conflict, Message: "the container " + req.Name + " is being removed"}
		default:
			return c.instance(), nil
		}
		if err != nil {
			return abi.Instance{}, err
		}
	}
	return abi.Instance{}, &abi.Error{Kind: abi.Transient, Message: "the container " + req.Name + " keeps changing while it is being made"}
}

// open checks the keys of a call and connects to the engine. The machine's name is "" where there is none.
func open(s settings, owner abi.Owner, machine string) (engine, error) {
	if !nameLike(owner.ID) {
		return engine{}, &abi.Error{Kind: abi.Invalid, Message: "the owner id `" + owner.ID + "` is not allowed; use letters and digits"}
	}
	if machine != "" && (!nameLike(machine) || len(machine) > 63) {
		return engine{}, &abi.Error{Kind: abi.Invalid, Message: "the machine name `" + machine + "` is not allowed; use letters, digits and hyphens, at most 63"}
	}
	return connect(s)
}

// make makes the network, the volume and the container, in this order, so that the container is the last thing to appear. That
// another call was faster is no error.
func (e engine) make(req abi.CreateRequest) error {
	err := e.ensureNetwork(req.Owner)
	if err == nil {
		err = e.ensureVolume(req)
	}
	if err != nil {
		return err
	}
	privileged := e.privileged == "true" || e.privileged == "auto" && !e.knownUnprivileged()
	path, query := "/containers/create", url.Values{"name": {req.Name}}
	err = e.call("POST", path, query, e.spec(req, privileged), nil)
	switch {
	case err == nil, driver.Is(err, abi.Conflict), missingNetwork(err):
		return nil
	case privileged && e.refusesPrivileged(err):
		return nil
	}
	e.tidy(req.Owner, req.Name)
	return driver.About("make the container "+req.Name, err)
}

// start puts the bootstrap data into a container that has never run and starts it. A container that cannot start as it was made is
// removed, for the next round to make it anew.
func (e engine) start(c container, req abi.CreateRequest) error {
	err := e.upload(c.ID, req)
	if err == nil {
		err = e.call("POST", "/containers/"+c.ID+"/start", nil, nil, nil)
	}
	switch {
	case err == nil:
		return nil
	case c.HostConfig.Privileged && e.refusesPrivileged(err), missingNetwork(err):
		return e.removeContainer(c.ID)
	case driver.Is(err, abi.NotFound) && saying(err, "no such container"):
		return nil
	case c.HostConfig.Privileged && saying(err, privilegedWords...):
		err = driver.About("this engine cannot run privileged containers; set "+optPrivileged+" to auto", err)
	}
	return driver.About("start the container "+req.Name, err)
}

// privilegedWords are in what engines say that cannot run a privileged container: runc where the host lacks a capability, the engine
// with user namespaces.
var privilegedWords = []string{"apply caps", "capabilit", "operation not permitted", "privileged mode is incompatible"}

// refusesPrivileged tells whether err says so and docker-privileged leaves another way, which it then remembers.
func (e engine) refusesPrivileged(err error) bool {
	if e.privileged != "auto" || !saying(err, privilegedWords...) {
		return false
	}
	if _, known := unprivileged.Swap(e.host, true); !known {
		host.Log(host.LevelInfo, "the engine cannot run privileged containers; machines get the capabilities they need one by one",
			map[string]string{"engine": e.host})
	}
	return true
}

func (e engine) knownUnprivileged() bool {
	_, known := unprivileged.Load(e.host)
	return known
}

// ensureVolume makes the machine's volume. One of that name that is not ours is a conflict: it would be removed with the machine.
func (e engine) ensureVolume(req abi.CreateRequest) error {
	name := volumeName(req.Name)
	var volume struct{ Labels map[string]string }
	err := e.call("POST", "/volumes/create", nil, map[string]any{"Name": name, "Labels": ownLabels(req.Owner, req.Name)}, &volume)
	if err != nil {
		return driver.About("make the volume "+name, err)
	}
	if volume.Labels[labelOwner] != req.Owner.ID || volume.Labels[labelMachine] != req.Name {
		return &abi.Error{Kind: abi.Conflict, Message: "there is a volume " + name + " that this agent did not make; remove it"}
	}
	return nil
}
