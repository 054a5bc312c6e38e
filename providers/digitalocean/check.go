package main

import (
	"net/url"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

const (
	maySee     = "droplet:read"
	maySeeTags = "tag:read"
	maySeeKeys = "ssh_key:read"
)

// needs are the scopes of the token on the driver's page.
var needs = driver.Needs{
	Todo: "give the token the scope NAME, or all rights",
	List: []driver.Need{
		{Name: maySee, Purpose: "find the machines", Without: "nothing is known of machines: none counts as gone, none is made"},
		{Name: maySeeTags, Purpose: "find the machines by their tag", Without: "nothing is known of machines: none counts as gone, none is made"},
		{Name: "tag:create", Purpose: "tag machines with their owner"},
		{Name: "droplet:create", Purpose: "make machines"},
		{Name: "droplet:delete", Purpose: "remove machines", Without: "machines are made and can't be removed: they cost until somebody does it by hand"},
		{Name: maySeeKeys, Purpose: "find keys of machines that were made half", Without: "these are not found; everything else works"},
		{Name: "ssh_key:create", Purpose: "give each machine a key", Fix: "give the token the scope, or give a key of yours: " + optFingerprint},
		{Name: "ssh_key:delete", Purpose: "remove a machine's key", Without: "keys of machines stay in the account"},
	},
}

// untold is why most scopes are not known.
const untold = "DigitalOcean tells a token's scopes nowhere, and refuses only what is tried"

// Check reads what the driver reads. DigitalOcean has neither dry runs nor a call that tells the token's scopes, so those to make and to remove are unknown.
func (digitalocean) Check(req abi.CheckRequest) ([]abi.Permission, error) {
	a := api(req.Options)
	look := func(query url.Values) error {
		query.Set("page", "1")
		query.Set("per_page", "1")
		var p dropletPage
		_, err := a.Call("GET", "/v2/droplets", query, nil, &p)
		return err
	}
	all := look(url.Values{})
	if all != nil && (!driver.Is(all, abi.Auth) || rest.RefusedAltogether(all)) {
		return nil, driver.About("list the droplets", all)
	}
	var found []abi.Permission
	for _, name := range needs.Names() {
		switch name {
		case maySee:
			found = append(found, needs.After(name, all))
		case maySeeTags:
			if all != nil {
				found = append(found, needs.Is(name, abi.PermissionUnknown, "it can be told when "+maySee+" is granted"))
				continue
			}
			found = append(found, needs.After(name, look(url.Values{"tag_name": {tagOwner + req.Owner.ID}})))
		case maySeeKeys:
			found = append(found, needs.After(name, eachKey(a, func(sshKey) bool { return false })))
		default:
			if own := name == "ssh_key:create" || name == "ssh_key:delete"; !own || req.Options.Get(optFingerprint) == "" {
				found = append(found, needs.Is(name, abi.PermissionUnknown, untold))
			}
		}
	}
	return found, nil
}
