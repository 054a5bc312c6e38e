package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/awsapi"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// groupIDs returns the ids of the security groups, made if they are missing, with the rules that they lack. Machines share them, docker-machine's
// too, and none is ever removed. What is given by its id is left as it is.
func (s settings) groupIDs(vpc string) ([]string, error) {
	text, err := remembered.recall(func() (string, error) {
		ids, err := s.findGroups(vpc)
		return strings.Join(ids, " "), err
	}, s.account, s.endpoint, "groups", vpc, strings.Join(s.groups, "\x01"), s.portKey())
	return strings.Fields(text), err
}

func (s settings) portKey() string {
	key := strconv.FormatBool(s.readonly)
	for _, p := range s.ports {
		key += " " + p.protocol + strconv.Itoa(p.number)
	}
	return key
}

// group is a security group.
type group struct {
	id    string
	rules []awsapi.Element
}

func (s settings) findGroups(vpc string) ([]string, error) {
	var names, ids []string
	for _, g := range s.groups {
		if groupIDLike.MatchString(g) {
			ids = append(ids, g)
		} else {
			names = append(names, g)
		}
	}
	found, err := s.groupsOf(vpc, names)
	if err != nil {
		return nil, driver.About("look for the security groups", err)
	}
	for _, name := range names {
		g, ok := found[name]
		if !ok {
			if g, err = s.makeGroup(vpc, name); err != nil {
				return nil, driver.About("make the security group "+name, err)
			}
		}
		if err := s.widen(g); err != nil {
			return nil, driver.About("open ports in the security group "+name+" (or give "+optGroupReadonly+")", err)
		}
		ids = append(ids, g.id)
	}
	return ids, nil
}

// groupsOf returns the groups of a VPC that have one of the names.
func (s settings) groupsOf(vpc string, names []string) (map[string]group, error) {
	found := map[string]group{}
	if len(names) == 0 {
		return found, nil
	}
	f := newForm()
	f.filter("group-name", names...)
	f.filter("vpc-id", vpc)
	_, err := s.pages("DescribeSecurityGroups", f, func(a answer) {
		for _, e := range a.Items("securityGroupInfo") {
			found[e.At("groupName")] = group{e.At("groupId"), e.Items("ipPermissions")}
		}
	})
	return found, err
}

// makeGroup makes a group, unless somebody else is faster: then theirs is it.
func (s settings) makeGroup(vpc, name string) (group, error) {
	f := newForm()
	f.put("GroupName", name)
	f.put("GroupDescription", "Docker Machine")
	f.put("VpcId", vpc)
	f.tags([]tag{{tagShared, "true"}}, "security-group")
	a, err := s.call("CreateSecurityGroup", f)
	if err == nil {
		return group{id: a.At("groupId")}, nil
	}
	if codeOf(err) != "InvalidGroup.Duplicate" {
		return group{}, err
	}
	found, err := s.groupsOf(vpc, []string{name})
	if g, ok := found[name]; ok || err != nil {
		return g, err
	}
	return group{}, &abi.Error{Kind: abi.Transient, Message: "it is said to be there, and is not seen yet"}
}

// widen adds rules for the ports that a group does not let in from everywhere.
func (s settings) widen(g group) error {
	if s.readonly {
		return nil
	}
	f := newForm()
	f.put("GroupId", g.id)
	n := 0
	for _, p := range s.ports {
		if slices.ContainsFunc(g.rules, p.letInBy) {
			continue
		}
		n++
		prefix := "IpPermissions." + strconv.Itoa(n)
		f.put(prefix+".IpProtocol", p.protocol)
		f.put(prefix+".FromPort", strconv.Itoa(p.number))
		f.put(prefix+".ToPort", strconv.Itoa(p.number))
		f.put(prefix+".IpRanges.1.CidrIp", "0.0.0.0/0")
	}
	if n == 0 {
		return nil
	}
	_, err := s.call("AuthorizeSecurityGroupIngress", f)
	switch {
	case codeOf(err) == "InvalidPermission.Duplicate": // of a machine that is made at the same time; what is missing comes with the next
		return nil
	case driver.Is(err, abi.NotFound): // made just now, and not everywhere yet
		e := *err.(*abi.Error)
		e.Kind = abi.Transient
		return &e
	}
	return err
}

// letInBy tells whether a rule is for the port, from whatever addresses: narrower ones are the operator's wish.
func (p port) letInBy(rule awsapi.Element) bool {
	protocol := rule.At("ipProtocol")
	if protocol == "-1" {
		return true
	}
	from, err := strconv.Atoi(rule.At("fromPort"))
	to, err2 := strconv.Atoi(rule.At("toPort"))
	return protocol == p.protocol && err == nil && err2 == nil && from <= p.number && p.number <= to
}
