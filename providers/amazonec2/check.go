package main

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// Ids of what there is not, for dry runs of calls that want one.
const (
	noInstance = "i-00000000000000000"
	noGroup    = "sg-00000000000000000"
	noKey      = "key-00000000000000000"
	noSpot     = "sir-00000000"
)

// anyKey stands for a machine's key.
const anyKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDx0L7bVmYcg0N0Qx6kK2DFQbB2lZ5kTqjAq3w1VQm0n millwright"

// notBefore is why a right can't be told: AWS looks for what a call names before it looks at rights.
const notBefore = "it can be told only where there is something to try it on; check again while a machine is there"

// Check tries every call that machines with these options take, by dry runs. What it looks up by the way (subnet, group, image) makes the dry run
// of the instance the real one, so that conditions of a policy hold for it too.
// Source: EC2 API Reference, "DryRun" of each action.
func (amazonec2) Check(req abi.CheckRequest) ([]abi.Permission, error) {
	s, err := usable(req.Options)
	if err != nil {
		return nil, err
	}
	c := &checking{settings: s, req: req}
	for _, step := range []func(){c.list, c.network, c.group, c.picture, c.run, c.keys, c.removal, c.spotRequests} {
		if step(); c.err != nil {
			return nil, c.err
		}
	}
	order := needs.Names()
	slices.SortStableFunc(c.found, func(a, b abi.Permission) int { return slices.Index(order, a.Name) - slices.Index(order, b.Name) })
	return c.found, nil
}

// checking is one check as it goes on.
type checking struct {
	settings
	req   abi.CheckRequest
	found []abi.Permission
	err   error // the credential is refused altogether, or nobody answers

	where   network
	groups  []string // ids, of those that are there
	image   string
	machine vm // any of the owner's
}

func (c *checking) is(name string, result abi.PermissionResult, message string) bool {
	c.found = append(c.found, needs.Is(name, result, message))
	return result == abi.PermissionGranted
}

// try makes a dry run of an action and notes what it tells of a permission.
func (c *checking) try(name, action string, f form) bool {
	result, message := c.dryRun(action, f)
	return c.is(name, result, message)
}

// dryRun asks whether a call would be allowed.
func (c *checking) dryRun(action string, f form) (abi.PermissionResult, string) {
	f = form{maps.Clone(f.Values)}
	f.Set("DryRun", "true")
	_, err := c.call(action, f)
	code := codeOf(err)
	switch {
	case err == nil: // nothing that was asked for by a dry run is done
		return abi.PermissionUnknown, "AWS answered the dry run of " + action + " as if it were none"
	case code == "DryRunOperation":
		return abi.PermissionGranted, ""
	case code == "UnauthorizedOperation" || code == "AccessDenied" || code == "AccessDeniedException":
		message, _, _ := strings.Cut(err.(*abi.Error).Message, "; "+todoRights)
		return abi.PermissionDenied, message
	case driver.Is(err, abi.Auth, abi.Transient):
		if c.err == nil {
			c.err = err
		}
	case driver.Is(err, abi.NotFound):
		return abi.PermissionUnknown, notBefore
	}
	return abi.PermissionUnknown, err.(*abi.Error).Message
}

// look makes a call that only reads, when its dry run was allowed.
func look[T any](c *checking, what func() (T, error)) (found T) {
	found, err := what()
	if driver.Is(err, abi.Transient) && c.err == nil {
		c.err = err
	}
	return found // what is not there is told when a machine is made
}

func (c *checking) list() {
	f := newForm()
	f.filter("tag:"+tagOwner, c.req.Owner.ID)
	if !c.try(maySee, "DescribeInstances", f) {
		return
	}
	for _, v := range look(c, func() ([]vm, error) { found, _, err := c.vms(f); return found, err }) {
		if v.status() != abi.StatusGone && v.tags[tagOwner] == c.req.Owner.ID {
			c.machine = v
		}
	}
}

// network finds the subnet. The default VPC is asked for only where the zone has no default subnet.
func (c *checking) network() {
	if !c.try(maySeeSubnets, "DescribeSubnets", newForm()) {
		return
	}
	if c.subnet == "" && c.vpc == "" {
		f := newForm()
		f.filter("availability-zone", c.zone)
		f.filter("default-for-az", "true")
		if found := look(c, func() ([]network, error) { return c.subnets(f) }); len(found) > 0 || c.err != nil {
			c.where = first(found)
			return
		}
		attribute := newForm()
		attribute.list("AttributeName", "default-vpc")
		if !c.try(maySeeVPC, "DescribeAccountAttributes", attribute) {
			return
		}
	}
	c.where = look(c, c.findNetwork)
}

