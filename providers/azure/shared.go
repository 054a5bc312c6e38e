package main

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// What machines share: their resource group, network, subnet, security group and availability set. What is there is used as it is, what is not is
// made, and none of it is ever changed or removed.

// groupName is the security group that machines share which open the same ports. What it lets in is in its name, so that it never changes.
func (w wishes) groupName() string {
	const name = "docker-machine-firewall"
	rules := w.rules()
	if w.enginePort == 2376 && len(rules) == 2 {
		return name
	}
	var text strings.Builder
	for _, r := range rules {
		text.WriteString(r.Properties.Protocol + " " + r.Properties.Port + "\n")
	}
	sum := sha256.Sum256([]byte(text.String()))
	return name + "-" + hex.EncodeToString(sum[:4])
}

// securityGroup is the id of the machines' security group.
func (w wishes) securityGroup() string {
	if w.nsg != "" {
		return w.nsg
	}
	return w.network(w.group, "networkSecurityGroups", w.groupName())
}

func (w wishes) vnetID() string   { return w.network(w.vnetGroup, "virtualNetworks", w.vnet) }
func (w wishes) subnetID() string { return w.vnetID() + "/subnets/" + w.subnet }

type ruleBody struct {
	Name       string `json:"name"`
	Properties struct {
		Access      string `json:"access"`
		Direction   string `json:"direction"`
		Priority    int    `json:"priority"`
		Protocol    string `json:"protocol"`
		Source      string `json:"sourceAddressPrefix"`
		SourcePort  string `json:"sourcePortRange"`
		Destination string `json:"destinationAddressPrefix"`
		Port        string `json:"destinationPortRange"`
	} `json:"properties"`
}

// rules are docker-machine's: SSH, the engine, and what the operator opens.
func (w wishes) rules() []ruleBody {
	rule := func(name, protocol string, port, priority int) ruleBody {
		r := ruleBody{Name: name}
		p := &r.Properties
		p.Access, p.Direction, p.Priority, p.Protocol = "Allow", "Inbound", priority, protocol
		p.Source, p.SourcePort, p.Destination, p.Port = "*", "*", "*", strconv.Itoa(port)
		return r
	}
	rules := []ruleBody{rule("SSHAllowAny", "Tcp", 22, 100), rule("DockerAllowAny", "Tcp", w.enginePort, 300)}
	open := slices.Clone(w.ports)
	slices.SortFunc(open, func(a, b port) int { return (a.number-b.number)*2 + strings.Compare(a.protocol, b.protocol) })
	for i, p := range slices.Compact(open) {
		protocol := strings.ToUpper(p.protocol[:1]) + p.protocol[1:]
		rules = append(rules, rule("Port"+strconv.Itoa(p.number)+protocol+"AllowAny", protocol, p.number, 1000+i))
	}
	return rules
}

type (
	locatedBody struct {
		Location   string            `json:"location"`
		Tags       map[string]string `json:"tags,omitempty"`
		SKU        *skuBody          `json:"sku,omitempty"`
		Properties any               `json:"properties,omitempty"`
	}
	subnetBody struct {
		Name       string `json:"name,omitempty"`
		Properties struct {
			AddressPrefix string `json:"addressPrefix"`
		} `json:"properties"`
	}
	spaceBody struct {
		AddressSpace struct {
			AddressPrefixes []string `json:"addressPrefixes"`
		} `json:"addressSpace"`
		Subnets []subnetBody `json:"subnets"`
	}
	domainsBody struct {
		Faults  int `json:"platformFaultDomainCount,omitempty"`
		Updates int `json:"platformUpdateDomainCount,omitempty"`
	}
)

// seen counts for how many machines more what they share is known to be there. It saves calls and nothing else depends on it: an instance of the
// module may have it or not.
var seen = struct {
	sync.Mutex
	left map[string]int
}{left: map[string]int{}}

// seenFor is for how many machines one look is good.
const seenFor = 25

// shareOnce is share, unless it was done lately. Whoever renews what is known does it for those that come meanwhile.
func (w wishes) shareOnce() error {
	key := strings.Join([]string{w.endpoint, w.securityGroup(), w.subnetID(), w.set, w.group, w.location}, " ")
	seen.Lock()
	left, known := seen.left[key]
	if known {
		seen.left[key] = left - 1
		if left == 0 {
			seen.left[key] = seenFor
		}
	}
	seen.Unlock()
	if left > 0 {
		return nil
	}
	err := w.share()
	seen.Lock()
	defer seen.Unlock()
	if delete(seen.left, key); err == nil {
		seen.left[key] = seenFor
	}
	return err
}

