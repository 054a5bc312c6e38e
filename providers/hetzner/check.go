package main

import (
	"net/url"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// The two rights of Hetzner's tokens.
const (
	mayRead  = "Read"
	mayWrite = "Read & Write"
)

// needs are the rights of a token, of which each is the whole project's.
var needs = driver.Needs{List: []driver.Need{
	{Name: mayRead, Purpose: "find the machines", Without: "nothing is known of machines: none counts as gone, none is made", Fix: "make a token of the project with the right " + mayWrite},
	{Name: mayWrite, Purpose: "make and remove machines", Without: "machines are listed, and none is made or removed", Fix: "see in Hetzner's console which right the token has"},
}}

// Check reads what the driver reads. Hetzner tells of a token without the right to write only when it refuses to, so that one is unknown.
func (hetzner) Check(req abi.CheckRequest) ([]abi.Permission, error) {
	_, _, err := pages[server](api(req.Options), "servers", url.Values{"label_selector": {labelOwner + "=" + req.Owner.ID}})
	if err != nil && (!driver.Is(err, abi.Auth) || rest.RefusedAltogether(err)) {
		return nil, driver.About("list the servers", err)
	}
	write := needs.Is(mayWrite, abi.PermissionUnknown, "Hetzner tells of a token without it only when it refuses a change")
	return []abi.Permission{needs.After(mayRead, err), write}, nil
}
