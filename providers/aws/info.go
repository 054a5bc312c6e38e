package main

import (
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/awsapi"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// Info describes the group, and what of it would fight with the agent.
func (aws) Info(req abi.GroupRequest) (abi.GroupInfo, error) {
	p, err := usable(req.Options)
	if err != nil {
		return abi.GroupInfo{}, err
	}
	g, err := p.describe()
	if err != nil {
		return abi.GroupInfo{}, err
	}
	info := abi.GroupInfo{ID: "aws/" + p.region + "/" + account(g.arn) + "/" + p.group, MaxSize: g.max}
	l := look{place: p, asg: g}
	l.sizes(req.MaxInstances)
	l.processes()
	if err := l.policies(); err != nil {
		return abi.GroupInfo{}, err
	}
	info.Problems = l.found
	return info, nil
}

// account is that of an ARN, arn:aws:autoscaling:REGION:ACCOUNT:...
func account(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}

// look is one at a group's settings, with what is wrong with them.
type look struct {
	place
	asg
	found []abi.Problem
}

func (l *look) problem(warning bool, text string) {
	l.found = append(l.found, abi.Problem{Option: optName, Message: text, Warning: warning})
}

// run is a command of AWS's command line about the group, to be pasted.
func (l *look) run(command, more string) string {
	return "`aws autoscaling " + command + " --region " + l.region + " --auto-scaling-group-name '" + l.group + "' " + more + "`"
}

// sizes looks at how large the group may be.
func (l *look) sizes(wanted int) {
	if l.status != "" {
		l.problem(false, "the group is being deleted ("+l.status+"); name another one")
	}
	if wanted > l.max {
		l.problem(false, "it may have "+strconv.Itoa(l.max)+" instances at most and max_instances is "+strconv.Itoa(wanted)+": run "+
			l.run("update-auto-scaling-group", "--max-size "+strconv.Itoa(wanted))+", or write max_instances = "+strconv.Itoa(l.max)+" into [runners.autoscaler]")
	}
	if l.min > 0 {
		l.problem(true, "its minimum is "+strconv.Itoa(l.min)+", below which it never shrinks, whatever idle_count says: run "+l.run("update-auto-scaling-group", "--min-size 0"))
	}
	if l.lifetimeS > 0 {
		l.problem(true, "it replaces instances after "+strconv.Itoa(l.lifetimeS)+" seconds, with the jobs on them: run "+l.run("update-auto-scaling-group", "--max-instance-lifetime 0"))
	}
}

// processes looks at what the group does to its instances by itself. Protected ones are left alone by it.
func (l *look) processes() {
	if !l.protects {
		l.problem(true, "new instances are not protected from scale-in, so that the group may end those that run jobs: run "+
			l.run("update-auto-scaling-group", "--new-instances-protected-from-scale-in"))
	}
	if l.zones > 1 && !l.suspended["AZRebalance"] {
		l.problem(l.protects, "it ends instances to balance its zones, with the jobs on them: run "+l.run("suspend-processes", "--scaling-processes AZRebalance"))
	}
	for _, process := range []string{"Launch", "Terminate"} {
		if l.suspended[process] {
			l.problem(false, "its process "+process+" is suspended, so that it does not scale at all: run "+l.run("resume-processes", "--scaling-processes "+process))
		}
	}
}

// policies looks for what scales the group beside the agent. Where that may not be looked at, as by the policy of fleeting-plugin-aws, it is told and no more.
func (l *look) policies() error {
	var policies, actions []string
	err := l.pages("DescribePolicies", form{"AutoScalingGroupName": l.group}, func(result awsapi.Element) {
		for _, e := range result.Items("ScalingPolicies") {
			if e.At("Enabled") != "false" {
				policies = append(policies, e.At("PolicyName"))
			}
		}
	})
	if err := l.unseen("autoscaling:DescribePolicies", "scaling policies", err); err != nil {
		return err
	}
	err = l.pages("DescribeScheduledActions", form{"AutoScalingGroupName": l.group}, func(result awsapi.Element) {
		for _, e := range result.Items("ScheduledUpdateGroupActions") {
			actions = append(actions, e.At("ScheduledActionName"))
		}
	})
	if err := l.unseen("autoscaling:DescribeScheduledActions", "scheduled actions", err); err != nil {
		return err
	}
	for _, name := range policies {
		if l.suspended["AlarmNotification"] {
			break
		}
		l.problem(false, "its scaling policy "+name+" scales it too, and ends instances that run jobs: run "+l.run("delete-policy", "--policy-name '"+name+"'"))
	}
	for _, name := range actions {
		if l.suspended["ScheduledActions"] {
			break
		}
		l.problem(false, "its scheduled action "+name+" scales it too; [[runners.autoscaler.policy]] with periods does that here: run "+
			l.run("delete-scheduled-action", "--scheduled-action-name '"+name+"'"))
	}
	return nil
}

// unseen makes a warning of a right that is missing.
func (l *look) unseen(right, what string, err error) error {
	if driver.Is(err, abi.Auth) && rights[codeOf(err)] {
		l.problem(true, "whether it has "+what+" of its own, which must be none, is not known: "+right+" is refused; add it to the policy of the agent's identity")
		return nil
	}
	return err
}
