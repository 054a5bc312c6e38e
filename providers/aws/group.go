package main

import (
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/awsapi"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// asg is an Auto Scaling group as its API describes it.
type asg struct {
	arn               string
	status            string // "" while it is to stay
	min, max, desired int
	zones             int
	protects          bool // new instances from scale-in
	lifetimeS         int  // of an instance at most; 0: any
	suspended         map[string]bool
	instances         []member
}

// member is an instance of a group.
type member struct {
	id, state, health, zone string
}

// describe asks for the group. One that is not there is not found, and never an empty one.
func (p place) describe() (asg, error) {
	var found []asg
	err := p.pages("DescribeAutoScalingGroups", form{}.list("AutoScalingGroupNames.member", p.group), func(result awsapi.Element) {
		for _, e := range result.Items("AutoScalingGroups") {
			if e.At("AutoScalingGroupName") == p.group {
				found = append(found, readGroup(e))
			}
		}
	})
	switch {
	case err != nil:
		return asg{}, err
	case len(found) == 0:
		return asg{}, &abi.Error{Kind: abi.NotFound, Message: "there is no Auto Scaling group " + p.group + " in " + p.region + "; see name and region in plugin_config"}
	}
	return found[0], nil
}

func readGroup(e awsapi.Element) asg {
	g := asg{
		arn: e.At("AutoScalingGroupARN"), status: e.At("Status"), min: number(e, "MinSize"), max: number(e, "MaxSize"), desired: number(e, "DesiredCapacity"),
		zones: len(e.Items("AvailabilityZones")), protects: e.At("NewInstancesProtectedFromScaleIn") == "true", lifetimeS: number(e, "MaxInstanceLifetime"),
		suspended: map[string]bool{},
	}
	for _, s := range e.Items("SuspendedProcesses") {
		g.suspended[s.At("ProcessName")] = true
	}
	for _, i := range e.Items("Instances") {
		g.instances = append(g.instances, member{i.At("InstanceId"), i.At("LifecycleState"), i.At("HealthStatus"), i.At("AvailabilityZone")})
	}
	return g
}

func number(e awsapi.Element, name string) int {
	n, _ := strconv.Atoi(e.At(name)) // what is no number is none
	return n
}

// find returns the instance of an id.
func (g asg) find(id string) (member, bool) {
	for _, m := range g.instances {
		if m.id == id {
			return m, true
		}
	}
	return member{}, false
}

// status is what a lifecycle state is to the agent. An instance of the warm pool is none of the group's yet.
// Source: Amazon EC2 Auto Scaling User Guide, "Amazon EC2 Auto Scaling instance lifecycle".
func (m member) statusOf() (status abi.Status, counts bool) {
	stage, _, _ := strings.Cut(m.state, ":")
	switch {
	case stage == "Warmed":
		return "", false
	case stage == "Pending":
		return abi.StatusCreating, true
	case stage == "InService" && m.health == "Unhealthy": // the group replaces it
		return abi.StatusInterrupted, true
	case stage == "InService":
		return abi.StatusRunning, true
	case strings.HasPrefix(stage, "Terminat"), stage == "Detaching", stage == "Detached":
		return abi.StatusGone, true
	}
	return abi.StatusUnknown, true
}

// List returns the group's instances.
func (aws) List(req abi.ListRequest) (abi.ListResult, error) {
	p, err := usable(req.Options)
	if err != nil {
		return abi.ListResult{}, err
	}
	g, err := p.describe()
	if err != nil {
		return abi.ListResult{}, err
	}
	res := abi.ListResult{Complete: true}
	for _, m := range g.instances {
		if status, counts := m.statusOf(); counts {
			res.Instances = append(res.Instances, abi.Instance{Name: m.id, ID: m.id, Status: status, Message: m.state})
		}
	}
	return res, nil
}
