package main

import (
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// network is where a machine's interface is.
type network struct{ vpc, subnet, zone string }

// network finds the subnet by the options: that of the operator; of his VPC, or of the default one, the zone's own or its first.
func (s settings) network() (network, error) {
	text, err := remembered.recall(func() (string, error) {
		n, err := s.findNetwork()
		return n.vpc + " " + n.subnet + " " + n.zone, err
	}, s.account, s.endpoint, "network", s.zone, s.vpc, s.subnet)
	if err != nil {
		return network{}, err
	}
	parts := strings.SplitN(text, " ", 3)
	return network{parts[0], parts[1], parts[2]}, nil
}

func (s settings) findNetwork() (network, error) {
	f := newForm()
	switch {
	case s.subnet != "":
		f.list("SubnetId", s.subnet)
		return s.ownSubnet(f)
	case s.vpc != "":
		return s.subnetOf(s.vpc)
	}
	f.filter("availability-zone", s.zone)
	f.filter("default-for-az", "true")
	found, err := s.subnets(f)
	if err != nil || len(found) > 0 {
		return first(found), err
	}
	vpc, err := s.defaultVPC()
	if err != nil {
		return network{}, err
	}
	return s.subnetOf(vpc)
}

// ownSubnet looks at the subnet of the options, which must be of their VPC.
func (s settings) ownSubnet(f form) (network, error) {
	found, err := s.subnets(f)
	switch n := first(found); {
	case err != nil:
		return network{}, driver.About(optSubnet, absent(err))
	case len(found) == 0:
		return network{}, &abi.Error{Kind: abi.Invalid, Message: optSubnet + ": there is no subnet " + s.subnet + " in " + s.region}
	case s.vpc != "" && n.vpc != s.vpc:
		return network{}, &abi.Error{Kind: abi.Invalid, Message: optSubnet + ": " + s.subnet + " is of " + n.vpc + ", not of " + s.vpc + "; give those that belong together"}
	default:
		return n, nil
	}
}

// subnetOf returns the zone's default subnet in a VPC, or its first.
func (s settings) subnetOf(vpc string) (network, error) {
	f := newForm()
	f.filter("availability-zone", s.zone)
	f.filter("vpc-id", vpc)
	found, err := s.subnets(f)
	if err == nil && len(found) == 0 {
		err = &abi.Error{Kind: abi.Invalid, Message: "there is no subnet in " + s.zone + " of " + vpc + "; give another " + optZone + ", or " + optSubnet}
	}
	return first(found), err
}

// subnets returns what a look for subnets finds, the zone's default one first, then by their ids.
func (s settings) subnets(f form) ([]network, error) {
	var defaults, others []network
	_, err := s.pages("DescribeSubnets", f, func(a answer) {
		for _, e := range a.Items("subnetSet") {
			n := network{e.At("vpcId"), e.At("subnetId"), e.At("availabilityZone")}
			if e.At("defaultForAz") == "true" {
				defaults = append(defaults, n)
			} else {
				others = append(others, n)
			}
		}
	})
	slices.SortFunc(others, func(a, b network) int { return strings.Compare(a.subnet, b.subnet) })
	return append(defaults, others...), err
}

func first(found []network) network {
	if len(found) == 0 {
		return network{}
	}
	return found[0]
}

// defaultVPC returns the account's.
func (s settings) defaultVPC() (string, error) {
	f := newForm()
	f.list("AttributeName", "default-vpc")
	a, err := s.call("DescribeAccountAttributes", f)
	if err != nil {
		return "", driver.About("look for the default VPC (or give "+optVPC+")", err)
	}
	for _, attribute := range a.Items("accountAttributeSet") {
		for _, value := range attribute.Items("attributeValueSet") {
			if vpc := value.At("attributeValue"); attribute.At("attributeName") == "default-vpc" && vpcLike.MatchString(vpc) {
				return vpc, nil
			}
		}
	}
	return "", &abi.Error{Kind: abi.Invalid, Message: "the account has no default VPC in " + s.region + "; give " + optVPC + " or " + optSubnet}
}

// absent makes of a refusal of what options name, since it is not there, an error of the kind invalid.
func absent(err error) error {
	if !driver.Is(err, abi.NotFound) {
		return err
	}
	e := *err.(*abi.Error)
	e.Kind = abi.Invalid
	e.Message += "; see that image, subnet, security group, key pair and instance profile are there, in the same region"
	return &e
}
