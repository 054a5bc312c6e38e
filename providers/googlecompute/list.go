package main

import (
	"net/url"
	"sync"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// maxPages bounds a list in pages of 500.
const maxPages = 20

// member is what the API tells of a VM of the group. Source: Compute Engine API v1, "ManagedInstance".
type member struct {
	Name     string `json:"name"`
	Instance string `json:"instance"` // URL, also before it is there
	ID       string `json:"id"`
	Status   string `json:"instanceStatus"` // absent before it is there
	Action   string `json:"currentAction"`
	Attempt  struct {
		Errors gce.Problems `json:"errors"`
	} `json:"lastAttempt"`
}

const memberFields = "nextPageToken,managedInstances(name,instance,id,instanceStatus,currentAction,lastAttempt/errors/errors(code,message))"

// page is one page of a list. It has no kind; what tells it from an answer that is not Google's is that it has members, each with a name.
type page struct {
	Kind    string   `json:"kind"`
	Members []member `json:"managedInstances"`
	Next    string   `json:"nextPageToken"`
}

// Whole implements rest.Answer.
func (p *page) Whole() bool {
	for _, m := range p.Members {
		if m.Name == "" || m.Action == "" {
			return false
		}
	}
	return p.Kind == ""
}

// members returns the VMs of the group, also those that it is to make. A list is complete when it has all pages; an empty one when the group itself
// says that it has none.
func (g group) members() (all []member, complete bool, err error) {
	all, complete, err = g.pages()
	if err != nil || !complete || len(all) > 0 {
		return all, complete, err
	}
	if none, err := g.empty(); none || err != nil {
		return nil, none, err
	}
	all, complete, err = g.pages() // it has begun to grow meanwhile, or we are told what is not so
	return all, complete && len(all) > 0, err
}

// pages reads the list once.
func (g group) pages() (all []member, complete bool, err error) {
	query := url.Values{"maxResults": {"500"}, "fields": {memberFields}}
	for range maxPages {
		var p page
		if err := g.Ask("POST", g.at("listManagedInstances"), query, nil, &p); err != nil {
			return nil, false, driver.About("list the group "+g.name, err)
		}
		all = append(all, p.Members...)
		if p.Next == "" {
			return all, true, nil
		}
		query.Set("pageToken", p.Next)
	}
	return all, false, nil
}

// empty tells whether the group itself says that it has no VM. A list without any has nothing by which it could be told from what a proxy made up.
func (g group) empty() (bool, error) {
	m, err := g.manager()
	if err != nil {
		return false, err
	}
	for _, n := range m.CurrentActions {
		if n > 0 {
			return false, nil
		}
	}
	return true, nil
}

// List returns the VMs of the group by their names.
func (googlecompute) List(req abi.ListRequest) (abi.ListResult, error) {
	g, err := usable(req.Options)
	if err != nil {
		return abi.ListResult{}, err
	}
	all, complete, err := g.members()
	if err != nil {
		return abi.ListResult{}, err
	}
	g.tell(all)
	res := abi.ListResult{Complete: complete}
	for _, m := range all {
		res.Instances = append(res.Instances, g.instance(m))
	}
	return res, nil
}

// told is what was logged last of each group, so that a shortage is not told at each list.
var told sync.Map

// tell logs why Google does not make what it granted, when that changes.
func (g group) tell(all []member) {
	vm, why := g.shortage(all)
	if before, _ := told.Swap(g.id(), why); why != "" && before != why {
		host.Log(host.LevelWarn, "Google does not make an instance that it granted; the group tries on", map[string]string{"group": g.id(), "instance": vm, "error": why})
	}
}

// shortage is the first VM that the group can't make, and why; "" when there is none.
func (g group) shortage(all []member) (vm, why string) {
	for _, m := range all {
		if i := g.instance(m); i.Status == abi.StatusCreating && i.Message != "" {
			return i.Name, i.Message
		}
	}
	return "", ""
}

// instance turns what the API tells into the host's terms. Why Google has not made a VM yet goes with it: the group tries on.
func (g group) instance(m member) abi.Instance {
	i := abi.Instance{Name: m.Name, ID: m.ID, Status: m.status()}
	if i.ID == "" {
		i.ID = m.Name
	}
	if why := g.Explain(m.Attempt.Errors.Errors); why != nil {
		i.Message = why.Message + " (" + why.Code + ")"
	} else if i.Status != abi.StatusRunning && i.Status != abi.StatusCreating {
		i.Message = "the group is at " + m.Action + ", the VM " + m.Status
	}
	return i
}

// status is the host's word for what the group does with a VM and for what that is. One that the group makes anew, restarts or stops is lost for its
// jobs, though another one comes under its name; so is one that has stopped, since nobody but the host starts VMs here.
func (m member) status() abi.Status {
	switch m.Action {
	case "CREATING", "CREATING_WITHOUT_RETRIES", "STARTING", "RESUMING":
		return abi.StatusCreating
	case "DELETING", "ABANDONING":
		return abi.StatusGone
	case "RECREATING", "RESTARTING", "STOPPING", "SUSPENDING":
		return abi.StatusInterrupted
	case "NONE", "REFRESHING", "VERIFYING":
		if m.Status == "" {
			return abi.StatusCreating
		}
		return gce.Status(m.Status, true)
	}
	return abi.StatusUnknown
}
