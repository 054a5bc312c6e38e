package main

import (
	"time"

	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// visible is how long a new instance may be missing from what the API shows. It is seconds as a rule.
// Source: EC2 Developer Guide, "Eventual consistency".
const visible = 10 * time.Minute

// Remove terminates the instance, and its volume with it, and deletes the key pair that was made for it. What does not bear the owner's tag is
// never touched, whatever its name.
func (amazonec2) Remove(req abi.RemoveRequest) error {
	p, err := reachable(req.Options)
	if err != nil {
		return err
	}
	if !nameLike.MatchString(req.Name) {
		return nil // there can be none of that name
	}
	found, err := p.machine(req.Owner.ID, req.Name)
	if err != nil {
		return driver.About("look at "+req.Name, err)
	}
	keyID := ""
	for _, v := range found {
		if v.status() == abi.StatusGone {
			continue
		}
		if err := p.terminate(v); err != nil {
			return driver.About("remove "+req.Name, err)
		}
		keyID = opts.Or(v.tags[tagKeyPair], keyID)
	}
	if keyID != "" {
		err = p.deleteKey(keyID)
	} else {
		err = p.deleteKeys(req.Owner.ID, req.Name)
	}
	if err != nil {
		return driver.About("remove the key pair of "+req.Name, err)
	}
	if len(found) == 0 {
		return p.unseen(req)
	}
	return nil
}

// terminate ends an instance that was just seen: that it is not found then says that the API is not of one mind.
func (p place) terminate(v vm) error {
	if v.spot != "" {
		f := newForm()
		f.list("SpotInstanceRequestId", v.spot)
		if _, err := p.call("CancelSpotInstanceRequests", f); err != nil { // it closes with the instance, being for one alone
			host.Log(host.LevelDebug, "a spot request was not cancelled", map[string]string{"request": v.spot, "error": err.Error()})
		}
	}
	f := newForm()
	f.list("InstanceId", v.id)
	_, err := p.call("TerminateInstances", f)
	if driver.Is(err, abi.NotFound) {
		e := *err.(*abi.Error)
		e.Kind = abi.Transient
		return &e
	}
	return err
}

// deleteKey deletes a key pair by its id. One that is gone is no error.
func (p place) deleteKey(id string) error {
	f := newForm()
	f.put("KeyPairId", id)
	_, err := p.call("DeleteKeyPair", f)
	if driver.Is(err, abi.NotFound) {
		return nil
	}
	return err
}

// deleteKeys deletes what a machine left of which nothing else is there.
func (p place) deleteKeys(owner, name string) error {
	found, err := p.keyPairs(func(f form) {
		f.filter("key-name", name)
		f.filter("tag:"+tagOwner, owner)
	})
	if err != nil {
		return err
	}
	for _, k := range found {
		if k.name != name || k.tags[tagOwner] != owner {
			continue
		}
		if err := p.deleteKey(k.id); err != nil {
			return err
		}
	}
	return nil
}

// unseen is called when the API shows no instance. One that was launched just now is there all the same.
func (p place) unseen(req abi.RemoveRequest) error {
	launched, ok := launchedAt(req.State)
	if !ok || len(req.ID) < 2 || req.ID[:2] != "i-" {
		return nil
	}
	f := newForm()
	f.filter("instance-id", req.ID)
	a, err := p.call("DescribeInstances", f)
	if err != nil {
		return driver.About("look at "+req.ID, err)
	}
	now, err := time.Parse(time.RFC1123, a.date)
	if err != nil || now.Sub(launched) > visible {
		return nil
	}
	return &abi.Error{Kind: abi.Transient, Message: "remove " + req.Name + ": " + req.ID + " was launched just now and is not seen yet"}
}
