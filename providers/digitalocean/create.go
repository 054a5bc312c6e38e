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

// Create adds the machine's SSH key and asks for the droplet: two calls.
//
// Droplets may share a name, so the key, of which there can be one only, stands for the right to make the machine: whoever adds it asks for the
// droplet. Whoever finds it there looks for the droplet, and if there is none takes the key away before adding it anew, so that a request that
// is still on its way is refused.
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
	if m.fingerprint != "" {
		return m.withoutKey(a, req)
	}
	key, fresh, budget, err := makeKey(a, req)
	if err != nil {
		return abi.Instance{}, err
	}
	if !fresh {
		if key.Name != keyName(req.Owner.ID, req.Name) {
			m.fingerprint = strconv.FormatInt(key.ID, 10) // somebody else's, who may keep it
			return m.withoutKey(a, req)
		}
		found, err := existing(a, req)
		if err != nil || found.ID != 0 {
			return m.shown(found, key.ID), err
		}
		if key, err = renewKey(a, req, key); err != nil {
			return abi.Instance{}, err
		}
	}
	if budget.Low() {
		_ = removeKey(a, key.ID, "") // the call that failed is not worth another error; the next creation finds the key
		return abi.Instance{}, budget.Exhausted(lowPause)
	}
	d, err := m.ask(a, req, key.ID)
	if driver.Is(err, abi.Quota, abi.Capacity, abi.Invalid, abi.Auth, abi.Conflict) { // for certain there is no droplet
		_ = removeKey(a, key.ID, "") // as above
	}
	return m.shown(d, key.ID), err
}

// renewKey takes the key of a creation that came to nothing away and adds it again. Of several that do so one gets it.
func renewKey(a rest.API, req abi.CreateRequest, old sshKey) (sshKey, error) {
	racing := &abi.Error{Kind: abi.Conflict, Message: "create " + req.Name + ": another creation of this machine is under way"}
	_, err := a.Call("DELETE", pathKeys+"/"+strconv.FormatInt(old.ID, 10), nil, nil, nil)
	if driver.Is(err, abi.NotFound) {
		return sshKey{}, racing
	}
	if err != nil {
		return sshKey{}, driver.About("remove the SSH key of "+req.Name, err)
	}
	if found, err := existing(a, req); err != nil || found.ID != 0 { // its request came before ours
		if err == nil {
			err = racing
		}
		return sshKey{}, err
	}
	key, fresh, _, err := makeKey(a, req)
	if err == nil && !fresh {
		err = racing
	}
	return key, err
}

// withoutKey makes a droplet with a key that is not the machine's: it looks before and after. Of two that crossed each other the older stays.
func (m machine) withoutKey(a rest.API, req abi.CreateRequest) (abi.Instance, error) {
	found, err := existing(a, req)
	if err != nil || found.ID != 0 {
		return m.shown(found, 0), err
	}
	made, err := m.ask(a, req, 0)
	if err != nil {
		return abi.Instance{}, err
	}
	first, err := existing(a, req)
	if err != nil || first.ID == 0 || first.ID == made.ID {
		return m.shown(made, 0), nil // it is made; that nobody else did is no more than likely
	}
	if err := removeDroplet(a, made.ID); err != nil {
		return abi.Instance{}, driver.About("remove the second droplet "+req.Name, err)
	}
	return m.shown(first, 0), nil
}

// ask asks for the droplet.
func (m machine) ask(a rest.API, req abi.CreateRequest, key int64) (droplet, error) {
	body := m.body(req, key)
	for try := 1; ; try++ {
		var got dropletAnswer
		_, err := a.Call("POST", "/v2/droplets", nil, body, &got)
		switch {
		case err == nil:
			return got.Droplet, nil
		case key != 0 && says(err, wordsNoKey) && try < keyTries:
			continue
		case key != 0 && says(err, wordsNoKey):
			return droplet{}, &abi.Error{Kind: abi.Conflict, Message: "create " + req.Name + ": DigitalOcean does not know its SSH key yet, or another creation took it away"}
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
func (m machine) shown(d droplet, key int64) abi.Instance {
	if d.ID == 0 {
		return abi.Instance{}
	}
	i := d.instance()
	i.State = stateOf(key)
	return i
}
