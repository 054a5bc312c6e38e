package main

import (
	"strconv"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// List returns every container that bears the owner's label. A machine of which only the volume is left counts too, as one that is
// being created: it is something to remove, and nothing tells whether its container is about to appear.
func (dockerDriver) List(req abi.ListRequest) (abi.ListResult, error) {
	s, err := reachable(req.Options)
	if err != nil {
		return abi.ListResult{}, err
	}
	e, err := open(s, req.Owner, "")
	if err != nil {
		return abi.ListResult{}, err
	}
	var containers []listed
	owned := labelOwner
	if !req.AllOwners {
		owned += "=" + req.Owner.ID
	}
	query := filters(owned, labelMachine)
	query.Set("all", "1")
	if err := e.call("GET", "/containers/json", query, nil, &containers); err != nil {
		return abi.ListResult{}, driver.About("list the containers", err)
	}
	res := abi.ListResult{Complete: true}
	known := map[string]bool{}
	for _, c := range containers {
		i := c.instance()
		if req.AllOwners {
			i.Owner = c.Labels[labelOwner]
		}
		known[i.Name] = true
		res.Instances = append(res.Instances, i)
	}
	volumes, err := e.volumes(owned, "")
	if err != nil {
		return abi.ListResult{}, err
	}
	for _, v := range volumes {
		machine := v.Labels[labelMachine]
		if known[machine] {
			continue
		}
		known[machine] = true
		i := abi.Instance{
			Name: machine, Status: abi.StatusCreating, Message: "there is only its volume " + v.Name, CreatedAt: wholeSeconds(v.CreatedAt),
		}
		if req.AllOwners {
			i.Owner = v.Labels[labelOwner]
		}
		res.Instances = append(res.Instances, i)
	}
	return res, nil
}

// listed is what list tells of a container.
// Source: Docker Engine API v1.41, "ContainerList".
type listed struct {
	ID      string `json:"Id"`
	Created int64  // seconds since 1970
	Labels  map[string]string
	State   string
	Status  string // for people: Exited (1) 3 minutes ago
	Ports   []struct {
		PrivatePort, PublicPort int
		Type                    string
	}
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

func (c listed) instance() abi.Instance {
	i := abi.Instance{
		Name:      c.Labels[labelMachine],
		ID:        c.ID,
		Status:    status(c.State),
		CreatedAt: time.Unix(c.Created, 0).UTC().Format(time.RFC3339),
		GPUs:      gpus(c.Labels),
	}
	if i.Status == abi.StatusStopped {
		i.Message = "the container is " + c.State + ": " + c.Status
	}
	for _, n := range c.NetworkSettings.Networks {
		i.Address = or(i.Address, n.IPAddress)
	}
	for _, p := range c.Ports {
		switch {
		case p.PublicPort == 0 || p.Type != "tcp":
		case strconv.Itoa(p.PrivatePort)+"/tcp" == sshPort:
			i.Address, i.SSHPort = "127.0.0.1", p.PublicPort
		case strconv.Itoa(p.PrivatePort)+"/tcp" == enginePort:
			i.EnginePort = p.PublicPort
		}
	}
	return i
}

type volume struct {
	Name, CreatedAt string
	Labels          map[string]string
}

// volumes returns the volumes with the label owned; of one machine, unless machine is "".
func (e engine) volumes(owned, machine string) ([]volume, error) {
	label := labelMachine
	if machine != "" {
		label += "=" + machine
	}
	var answer struct{ Volumes []volume }
	if err := e.call("GET", "/volumes", filters(owned, label), nil, &answer); err != nil {
		return nil, driver.About("list the volumes", err)
	}
	return answer.Volumes, nil
}

// wholeSeconds turns the engine's RFC 3339 time with nanoseconds and any zone into UTC and seconds; "" when it is no time.
func wholeSeconds(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func port(text string) int {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}
