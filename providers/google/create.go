package main

import (
	"net/netip"
	"net/url"
	"strconv"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// insertTries bounds how many request ids are used for one machine. The cloud answers a request id that it has had for some time with the
// operation of then, also when its machine failed or is gone; then the next one is used.
const insertTries = 3

// longestName leaves room for what the boot disk's name adds.
const longestName = 63 - len(diskSuffix)

// Create asks for the machine and returns. What becomes of it, a stock-out too, a list tells.
func (google) Create(req abi.CreateRequest) (abi.Instance, error) {
	s, err := usable(req.Options)
	if err != nil {
		return abi.Instance{}, err
	}
	if len(req.Name) > longestName || !gce.NameLike.MatchString(req.Name) {
		return abi.Instance{}, &abi.Error{Kind: abi.Invalid, Message: "the machine name " + strconv.Quote(opts.Short(req.Name)) +
			" is not allowed; Compute Engine takes lower-case letters, digits and hyphens, here " + strconv.Itoa(longestName) + " at most: shorten MachineName"}
	}
	if s.firewall {
		if err := s.ensureFirewall(); err != nil {
			return abi.Instance{}, err
		}
	}
	if err := s.resolveAddress(); err != nil {
		return abi.Instance{}, err
	}
	if s.bulk.on {
		return s.insertBulk(req)
	}
	return s.insert(req)
}

// insert asks for the VM until there is one, or a reason why there is none.
func (s settings) insert(req abi.CreateRequest) (abi.Instance, error) {
	body := s.body(req)
	var failed error
	for try := range insertTries {
		query := url.Values{"requestId": {insertID(req.Owner.ID, req.Name, try)}}
		op, err := s.Change("POST", s.inZone("instances"), query, body)
		switch {
		case driver.Is(err, abi.Conflict) && op.Name == "":
			there, missing := s.existing(req)
			if driver.Is(missing, abi.NotFound) { // its disk is: one that is being deleted, or somebody's
				missing = driver.About("create "+req.Name, err)
			}
			return there, missing
		case err != nil && op.Name == "":
			return abi.Instance{}, driver.About("create "+req.Name, missing(err))
		case op.Status != "DONE":
			return s.asked(req.Name, op), nil
		case err != nil:
			failed = driver.About("create "+req.Name, err)
			continue
		}
		if i, err := s.existing(req); !driver.Is(err, abi.NotFound) {
			return i, err
		}
		failed = &abi.Error{Kind: abi.Transient, Message: "create " + req.Name + ": it is said to be there, and is not"}
	}
	return abi.Instance{}, failed
}

// insertID is the request id of a machine's creation, by which a list knows its operation again.
func insertID(owner, name string, try int) string {
	return gce.RequestID("insert", owner, name, strconv.Itoa(try))
}

// asked is a machine that was asked for.
func (s settings) asked(name string, op gce.Operation) abi.Instance {
	return abi.Instance{
		Name: name, ID: op.TargetID, Status: abi.StatusCreating, SSHUser: s.user, CreatedAt: gce.Seconds(op.InsertTime), State: stateOf(s.zone),
	}
}

// existing returns the machine that there is, an error of the kind conflict when it is not ours.
func (s settings) existing(req abi.CreateRequest) (abi.Instance, error) {
	found, err := s.get(req.Name)
	switch {
	case err != nil:
		return abi.Instance{}, driver.About("look at "+req.Name, err)
	case found.Labels[labelOwner] != req.Owner.ID:
		return abi.Instance{}, &abi.Error{Kind: abi.Conflict, Message: "there is an instance " + req.Name + " in " + s.zone +
			" that this agent did not make; remove or rename it"}
	}
	return found.instance(), nil
}

// missing makes of a creation's 404 what it is: something that the options name is not there.
func missing(err error) error {
	if !driver.Is(err, abi.NotFound) {
		return err
	}
	e := *err.(*abi.Error)
	e.Kind = abi.Invalid
	e.Message += "; " + texts.Missing
	return &e
}

// resolveAddress replaces the name of a reserved address by the address.
func (s *settings) resolveAddress() error {
	if s.address == "" || !s.external {
		return nil
	}
	if _, err := netip.ParseAddr(s.address); err == nil {
		return nil
	}
	var found struct {
		gce.Kinded
		Address string `json:"address"`
	}
	path := s.In("regions", s.region(), "addresses", s.address)
	if err := s.Call("GET", path, url.Values{"fields": {"kind,address"}}, nil, "compute#address", &found); err != nil {
		return driver.About(optAddress+" "+s.address, missing(err))
	}
	s.address = found.Address
	return nil
}
