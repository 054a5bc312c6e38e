package main

import (
	"maps"
	"net/url"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// maxPages bounds a list: a provider that always names a next page must not keep the call going until its deadline.
const maxPages = 1000

// Create asks for a machine and returns at once; it boots meanwhile. The provider takes a name only once, so that a creation whose answer
// was lost and that is asked for again finds the machine that there is.
func (cloud) Create(req abi.CreateRequest) (abi.Instance, error) {
	if err := usable(req.Options); err != nil {
		return abi.Instance{}, err
	}
	tags := maps.Clone(req.Labels)
	if tags == nil {
		tags = map[string]string{}
	}
	tags[tagOwner], tags[tagRunner] = req.Owner.ID, req.Owner.Runner
	wish := map[string]any{
		"name": req.Name, "zone": req.Options.Get(optZone), "type": req.Options.Get(optType), "spot": req.Options.Bool(optSpot), "tags": tags,
		"user_data": map[string]string{
			"ssh_user": req.Bootstrap.SSHUser, "authorized_key": req.Bootstrap.AuthorizedKey, "host_key_private": req.Bootstrap.HostKeyPrivate,
		},
	}
	if req.ExpiresAt != "" {
		wish["expires_at"] = req.ExpiresAt // then the provider ends it, whatever becomes of us
	}
	var made instance
	err := call(req.Options, "POST", "/v1/instances", wish, &made)
	if is(err, abi.Conflict) {
		made, err = get(req.Options, req.Owner, req.Name)
		switch {
		case is(err, abi.NotFound):
			err = &abi.Error{Kind: abi.Transient, Message: "the name " + req.Name + " was taken a moment ago, and is free now"}
		case err == nil && made.Status == "deleting":
			err = &abi.Error{Kind: abi.Conflict, Message: "the machine " + req.Name + " is still being deleted"}
		}
	}
	if err != nil {
		return abi.Instance{}, err
	}
	return made.host(), nil
}

// get returns the owner's machine of that name. One that is another owner's is a conflict.
func get(o abi.Options, owner abi.Owner, name string) (instance, error) {
	var found instance
	if err := call(o, "GET", "/v1/instances/"+url.PathEscape(name), nil, &found); err != nil {
		return instance{}, err
	}
	if found.Tags[tagOwner] != owner.ID {
		return instance{}, &abi.Error{Kind: abi.Conflict, Message: "the name " + name + " is taken by a machine that this agent did not make"}
	}
	return found, nil
}

// List returns every machine that bears the owner's tag, or any owner's, page by page. When a page after the first fails, or a zone does not answer, what
// there is so far is returned and is not complete: nothing that is missing from it is gone.
func (cloud) List(req abi.ListRequest) (abi.ListResult, error) {
	result := abi.ListResult{Complete: true}
	tag := tagOwner + ":" + req.Owner.ID
	if req.AllOwners {
		tag = tagOwner
	}
	query := url.Values{"tag": {tag}}
	for n := 0; ; n++ {
		var page struct {
			Instances   []instance `json:"instances"`
			Next        string     `json:"next"`
			Unreachable []string   `json:"unreachable"`
		}
		err := call(req.Options, "GET", "/v1/instances?"+query.Encode(), nil, &page)
		if err != nil && n == 0 {
			return abi.ListResult{}, err
		}
		if err != nil || n == maxPages || len(page.Unreachable) > 0 {
			result.Complete = false
		}
		for _, i := range page.Instances {
			shown := i.host()
			if req.AllOwners {
				shown.Owner = i.Tags[tagOwner]
			}
			result.Instances = append(result.Instances, shown)
		}
		if err != nil || page.Next == "" || n == maxPages {
			return result, nil
		}
		query.Set("page", page.Next)
	}
}

// Remove deletes the owner's machine. One that is gone, or another owner's, is no error. The id keeps a machine of the same name that
// somebody makes in between from being hit.
func (cloud) Remove(req abi.RemoveRequest) error {
	found, err := get(req.Options, req.Owner, req.Name)
	if is(err, abi.NotFound) || is(err, abi.Conflict) {
		return nil
	}
	if err != nil {
		return err
	}
	err = call(req.Options, "DELETE", "/v1/instances/"+url.PathEscape(req.Name)+"?id="+url.QueryEscape(found.ID), nil, nil)
	if is(err, abi.NotFound) {
		return nil
	}
	return err
}
