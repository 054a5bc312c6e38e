package main

import (
	"strconv"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// lowPause is for how many seconds creations pause when the rate limit is nearly used up.
const lowPause = 60

// keyTries is how often a droplet is asked for whose key DigitalOcean does not know yet, though it has just answered with its number.
const keyTries = 4

type dropletAnswer struct {
	Droplet droplet `json:"droplet"`
}

// Whole implements rest.Answer.
func (d *dropletAnswer) Whole() bool { return d.Droplet.ID != 0 }

// Create adds the machine's SSH key, asks for the droplet and looks whether it is the only one: three calls.
//
// Droplets may share a name, and there is nothing by which DigitalOcean knows a request again. So a key that is there already tells that this is not the
// first try, and the droplet is looked for; and of two that crossed each other, which a look afterwards shows, the older stays.
func (digitalocean) Create(req abi.CreateRequest) (abi.Instance, error) {
	r := &settings.Reader{Options: req.Options}
	m := read(r)
	if err := r.Err(); err != nil {
		return abi.Instance{}, err
	}
	if !nameLike.MatchString(req.Name) {
		return abi.Instance{}, &abi.Error{Kind: abi.Invalid, Message: "the machine name " + strconv.Quote(settings.Short(req.Name)) +
			" is not allowed; DigitalOcean takes letters, digits, hyphens and dots, 63 at most: change MachineName"}
	}
	a := api(req.Options)
	var own int64 // the number of the machine's key, 0 where it is not ours to remove
	fresh := false
	if m.fingerprint == "" {
		key, first, budget, err := makeKey(a, req)
		if err != nil {
			return abi.Instance{}, err
		}
		if fresh = first; fresh || key.Name == keyName(req.Owner.ID, req.Name) {
			own = key.ID
		}
		m.fingerprint = strconv.FormatInt(key.ID, 10)
		if fresh && budget.Low() {
			_ = removeKey(a, own, "") // the machine's removal finds it
			return abi.Instance{}, budget.Exhausted(lowPause)
		}
	}
	if !fresh {
		if found, err := existing(a, req); err != nil || found.ID != 0 {
			return shown(found, own), err
		}
	}
	d, err := m.ask(a, req, own)
	if own != 0 && driver.Is(err, abi.Quota, abi.Capacity, abi.Invalid, abi.Auth, abi.Conflict) { // for certain there is no droplet
		_ = removeKey(a, own, "") // as above
	}
	if err != nil {
		return abi.Instance{}, err
	}
	return settle(a, req, d, own)
}

// settle looks whether another creation of the machine crossed this one. The older droplet is the machine.
func settle(a rest.API, req abi.CreateRequest, made droplet, own int64) (abi.Instance, error) {
	first, err := existing(a, req)
	if err != nil || first.ID == 0 || first.ID == made.ID {
		return shown(made, own), nil // it is made; that it is the only one is no more than likely, and a removal finds all
	}
	if err := removeDroplet(a, made.ID); err != nil {
		return abi.Instance{}, driver.About("remove the second droplet "+req.Name, err)
	}
	return shown(first, own), nil
}

// ask asks for the droplet.
func (m machine) ask(a rest.API, req abi.CreateRequest, own int64) (droplet, error) {
	body := m.body(req)
	for try := 1; ; try++ {
		var got dropletAnswer
		_, err := a.Call("POST", "/v2/droplets", nil, body, &got)
		switch {
		case err == nil:
			return got.Droplet, nil
		case own != 0 && says(err, wordsNoKey) && try < keyTries:
			continue
		case own != 0 && says(err, wordsNoKey):
			return droplet{}, &abi.Error{Kind: abi.Conflict, Message: "create " + req.Name + ": DigitalOcean does not know the machine's SSH key yet"}
		case driver.Is(err, abi.NotFound):
			e := *err.(*abi.Error)
			e.Kind, e.Message = abi.Invalid, e.Message+"; "+todoMade
			err = &e
		}
		return droplet{}, driver.About("create "+req.Name, err)
	}
}

// existing returns the oldest droplet of the machine, one without a number when there is none. Droplets of others may have the same name.
func existing(a rest.API, req abi.CreateRequest) (found droplet, err error) {
	all, complete, err := owned(a, req.Owner.ID)
	if err != nil {
		return found, driver.About("look for "+req.Name, err)
	}
	for _, d := range all {
		if d.ours(req.Owner.ID, req.Name) && (found.ID == 0 || d.ID < found.ID) {
			found = d
		}
	}
	if found.ID == 0 && !complete {
		return found, &abi.Error{Kind: abi.Transient, Message: "look for " + req.Name + ": a part of the list is missing, so it may be there"}
	}
	return found, nil
}

// shown is the instance of a droplet with what the host keeps of it; none for none.
func shown(d droplet, key int64) abi.Instance {
	if d.ID == 0 {
		return abi.Instance{}
	}
	i := d.instance()
	i.State = stateOf(key)
	return i
}
