package main

import "github.com/millwright-ci/millwright/sdk/go/driver"

// Permissions that are named more than once.
const (
	mayRun        = "ec2:RunInstances"
	mayTag        = "ec2:CreateTags"
	mayPass       = "iam:PassRole"
	mayTerminate  = "ec2:TerminateInstances"
	maySee        = "ec2:DescribeInstances"
	maySeeKeys    = "ec2:DescribeKeyPairs"
	mayImport     = "ec2:ImportKeyPair"
	mayDeleteKey  = "ec2:DeleteKeyPair"
	maySeeSubnets = "ec2:DescribeSubnets"
	maySeeVPC     = "ec2:DescribeAccountAttributes"
	maySeeGroups  = "ec2:DescribeSecurityGroups"
	mayMakeGroup  = "ec2:CreateSecurityGroup"
	mayOpen       = "ec2:AuthorizeSecurityGroupIngress"
	maySeeImages  = "ec2:DescribeImages"
	maySeeSpot    = "ec2:DescribeSpotInstanceRequests"
	mayCancelSpot = "ec2:CancelSpotInstanceRequests"
	mayParameters = "ssm:GetParameters"
)

// needs are the permissions of the driver's page, and those of an image that is named by a parameter.
var needs = driver.Needs{
	Todo: "add NAME to the policy of the agent's identity: docs/drivers/amazonec2.md has the whole of it",
	List: []driver.Need{
		{Name: maySee, Purpose: "find the machines", Without: "nothing is made or removed, and no machine counts as gone"},
		{Name: mayRun, Purpose: "make machines"},
		{Name: mayTag, Purpose: "tag all that is made with its owner, as it is made"},
		{Name: mayTerminate, Purpose: "remove machines", Without: "machines are made and can't be removed: they cost until somebody does it by hand"},
		{Name: maySeeSubnets, Purpose: "find the subnet"},
		{Name: maySeeVPC, Purpose: "find the default VPC, where the zone has no default subnet",
			Fix: "add it to the policy of the agent's identity, or give " + optVPC + " or " + optSubnet},
		{Name: maySeeGroups, Purpose: "find the security group", Fix: "add it to the policy of the agent's identity, or give groups by their ids: " + optGroup + "=sg-..."},
		{Name: mayMakeGroup, Purpose: "make the security group, which is missing", Fix: "add it to the policy of the agent's identity, or make the group yourself"},
		{Name: mayOpen, Purpose: "open ports in the security group",
			Fix: "add it to the policy of the agent's identity, or open the ports yourself and give " + optGroupReadonly},
		{Name: maySeeImages, Purpose: "find the newest image of a name", Fix: "add it to the policy of the agent's identity, or give an image by its id: " + optAMI + "=ami-..."},
		{Name: mayParameters, Purpose: "find the image that a parameter names", Fix: "add it to the policy of the agent's identity, or give an image by its id: " + optAMI + "=ami-..."},
		{Name: mayImport, Purpose: "make the key pair of a machine", Fix: "add it to the policy of the agent's identity, or give a key pair of yours: " + optKeyPair},
		{Name: mayDeleteKey, Purpose: "remove the key pair of a machine", Without: "a machine's removal fails after its instance is gone, and is tried again"},
		{Name: maySeeKeys, Purpose: "find key pairs that a crash left", Without: "key pairs that a crash left stay; everything else works"},
		{Name: mayPass, Purpose: "give machines the instance profile", Fix: "allow it for the role of the profile, or leave " + optProfile + " out"},
		{Name: maySeeSpot, Purpose: "notice that AWS takes a spot instance back", Without: "an interruption is noticed when the instance is gone, not two minutes before"},
		{Name: mayCancelSpot, Purpose: "close the request of a spot instance that is removed", Without: "the request closes by itself with its instance; everything else works"},
	},
}
