package main

import (
	"regexp"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// nameLike is a name that is a computer's too; it must not be a number.
var nameLike = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

var numberLike = regexp.MustCompile(`^[0-9]+$`)

// Create asks for the machine and returns. What becomes of it, an allocation that fails too, a list tells.
//
// Disk, interface and address are parts of the machine's own request: the cloud makes and removes them with it, in the order that they need.
func (azure) Create(req abi.CreateRequest) (abi.Instance, error) {
	w, err := usable(req.Options)
	if err != nil {
		return abi.Instance{}, err
	}
	if !nameLike.MatchString(req.Name) || numberLike.MatchString(req.Name) {
		return abi.Instance{}, &abi.Error{Kind: abi.Invalid, Message: "the machine name " + quote(req.Name) +
			" is not allowed; Azure takes letters, digits and hyphens, 63 at most, and more than digits: change MachineName"}
	}
	there, err := w.existing(req)
	switch code := codeOf(err); {
	case code == codeGroupMissing:
		if err := w.shareGroup(w.group); err != nil {
			return abi.Instance{}, err
		}
	case !driver.Is(err, abi.NotFound):
		return there, err
	}
	if err := w.shareOnce(); err != nil {
		return abi.Instance{}, err
	}
	return w.make(req)
}

// make asks for the VM. When something that machines share has gone meanwhile it is made again.
func (w wishes) make(req abi.CreateRequest) (abi.Instance, error) {
	for again := false; ; again = true {
		made, err := w.ask(req)
		switch {
		case err == nil:
			return made.asked(), nil
		case driver.Is(err, abi.Conflict) && codeOf(err) == codeExists:
			return w.existing(req)
		case again || !lacking(err):
			return abi.Instance{}, driver.About("create "+req.Name, asInvalid(err))
		}
		if err := w.share(); err != nil {
			return abi.Instance{}, driver.About("create "+req.Name, err)
		}
	}
}

// codeExists is that of a resource that was to be new.
const codeExists = "PreconditionFailed"

// ask sends the request for the VM, which the cloud carries out only where there is none of its name.
func (w wishes) ask(req abi.CreateRequest) (vm, error) {
	nic := ""
	if w.privateIP != "" {
		var err error
		if nic, err = w.fixedNIC(req); err != nil {
			return vm{}, err
		}
	}
	var made vm
	_, err := w.call(request{
		method: "PUT", path: w.compute("virtualMachines", req.Name), version: versionCompute, body: w.body(req, nic), headers: map[string]string{"If-None-Match": "*"},
	}, &made)
	return made, err
}

// fixedNIC makes an interface with the private address that the operator wants, which can't be made with the machine, and its public address.
func (w wishes) fixedNIC(req abi.CreateRequest) (string, error) {
	nic := w.nic(req)
	nic.Location = w.location
	address := &nic.Properties.IPs[0].Properties
	address.PrivateMethod, address.PrivateIP = "Static", w.privateIP
	if w.public {
		ip := w.ip(req)
		ip.Location = w.location
		if w.zone != "" {
			ip.Zones = []string{w.zone}
		}
		id := w.network(w.group, "publicIPAddresses", req.Name+ipSuffix)
		if err := w.own(req, "its public address", id, ip); err != nil {
			return "", err
		}
		address.Public = &reference{id}
	}
	id := w.network(w.group, "networkInterfaces", req.Name+nicSuffix)
	return id, w.own(req, "its network interface", id, nic)
}

// own makes a resource of the machine's, unless there is one that is the machine's already.
func (w wishes) own(req abi.CreateRequest, what, id string, body any) error {
	var found resource
	missing, err := w.lacks(id, versionNetwork, &found)
	if missing {
		err = w.put("it", id, versionNetwork, body)
	}
	switch {
	case err != nil:
		return driver.About(what, err)
	case missing:
		return nil
	case found.Tags[tagOwner] != req.Owner.ID || found.Tags[tagMachine] != req.Name:
		return &abi.Error{Kind: abi.Conflict, Message: what + ": there is a " + found.Name + " that this agent did not make; remove or rename it"}
	}
	return nil
}

// existing returns the machine that there is, an error of the kind conflict when it is not ours.
func (w wishes) existing(req abi.CreateRequest) (abi.Instance, error) {
	found, err := w.machine(req.Name)
	switch {
	case err != nil:
		return abi.Instance{}, driver.About("look at "+req.Name, err)
	case found.Tags[tagOwner] != req.Owner.ID:
		return abi.Instance{}, &abi.Error{Kind: abi.Conflict, Message: "there is a virtual machine " + req.Name + " in the resource group " + w.group +
			" that this agent did not make; remove or rename it"}
	case found.Properties.ProvisioningState == "Deleting":
		return abi.Instance{}, &abi.Error{Kind: abi.Conflict, Message: "the virtual machine " + req.Name + " is being deleted; it can be made anew when it is gone"}
	}
	return found.instance(powersOf(found)), nil
}

// machine returns a VM with its instance view.
func (p place) machine(name string) (vm, error) {
	var v vm
	_, err := p.call(request{method: "GET", path: p.compute("virtualMachines", name), version: versionCompute, query: map[string][]string{"$expand": {"instanceView"}}}, &v)
	return v, err
}

// lacking tells whether something that a request names is not there.
func lacking(err error) bool {
	code := strings.ToLower(codeOf(err))
	return driver.Is(err, abi.NotFound) || strings.HasSuffix(code, "notfound") || code == "invalidresourcereference"
}

// asInvalid makes of a creation's 404 what it is: something that the options name is not there.
func asInvalid(err error) error {
	e, ok := err.(*abi.Error)
	if !ok || e.Kind != abi.NotFound {
		return err
	}
	with := *e
	with.Kind = abi.Invalid
	with.Message += "; " + todoThere
	return &with
}

func codeOf(err error) string {
	if e, ok := err.(*abi.Error); ok {
		return e.Code
	}
	return ""
}