// group looks for the security groups, and whether some must be made or opened.
func (c *checking) group() {
	var names []string
	for _, g := range c.settings.groups {
		if groupIDLike.MatchString(g) {
			c.groups = append(c.groups, g)
		} else {
			names = append(names, g)
		}
	}
	if len(names) == 0 || !c.try(maySeeGroups, "DescribeSecurityGroups", newForm()) {
		return
	}
	there := map[string]group{}
	if c.where.vpc != "" {
		there = look(c, func() (map[string]group, error) { return c.groupsOf(c.where.vpc, names) })
	}
	missing, closed := "", ""
	for _, name := range names {
		g, ok := there[name]
		switch {
		case !ok:
			missing, closed = name, opts.Or(closed, noGroup)
			continue
		case slices.ContainsFunc(c.ports, func(p port) bool { return !slices.ContainsFunc(g.rules, p.letInBy) }):
			closed = g.id
		}
		c.groups = append(c.groups, g.id)
	}
	if missing != "" {
		f := newForm()
		f.put("GroupName", missing)
		f.put("GroupDescription", "Docker Machine")
		f.put("VpcId", c.where.vpc)
		c.try(mayMakeGroup, "CreateSecurityGroup", f)
	}
	if closed != "" && !c.readonly {
		f := newForm()
		f.put("GroupId", closed)
		for name, value := range map[string]string{"IpProtocol": "tcp", "FromPort": "22", "ToPort": "22", "IpRanges.1.CidrIp": "0.0.0.0/0"} {
			f.put("IpPermissions.1."+name, value)
		}
		c.try(mayOpen, "AuthorizeSecurityGroupIngress", f)
	}
}

// picture finds the image.
func (c *checking) picture() {
	if named := !strings.HasPrefix(c.settings.image, "ami-") && !strings.HasPrefix(c.settings.image, "resolve:"); named {
		f := newForm()
		f.list("Owner", "self")
		if !c.try(maySeeImages, "DescribeImages", f) {
			return
		}
	}
	c.image = look(c, c.imageID)
}

// run tries the instance as it would be asked for. When that is refused, parts are left out until it would be allowed, so that the part is known
// for which there is no right.
func (c *checking) run() {
	wanted := []string{mayRun, mayTag}
	if strings.HasPrefix(c.settings.image, "resolve:") {
		wanted = append(wanted, mayParameters)
	}
	if c.profile != "" {
		wanted = append(wanted, mayPass)
	}
	asked := abi.CreateRequest{ABI: c.req.ABI, Owner: c.req.Owner, Name: "millwright-check", Options: c.req.Options}
	f := c.body(asked, launch{network: c.where, groups: c.groups, image: c.image})
	if c.keyPair == "" {
		f.Del("KeyName") // it is made with the machine
	}
	result, message := c.dryRun("RunInstances", f)
	refused := "" // for want of this one
	for _, part := range []struct{ prefix, permission string }{{"IamInstanceProfile.", mayPass}, {"TagSpecification.", mayTag}} {
		if result != abi.PermissionDenied || c.err != nil {
			break
		}
		before := len(f.Values)
		maps.DeleteFunc(f.Values, func(name string, _ []string) bool { return strings.HasPrefix(name, part.prefix) })
		if len(f.Values) == before {
			continue
		}
		without, why := c.dryRun("RunInstances", f)
		if without == abi.PermissionGranted {
			result, refused = without, part.permission
		} else if without == abi.PermissionDenied {
			message = why
		}
	}
	reached := true // what comes before the refused one was tried
	for _, name := range wanted {
		switch {
		case name == refused:
			c.is(name, abi.PermissionDenied, message)
			reached = false
		case reached && (name == mayRun || result == abi.PermissionGranted):
			c.is(name, result, message)
		default:
			c.is(name, abi.PermissionUnknown, "it can be told when the others that a machine takes are granted")
		}
	}
}

// keys tries what becomes of a machine's key pair.
func (c *checking) keys() {
	f := newForm()
	f.put("KeyName", "millwright-check")
	if c.try(maySeeKeys, "DescribeKeyPairs", newForm()); c.keyPair != "" {
		return
	}
	f.put("PublicKeyMaterial", base64.StdEncoding.EncodeToString([]byte(anyKey)))
	untagged := form{maps.Clone(f.Values)}
	f.tags(c.allTags(abi.CreateRequest{Owner: c.req.Owner, Name: "millwright-check"}, ""), "key-pair")
	result, message := c.dryRun("ImportKeyPair", f)
	if result == abi.PermissionDenied { // perhaps for want of the right to tag, which is told already
		if without, _ := c.dryRun("ImportKeyPair", untagged); without == abi.PermissionGranted {
			result, message = without, ""
		}
	}
	c.is(mayImport, result, message)
	f = newForm()
	f.put("KeyPairId", noKey) // that it is not there is no error of this call
	c.try(mayDeleteKey, "DeleteKeyPair", f)
}

func (c *checking) removal() {
	f := newForm()
	f.list("InstanceId", opts.Or(c.machine.id, noInstance))
	c.try(mayTerminate, "TerminateInstances", f)
}

func (c *checking) spotRequests() {
	if !c.spot {
		return
	}
	c.try(maySeeSpot, "DescribeSpotInstanceRequests", newForm())
	f := newForm()
	f.list("SpotInstanceRequestId", opts.Or(c.machine.spot, noSpot))
	c.try(mayCancelSpot, "CancelSpotInstanceRequests", f)
}
