package main

import (
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// The permissions that the driver needs.
const (
	maySee       = "autoscaling:DescribeAutoScalingGroups"
	mayGrow      = "autoscaling:SetDesiredCapacity"
	mayEnd       = "autoscaling:TerminateInstanceInAutoScalingGroup"
	mayPolicies  = "autoscaling:DescribePolicies"
	maySchedule  = "autoscaling:DescribeScheduledActions"
	mayInstances = "ec2:DescribeInstances"
	mayPassword  = "ec2:GetPasswordData"
	mayLetIn     = "ec2-instance-connect:SendSSHPublicKey"
)

// needs are the permissions of the driver's page.
var needs = driver.Needs{
	Todo: "add NAME to the policy of the agent's identity: docs/drivers/aws.md has the whole of it",
	List: []driver.Need{
		{Name: maySee, Purpose: "find the group and its instances", Without: "nothing is made or removed, and no instance counts as gone"},
		{Name: mayGrow, Purpose: "have the group grow", Without: "no instance is made"},
		{Name: mayEnd, Purpose: "end instances", Without: "instances are made and can't be removed: they cost until somebody does it by hand"},
		{Name: mayInstances, Purpose: "find where an instance is reached", Without: "no instance runs a job"},
		{Name: mayLetIn, Purpose: "log in to an instance", Without: "no instance runs a job",
			Fix: "add it to the policy of the agent's identity, or set use_static_credentials and key_path in connector_config"},
		{Name: mayPassword, Purpose: "log in to an instance of Windows", Without: "no instance of Windows runs a job; all others do",
			Fix: "add it to the policy of the agent's identity, or set use_static_credentials and password in connector_config"},
		{Name: mayPolicies, Purpose: "see that no scaling policy of the group's own is in the way", Without: "nobody tells when one is; everything else works"},
		{Name: maySchedule, Purpose: "see that no scheduled action of the group's own is in the way", Without: "nobody tells when one is; everything else works"},
	},
}

// noInstance stands for an instance in dry runs.
const noInstance = "i-00000000000000000"

// notTried is why a right is not known: EC2 Auto Scaling and EC2 Instance Connect have no dry runs.
const notTried = "it can be told only by doing it"

// Check makes the calls that only read, and dry runs of EC2's.
func (aws) Check(req abi.CheckRequest) ([]abi.Permission, error) {
	p, err := usable(req.Options)
	if err != nil {
		return nil, err
	}
	var out []abi.Permission
	_, err = p.describe()
	if driver.Is(err, abi.Transient) || driver.Is(err, abi.Auth) && !rights[codeOf(err)] {
		return nil, err
	}
	out = append(out, needs.After(maySee, err), needs.Is(mayGrow, abi.PermissionUnknown, notTried), needs.Is(mayEnd, abi.PermissionUnknown, notTried))
	_, err = p.query(compute, "DescribeInstances", form{"DryRun": "true"})
	out = append(out, dry(mayInstances, err), needs.Is(mayLetIn, abi.PermissionUnknown, notTried))
	_, err = p.query(compute, "GetPasswordData", form{"DryRun": "true", "InstanceId": noInstance})
	out = append(out, dry(mayPassword, err))
	_, err = p.query(scaling, "DescribePolicies", form{"AutoScalingGroupName": p.group})
	out = append(out, needs.After(mayPolicies, err))
	_, err = p.query(scaling, "DescribeScheduledActions", form{"AutoScalingGroupName": p.group})
	return append(out, needs.After(maySchedule, err)), nil
}

// dry is what a dry run tells of a permission.
func dry(name string, err error) abi.Permission {
	switch {
	case codeOf(err) == "DryRunOperation":
		return needs.Is(name, abi.PermissionGranted, "")
	case driver.Is(err, abi.NotFound): // EC2 looks for the instance before it looks at rights
		return needs.Is(name, abi.PermissionUnknown, notTried)
	case err == nil:
		return needs.Is(name, abi.PermissionUnknown, "AWS answered a dry run as if it were none")
	}
	return needs.After(name, err)
}
