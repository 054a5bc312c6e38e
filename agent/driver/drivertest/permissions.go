package drivertest

import (
	"errors"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const noCheck = "the driver can't tell what it is allowed"

func checkers(s Subject) string {
	if _, ok := s.Driver.(driver.Checker); !ok {
		return noCheck
	}
	return ""
}

// allowed asks the driver what it is allowed with the options of create. Nothing may come of that.
func allowed(b *bench) {
	found, err := b.Driver.(driver.Checker).Check(b.t.Context(), abi.CheckRequest{ABI: abi.Version, Owner: b.owner, Options: b.listing(b.owner).Options})
	switch {
	case errors.Is(err, driver.ErrNoCheck):
		b.without(b.Checks, noCheck)
		return
	case err != nil:
		b.t.Fatalf("check: %v", err)
	}
	named := map[string]bool{}
	for _, p := range found {
		switch {
		case p.Name == "" || p.Purpose == "" || named[p.Name]:
			b.t.Errorf("check tells of %+v; each permission has its name, once, and says what it is for", p)
		case p.Result == abi.PermissionDenied && (p.Without == "" || p.Fix == ""):
			b.t.Errorf("check tells of %+v; one that is denied says what follows and what to do", p)
		case p.Result == abi.PermissionUnknown && p.Message == "":
			b.t.Errorf("check tells of %+v; one that is not known says why", p)
		}
		named[p.Name] = true
	}
	if made := b.list(b.owner); len(made) > 0 {
		b.t.Errorf("check made %v", made)
	}
}
