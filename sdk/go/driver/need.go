package driver

import (
	"errors"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Need is one permission that a driver needs. A table of them is the one place where a driver says what it must be allowed: Check tries them, the
// driver's page tells them, and a test holds both to the calls that the driver makes.
type Need struct {
	Name    string // as the provider names it
	Purpose string // what it is for, one line
	Without string // what follows where it is missing; "" is that no machine is made
	Fix     string // what to do; "" is what the table's Todo says
}

// Needs is a driver's table.
type Needs struct {
	List []Need
	Todo string // what to do where a permission is missing, with its name for NAME
}

// Names are those of all permissions, in the order of the table.
func (n Needs) Names() []string {
	names := make([]string, 0, len(n.List))
	for _, need := range n.List {
		names = append(names, need.Name)
	}
	return names
}

// Is is what Check returns of a permission of the table. message is why it is not granted, in the provider's words.
func (n Needs) Is(name string, result abi.PermissionResult, message string) abi.Permission {
	p := abi.Permission{Name: name, Result: result}
	for _, need := range n.List {
		if need.Name == name {
			p.Purpose, p.Without, p.Fix = need.Purpose, need.Without, need.Fix
		}
	}
	if result == abi.PermissionGranted {
		p.Without, p.Fix = "", ""
		return p
	}
	p.Message = message
	if p.Without == "" {
		p.Without = "no machine is made"
	}
	if p.Fix == "" && result == abi.PermissionDenied {
		p.Fix = strings.Replace(n.Todo, "NAME", name, 1)
	}
	return p
}

// After is what a call that needs the permission tells of it: that it is granted, when the call succeeded or failed for want of what was asked for
// alone; that it is denied, when the error is of the kind auth; else nothing.
func (n Needs) After(name string, err error) abi.Permission {
	var e *abi.Error
	switch {
	case err == nil || Is(err, abi.NotFound):
		return n.Is(name, abi.PermissionGranted, "")
	case errors.As(err, &e) && e.Kind == abi.Auth:
		return n.Is(name, abi.PermissionDenied, e.Message)
	case e != nil:
		return n.Is(name, abi.PermissionUnknown, e.Message)
	}
	return n.Is(name, abi.PermissionUnknown, err.Error())
}