// share makes what is missing of what machines share. Many may do so at the same time: all ask for the same.
func (w wishes) share() error {
	for _, part := range []struct {
		what string
		make func() error
	}{
		{"security group", w.shareSecurityGroup}, {"virtual network", w.shareNetwork}, {"availability set", w.shareSet},
	} {
		if err := part.make(); err != nil {
			return driver.About(part.what, err)
		}
	}
	return nil
}

// shareGroup makes the resource group. One that somebody makes at the same time is as good.
func (w wishes) shareGroup(group string) error {
	var made resource
	_, err := w.call(request{method: "PUT", path: w.id(group), version: versionResources, body: locatedBody{Location: w.location, Tags: w.sharedTags()}}, &made)
	if err != nil && !driver.Is(err, abi.Conflict) {
		return driver.About("resource group "+group, err)
	}
	return nil
}

// lacks tells whether there is no such resource.
func (w wishes) lacks(id, version string, out answer) (bool, error) {
	err := w.get(id, version, out)
	if driver.Is(err, abi.NotFound) {
		return true, nil
	}
	return false, err
}

func (w wishes) shareSecurityGroup() error {
	if w.nsg != "" {
		return nil // if it is not there, the machine's creation says so
	}
	id := w.securityGroup()
	missing, err := w.lacks(id, versionNetwork, &resource{})
	if !missing || err != nil {
		return err
	}
	var properties struct {
		Rules []ruleBody `json:"securityRules"`
	}
	properties.Rules = w.rules()
	return w.put("it", id, versionNetwork, locatedBody{Location: w.location, Tags: w.sharedTags(), Properties: properties})
}

// network is a virtual network as far as we look at it.
type network struct {
	resource
	Properties struct {
		Subnets []struct {
			Name string `json:"name"`
		} `json:"subnets"`
	} `json:"properties"`
}

func (w wishes) shareNetwork() error {
	var found network
	missing, err := w.lacks(w.vnetID(), versionNetwork, &found)
	if err != nil {
		return err
	}
	subnet := subnetBody{Name: w.subnet}
	subnet.Properties.AddressPrefix = w.subnetPrefix
	if !missing {
		for _, s := range found.Properties.Subnets {
			if strings.EqualFold(s.Name, w.subnet) {
				return nil
			}
		}
		subnet.Name = ""
		return w.put("its subnet "+w.subnet, w.subnetID(), versionNetwork, subnet)
	}
	if !strings.EqualFold(w.vnetGroup, w.group) {
		if none, err := w.lacks(w.id(w.vnetGroup), versionResources, &resource{}); err != nil {
			return err
		} else if none {
			if err := w.shareGroup(w.vnetGroup); err != nil {
				return err
			}
		}
	}
	space := spaceBody{Subnets: []subnetBody{subnet}}
	space.AddressSpace.AddressPrefixes = addressSpace(w.subnetPrefix)
	return w.put("it", w.vnetID(), versionNetwork, locatedBody{Location: w.location, Tags: w.sharedTags(), Properties: space})
}

// addressSpace is docker-machine's, and the subnet's where that lies elsewhere.
func addressSpace(subnet string) []string {
	space := []string{"192.168.0.0/16", "10.0.0.0/8", "172.16.0.0/12"}
	wanted, err := netip.ParsePrefix(subnet)
	if err != nil {
		return space
	}
	for _, s := range space {
		if p := netip.MustParsePrefix(s); p.Bits() <= wanted.Bits() && p.Contains(wanted.Addr()) {
			return space
		}
	}
	return []string{subnet}
}

func (w wishes) shareSet() error {
	if w.set == "" {
		return nil
	}
	id := w.compute("availabilitySets", w.set)
	missing, err := w.lacks(id, versionCompute, &resource{})
	if !missing || err != nil {
		return err
	}
	body := locatedBody{Location: w.location, Tags: w.sharedTags(), SKU: &skuBody{"Aligned"}, Properties: domainsBody{w.faults, w.updates}} // Aligned: with managed disks
	return w.put("it", id, versionCompute, body)
}
