package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v6"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

// cloud is one subscription's world.
type cloud struct {
	settings settings
	url      string
	versions map[string]string // by the name of the SDK's client

	mu         sync.Mutex // guards what follows
	groups     map[string]*armresources.ResourceGroup
	machines   map[string]*machine
	disks      map[string]*armcompute.Disk
	sets       map[string]*armcompute.AvailabilitySet
	interfaces map[string]*armnetwork.Interface
	addresses  map[string]*armnetwork.PublicIPAddress
	guards     map[string]*armnetwork.SecurityGroup
	networks   map[string]*armnetwork.VirtualNetwork
	operations map[string]*operation
	calls      map[string]int // by action
	actions    map[string]bool
	wrong      []string
	fault      string
	denied     map[string]bool // actions
	ids        int
}

// machine is a virtual machine.
type machine struct {
	armcompute.VirtualMachine
	ready  time.Time // when it runs, or has failed
	gone   time.Time // when it is deleted; zero: it stays
	power  string    // one that was set
	failed *refusal
	on     bool // the hardware runs it
}

// operation is a change that takes its time.
type operation struct {
	due time.Time
}

func newCloud(s settings, url string, versions map[string]string) *cloud {
	return &cloud{
		settings: s, url: url, versions: versions, groups: map[string]*armresources.ResourceGroup{}, machines: map[string]*machine{},
		disks: map[string]*armcompute.Disk{}, sets: map[string]*armcompute.AvailabilitySet{}, interfaces: map[string]*armnetwork.Interface{},
		addresses: map[string]*armnetwork.PublicIPAddress{}, guards: map[string]*armnetwork.SecurityGroup{},
		networks: map[string]*armnetwork.VirtualNetwork{}, operations: map[string]*operation{}, calls: map[string]int{}, actions: map[string]bool{},
		denied: map[string]bool{}, ids: 0x1000,
	}
}

// uuid is one of the cloud's. The caller holds mu.
func (c *cloud) uuid() string {
	c.ids++
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", c.ids)
}

func (c *cloud) number() int {
	c.ids++
	return c.ids
}

// settle brings the cloud up to date. The caller holds mu.
func (c *cloud) settle() {
	now := time.Now()
	for key, m := range c.machines {
		if !m.gone.IsZero() && !now.Before(m.gone) {
			c.drop(key)
			continue
		}
		if now.Before(m.ready) || *m.Properties.ProvisioningState != "Creating" {
			continue
		}
		m.Properties.ProvisioningState = to.Ptr("Succeeded")
		if m.failed != nil {
			m.Properties.ProvisioningState = to.Ptr("Failed")
			continue
		}
		c.boot(m)
	}
}

// drop deletes a machine and what goes with it. The caller holds mu.
func (c *cloud) drop(key string) {
	m := c.machines[key]
	delete(c.machines, key)
	c.off(m)
	if d := m.Properties.StorageProfile.OSDisk; d.DeleteOption != nil && *d.DeleteOption == armcompute.DiskDeleteOptionTypesDelete {
		delete(c.disks, lower(*d.ManagedDisk.ID))
	} else if disk := c.disks[lower(*d.ManagedDisk.ID)]; disk != nil {
		disk.ManagedBy = nil
	}
	for _, ref := range m.Properties.NetworkProfile.NetworkInterfaces {
		nic := c.interfaces[lower(*ref.ID)]
		if nic == nil {
			continue
		}
		nic.Properties.VirtualMachine = nil
		if ref.Properties == nil || ref.Properties.DeleteOption == nil || *ref.Properties.DeleteOption != armcompute.DeleteOptionsDelete {
			continue
		}
		delete(c.interfaces, lower(*ref.ID))
		for _, ip := range c.addresses {
			if within(ip, *nic.ID) {
				ip.Properties.IPConfiguration = nil
				if ip.Properties.DeleteOption != nil && *ip.Properties.DeleteOption == armnetwork.DeleteOptionsDelete {
					delete(c.addresses, lower(*ip.ID))
				}
			}
		}
	}
}

// within tells whether an address is an interface's.
func within(ip *armnetwork.PublicIPAddress, nic string) bool {
	c := ip.Properties.IPConfiguration
	return c != nil && strings.HasPrefix(lower(*c.ID), lower(nic)+"/")
}

// command does what a test asks for.
func (c *cloud) command(cmd command) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	switch cmd.Do {
	case "fail":
		if !slices.Contains(faults, cmd.Name) {
			return nil, fmt.Errorf("the cloud does not know how to fail by %q", cmd.Name)
		}
		c.fault = cmd.Name
	case "deny":
		c.denied[cmd.Name] = true
	case "grant":
		clear(c.denied)
	case "put":
		return nil, c.force(cmd.Name, cmd.Value)
	case "add":
		return nil, c.add(cmd)
	case "calls":
		return c.calls, nil
	case "actions":
		return slices.Sorted(maps.Keys(c.actions)), nil
	case "wrong":
		return c.wrong, nil
	case "left":
		return c.left(cmd.Name), nil
	case "show":
		return c.everything()[lower(cmd.Name)], nil
	case "ids":
		return slices.Sorted(maps.Keys(c.everything())), nil
	default:
		return nil, fmt.Errorf("the cloud knows no %q", cmd.Do)
	}
	return nil, nil
}

