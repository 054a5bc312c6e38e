package main

import (
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// Increase raises the capacity that is desired, as far as the group's maximum lets it. What is being ended does not count in it any more.
func (aws) Increase(req abi.IncreaseRequest) (abi.IncreaseResult, error) {
	p, err := usable(req.Options)
	if err != nil {
		return abi.IncreaseResult{}, err
	}
	if req.Count < 1 {
		return abi.IncreaseResult{}, &abi.Error{Kind: abi.Invalid, Message: "an increase by " + strconv.Itoa(req.Count) + "; 1 or more is expected"}
	}
	g, err := p.describe()
	if err != nil {
		return abi.IncreaseResult{}, err
	}
	count := min(req.Count, g.max-g.desired)
	if count <= 0 {
		return abi.IncreaseResult{}, &abi.Error{Kind: abi.Quota, Message: "the group " + p.group + " wants " + strconv.Itoa(g.desired) + " instances and may have " +
			strconv.Itoa(g.max) + "; raise its maximum, or lower max_instances"}
	}
	_, err = p.query(scaling, "SetDesiredCapacity", form{
		"AutoScalingGroupName": p.group, "DesiredCapacity": strconv.Itoa(g.desired + count), "HonorCooldown": "false",
	})
	return abi.IncreaseResult{Count: count}, err
}

// Decrease ends instances, each with a place of the group less. An id that is no instance of the group is gone: it must not be ended, since AWS would do
// so in whichever group it is. What may go better later ends the loop; the host asks again for the rest.
func (aws) Decrease(req abi.DecreaseRequest) (abi.DecreaseResult, error) {
	p, err := usable(req.Options)
	if err != nil {
		return abi.DecreaseResult{}, err
	}
	g, err := p.describe()
	if err != nil {
		return abi.DecreaseResult{}, err
	}
	var res abi.DecreaseResult
	for _, id := range req.Instances {
		if m, ours := g.find(id); ours && !m.going() {
			_, err = p.query(scaling, "TerminateInstanceInAutoScalingGroup", form{"InstanceId": id, "ShouldDecrementDesiredCapacity": "true"})
		} else {
			err = nil
		}
		if e, ok := err.(*abi.Error); ok && !unmanaged(e) {
			if res.Error == nil {
				res.Error = mended(e)
			}
			if driver.Is(err, abi.RateLimited, abi.Transient, abi.Auth) {
				break
			}
			continue
		}
		res.Instances = append(res.Instances, id)
	}
	return res, nil
}

// going tells whether the group ends the instance already.
func (m member) going() bool { return strings.HasPrefix(m.state, "Terminat") }

// unmanaged tells whether a refusal says that the instance is none of any group's.
func unmanaged(e *abi.Error) bool {
	return e.Kind == abi.NotFound || e.Code == "ValidationError" && strings.Contains(strings.ToLower(e.Message), "not found")
}

// mended says what to do about a refusal, where we know.
func mended(e *abi.Error) *abi.Error {
	if e.Code == "ValidationError" && strings.Contains(strings.ToLower(e.Message), "min") {
		told := *e
		told.Kind, told.Message = abi.Conflict, e.Message+"; lower the minimum of the group to 0"
		return &told
	}
	return e
}
