package main

import (
	"github.com/millwright-ci/millwright/providers/internal/gce"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// manager is what the API tells of a group. Source: Compute Engine API v1, "InstanceGroupManagers".
type manager struct {
	gce.Kinded
	TargetSize     int            `json:"targetSize"`
	CurrentActions map[string]int `json:"currentActions"`
	Status         struct {
		Autoscaler string `json:"autoscaler"` // URL of one that is attached
		Stateful   struct {
			HasStatefulConfig bool `json:"hasStatefulConfig"`
		} `json:"stateful"`
	} `json:"status"`
	UpdatePolicy struct {
		Type           string `json:"type"`
		Redistribution string `json:"instanceRedistributionType"`
	} `json:"updatePolicy"`
	Lifecycle struct {
		OnFailure string `json:"defaultActionOnFailure"`
	} `json:"instanceLifecyclePolicy"`
	AutoHealing []struct {
		HealthCheck string `json:"healthCheck"`
	} `json:"autoHealingPolicies"`
	Standby struct {
		Mode string `json:"mode"`
	} `json:"standbyPolicy"`
}

const (
	kindManager   = "compute#instanceGroupManager"
	managerFields = "kind,targetSize,currentActions,status(autoscaler,stateful/hasStatefulConfig),updatePolicy(type,instanceRedistributionType)," +
		"instanceLifecyclePolicy/defaultActionOnFailure,autoHealingPolicies/healthCheck,standbyPolicy/mode"
)

// manager asks for the group.
func (g group) manager() (m manager, err error) {
	err = g.Call("GET", g.at(), fields(managerFields), nil, kindManager, &m)
	if driver.Is(err, abi.NotFound) {
		e := *err.(*abi.Error)
		e.Message += "; see that " + optName + ", " + optProject + " and " + optZone + " or " + optRegion + " are those of a managed instance group"
		err = &e
	}
	return m, driver.About("look at the group "+g.name, err)
}

// Info tells what of the group would fight with the agent. How many VMs it may have is not told by the API: a resize beyond that is refused.
func (googlecompute) Info(req abi.GroupRequest) (abi.GroupInfo, error) {
	g, err := usable(req.Options)
	if err != nil {
		return abi.GroupInfo{}, err
	}
	m, err := g.manager()
	if err != nil {
		return abi.GroupInfo{}, err
	}
	info := abi.GroupInfo{ID: g.id(), Problems: g.problems(m)}
	if m.Status.Autoscaler != "" {
		p, err := g.autoscaler(m.Status.Autoscaler)
		if err != nil {
			return abi.GroupInfo{}, err
		}
		info.Problems = append(p, info.Problems...)
	}
	return info, nil
}

// problems are what the group's own settings would do to instances with jobs. None keeps it from working.
func (g group) problems(m manager) (all []abi.Problem) {
	warn := func(what, verb, change string) {
		all = append(all, abi.Problem{Warning: true, Message: what + ": " + g.gcloud(verb, change)})
	}
	repairs := opts.Or(m.Lifecycle.OnFailure, "REPAIR") != "DO_NOTHING"
	switch {
	case repairs && len(m.AutoHealing) > 0:
		warn("the group makes VMs anew that fail, or that its health check finds unwell, with the jobs that run there; have it do nothing",
			"update", "--clear-autohealing --default-action-on-vm-failure=do-nothing")
	case repairs:
		warn("the group makes VMs anew that fail, under the same name and with the jobs that run there; have it do nothing", "update", "--default-action-on-vm-failure=do-nothing")
	}
	if m.UpdatePolicy.Type == "PROACTIVE" {
		warn("a new template makes the group replace VMs with the jobs that run there; have new VMs alone follow it", "update", "--update-policy-type=opportunistic")
	}
	if g.region != "" && opts.Or(m.UpdatePolicy.Redistribution, "PROACTIVE") == "PROACTIVE" {
		warn("the group deletes VMs of one zone for new ones of another, with the jobs that run there; have it leave them where they are",
			"update", "--instance-redistribution-type=none")
	}
	if m.Standby.Mode == "SCALE_OUT_POOL" {
		warn("the group grows by VMs that were suspended or stopped, with what earlier jobs left there; have it make new ones", "update", "--standby-policy-mode=manual")
	}
	if m.Status.Stateful.HasStatefulConfig {
		warn("the group is stateful: disks and addresses outlive the VMs, and cost; see what it keeps, and take that out", "describe", "--format='yaml(statefulPolicy)'")
	}
	return all
}

// autoscaler is what is wrong with one that is attached: it must be off.
func (g group) autoscaler(link string) ([]abi.Problem, error) {
	off := "turn it off: " + g.gcloud("update-autoscaling", "--mode=off")
	kind, place := g.location()
	var found struct {
		gce.Kinded
		Policy struct {
			Mode string `json:"mode"`
		} `json:"autoscalingPolicy"`
	}
	err := g.Call("GET", g.In(kind, place, "autoscalers", gce.LastPart(link)), fields("kind,autoscalingPolicy/mode"), nil, "compute#autoscaler", &found)
	switch mode := opts.Or(found.Policy.Mode, "ON"); {
	case driver.Is(err, abi.NotFound): // it went meanwhile
		return nil, nil
	case driver.Is(err, abi.Auth):
		return []abi.Problem{{Warning: true, Message: "the group has an autoscaler, and whether that is off can't be seen without the permission " + maySeeAutoscaler +
			"; one that is on deletes VMs with the jobs that run there; " + off}}, nil
	case err != nil:
		return nil, driver.About("look at the group's autoscaler", err)
	case mode == "OFF":
		return nil, nil
	default:
		return []abi.Problem{{Message: "the group has an autoscaler whose mode is " + mode + ": two would scale the group against each other; " + off}}, nil
	}
}