// everything is what there is, by id in lower case.
func (c *cloud) everything() map[string]any {
	all := map[string]any{}
	for id, m := range c.machines {
		all[id] = m.VirtualMachine
	}
	into(all, c.disks)
	into(all, c.sets)
	into(all, c.interfaces)
	into(all, c.addresses)
	into(all, c.guards)
	into(all, c.networks)
	into(all, c.groups)
	return all
}

func into[T any](all map[string]any, some map[string]T) {
	for id, r := range some {
		all[id] = r
	}
}

// left lists what bears a tag with that value; machines that are going do not count.
func (c *cloud) left(owner string) []string {
	found := []string{}
	for _, r := range c.tagged() {
		for _, v := range r.Tags {
			if v != nil && *v == owner {
				found = append(found, *r.ID)
			}
		}
	}
	slices.Sort(found)
	return found
}

// force lets a machine be in a power state; "" lets it go at once.
func (c *cloud) force(name, power string) error {
	for key, m := range c.machines {
		if *m.Name == name {
			if m.power = power; power == "" {
				c.drop(key)
			}
			return nil
		}
	}
	return fmt.Errorf("there is no machine %s", name)
}

// add makes something that is somebody's: an id of a machine, interface, address or disk with tags.
func (c *cloud) add(cmd command) error {
	tags := map[string]*string{}
	for k, v := range cmd.Tags {
		tags[k] = to.Ptr(v)
	}
	parts := strings.Split(cmd.Name, "/")
	id, name, location := to.Ptr(cmd.Name), to.Ptr(parts[len(parts)-1]), to.Ptr("westus")
	switch kind := parts[len(parts)-2]; kind {
	case "resourceGroups":
		c.groups[lower(*id)] = &armresources.ResourceGroup{ID: id, Name: name, Location: location, Tags: tags}
	case "virtualMachines":
		disk := to.Ptr(strings.Replace(*id, "virtualMachines", "disks", 1))
		c.machines[lower(*id)] = &machine{VirtualMachine: armcompute.VirtualMachine{ID: id, Name: name, Location: location, Tags: tags, Properties: &armcompute.VirtualMachineProperties{
			VMID: to.Ptr(c.uuid()), ProvisioningState: to.Ptr("Succeeded"), NetworkProfile: &armcompute.NetworkProfile{},
			StorageProfile: &armcompute.StorageProfile{OSDisk: &armcompute.OSDisk{ManagedDisk: &armcompute.ManagedDiskParameters{ID: disk}}},
		}}}
	case "networkInterfaces":
		c.interfaces[lower(*id)] = &armnetwork.Interface{ID: id, Name: name, Location: location, Tags: tags, Properties: &armnetwork.InterfacePropertiesFormat{}}
	case "publicIPAddresses":
		c.addresses[lower(*id)] = &armnetwork.PublicIPAddress{ID: id, Name: name, Location: location, Tags: tags, Properties: &armnetwork.PublicIPAddressPropertiesFormat{}}
	case "disks":
		c.disks[lower(*id)] = &armcompute.Disk{ID: id, Name: name, Location: location, Tags: tags, Properties: &armcompute.DiskProperties{}}
	case "networkSecurityGroups":
		c.guards[lower(*id)] = &armnetwork.SecurityGroup{ID: id, Name: name, Location: location, Tags: tags, Properties: &armnetwork.SecurityGroupPropertiesFormat{}}
	case "virtualNetworks":
		c.networks[lower(*id)] = &armnetwork.VirtualNetwork{ID: id, Name: name, Location: location, Tags: tags, Properties: &armnetwork.VirtualNetworkPropertiesFormat{
			Subnets: []*armnetwork.Subnet{{ID: to.Ptr(*id + "/subnets/theirs"), Name: to.Ptr("theirs"), Properties: &armnetwork.SubnetPropertiesFormat{AddressPrefix: to.Ptr("10.0.0.0/16")}}},
		}}
	case "availabilitySets":
		c.sets[lower(*id)] = &armcompute.AvailabilitySet{ID: id, Name: name, Location: location, Tags: tags, SKU: &armcompute.SKU{Name: to.Ptr("Aligned")}, Properties: &armcompute.AvailabilitySetProperties{}}
	default:
		return fmt.Errorf("the cloud knows no %s", kind)
	}
	return nil
}

func lower(id string) string { return strings.ToLower(id) }
