package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v6"
	networkfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v6/fake"
)

// attach gives a machine its interfaces: those that it names, and those that are made with it.
func (c *cloud) attach(base, name string, vm *armcompute.VirtualMachine) *refusal {
	id := base + "/providers/Microsoft.Compute/virtualMachines/" + name
	n := vm.Properties.NetworkProfile
	bad := func(format string, args ...any) *refusal {
		return refuse(http.StatusBadRequest, "InvalidParameter", format, args...)
	}
	if len(n.NetworkInterfaces)+len(n.NetworkInterfaceConfigurations) != 1 {
		return bad("Virtual machine %s must have one network interface.", name)
	}
	for _, ref := range n.NetworkInterfaces {
		nic := c.interfaces[lower(text(ref.ID))]
		switch {
		case nic == nil:
			return refuse(http.StatusNotFound, "InvalidResourceReference", "Resource %s referenced by resource %s was not found.", text(ref.ID), id)
		case nic.Properties.VirtualMachine != nil:
			return refuse(http.StatusBadRequest, "NicInUse", "Network Interface %s is used by existing resource.", *nic.ID)
		}
		nic.Properties.VirtualMachine = &armnetwork.SubResource{ID: to.Ptr(id)}
	}
	for _, wish := range n.NetworkInterfaceConfigurations {
		if n.NetworkAPIVersion == nil || wish.Properties == nil || len(wish.Properties.IPConfigurations) != 1 || wish.Properties.DeleteOption == nil {
			return bad("The network interface configuration is not complete.")
		}
		made, no := c.configured(base, *vm, wish)
		if no != nil {
			return no
		}
		made.Properties.VirtualMachine = &armnetwork.SubResource{ID: to.Ptr(id)}
		n.NetworkInterfaces = []*armcompute.NetworkInterfaceReference{{ID: made.ID, Properties: &armcompute.NetworkInterfaceReferenceProperties{
			Primary: to.Ptr(true), DeleteOption: wish.Properties.DeleteOption,
		}}}
	}
	n.NetworkInterfaceConfigurations = nil
	return nil
}

// configured makes an interface with a machine. What it is called beside the name that was wished is the cloud's business.
func (c *cloud) configured(base string, vm armcompute.VirtualMachine, wish *armcompute.VirtualMachineNetworkInterfaceConfiguration) (*armnetwork.Interface, *refusal) {
	suffix := fmt.Sprintf("-%08x", c.number())
	config := wish.Properties.IPConfigurations[0]
	nic := armnetwork.Interface{Location: vm.Location, Tags: wish.Tags, Properties: &armnetwork.InterfacePropertiesFormat{
		IPConfigurations: []*armnetwork.InterfaceIPConfiguration{{Name: config.Name, Properties: &armnetwork.InterfaceIPConfigurationPropertiesFormat{
			Subnet: &armnetwork.Subnet{ID: config.Properties.Subnet.ID}, PrivateIPAllocationMethod: to.Ptr(armnetwork.IPAllocationMethodDynamic),
		}}},
	}}
	if g := wish.Properties.NetworkSecurityGroup; g != nil {
		nic.Properties.NetworkSecurityGroup = &armnetwork.SecurityGroup{ID: g.ID}
	}
	id := base + "/providers/Microsoft.Network/networkInterfaces/" + *wish.Name + suffix
	if no := c.checkInterface(nic); no != nil {
		return nil, no
	}
	if public := config.Properties.PublicIPAddressConfiguration; public != nil {
		ip := armnetwork.PublicIPAddress{Location: vm.Location, Tags: public.Tags, SKU: &armnetwork.PublicIPAddressSKU{Name: to.Ptr(armnetwork.PublicIPAddressSKUName(text(public.SKU.Name)))},
			Properties: &armnetwork.PublicIPAddressPropertiesFormat{
				PublicIPAllocationMethod: to.Ptr(armnetwork.IPAllocationMethod(text(public.Properties.PublicIPAllocationMethod))),
				DeleteOption:             to.Ptr(armnetwork.DeleteOptions(text(public.Properties.DeleteOption))),
			}}
		if d := public.Properties.DNSSettings; d != nil { // several machines may have one label, with what the cloud adds
			ip.Properties.DNSSettings = &armnetwork.PublicIPAddressDNSSettings{DomainNameLabel: to.Ptr(*d.DomainNameLabel + suffix)}
		}
		address := base + "/providers/Microsoft.Network/publicIPAddresses/" + *public.Name + suffix
		if no := c.makeAddress(address, &ip); no != nil {
			return nil, no
		}
		nic.Properties.IPConfigurations[0].Properties.PublicIPAddress = &armnetwork.PublicIPAddress{ID: to.Ptr(address)}
	}
	return &nic, c.makeInterface(id, &nic)
}

// checkInterface refuses an interface that names what is not there.
func (c *cloud) checkInterface(nic armnetwork.Interface) *refusal {
	if len(nic.Properties.IPConfigurations) != 1 {
		return refuse(http.StatusBadRequest, "InvalidRequestFormat", "An interface has one address here.")
	}
	subnet := text(nic.Properties.IPConfigurations[0].Properties.Subnet.ID)
	network, name, _ := strings.Cut(lower(subnet), "/subnets/")
	there := false
	if n := c.networks[network]; n != nil {
		for _, s := range n.Properties.Subnets {
			there = there || lower(*s.Name) == name
		}
	}
	if !there {
		return refuse(http.StatusNotFound, "InvalidResourceReference", "Resource %s referenced by the interface was not found.", subnet)
	}
	if g := nic.Properties.NetworkSecurityGroup; g != nil && c.guards[lower(*g.ID)] == nil {
		return refuse(http.StatusNotFound, "InvalidResourceReference", "Resource %s referenced by the interface was not found.", *g.ID)
	}
	return checkTags(nic.Tags)
}

func (c *cloud) makeInterface(id string, nic *armnetwork.Interface) *refusal {
	if no := c.checkInterface(*nic); no != nil {
		return no
	}
	nic.ID, nic.Name, nic.Type = to.Ptr(id), to.Ptr(id[strings.LastIndexByte(id, '/')+1:]), to.Ptr("Microsoft.Network/networkInterfaces")
	nic.Properties.ProvisioningState = to.Ptr(armnetwork.ProvisioningStateSucceeded)
	config := nic.Properties.IPConfigurations[0]
	config.ID = to.Ptr(id + "/ipConfigurations/" + text(config.Name))
	if config.Properties.PrivateIPAddress == nil {
		n := c.number()
		config.Properties.PrivateIPAddress = to.Ptr(fmt.Sprintf("192.168.%d.%d", n>>8&255, n&255))
	}
	if p := config.Properties.PublicIPAddress; p != nil {
		ip := c.addresses[lower(text(p.ID))]
		if ip == nil {
			return refuse(http.StatusNotFound, "InvalidResourceReference", "Resource %s referenced by %s was not found.", text(p.ID), id)
		}
		if text(ip.Properties.ProvisioningState) != "Succeeded" && time.Now().Before(c.ready(ip)) {
			return &refusal{status: http.StatusTooManyRequests, code: "RetryableError", message: "A retryable error occurred.", retry: 1, detail: refuse(0, "ReferencedResourceNotProvisioned", "It is in Updating state.")}
		}
		ip.Properties.IPConfiguration = &armnetwork.IPConfiguration{ID: config.ID}
	}
	c.interfaces[lower(id)] = nic
	return nil
}

// ready is when an address that was asked for is there.
func (c *cloud) ready(ip *armnetwork.PublicIPAddress) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text(ip.Etag))
	if err != nil {
		return time.Time{}
	}
	return at
}

func (c *cloud) makeAddress(id string, ip *armnetwork.PublicIPAddress) *refusal {
	sku := ""
	if ip.SKU != nil {
		sku = text(ip.SKU.Name)
	}
	switch method := text(ip.Properties.PublicIPAllocationMethod); {
	case sku != "Standard":
		return refuse(http.StatusBadRequest, "IPv4BasicSkuPublicIpCountLimitReached", "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this region.")
	case method != "Static":
		return refuse(http.StatusBadRequest, "PublicIPAddressesCannotBeDynamic", "Standard sku publicIp must be Static.")
	}
	if d := ip.Properties.DNSSettings; d != nil {
		for _, other := range c.addresses {
			if o := other.Properties.DNSSettings; o != nil && text(o.DomainNameLabel) == text(d.DomainNameLabel) {
				return refuse(http.StatusBadRequest, "DnsRecordInUse", "DNS record %s is already used by another public IP.", text(d.DomainNameLabel))
			}
		}
		d.Fqdn = to.Ptr(text(d.DomainNameLabel) + "." + text(ip.Location) + ".cloudapp.azure.com")
	}
	if no := checkTags(ip.Tags); no != nil {
		return no
	}
	ip.ID, ip.Name, ip.Type = to.Ptr(id), to.Ptr(id[strings.LastIndexByte(id, '/')+1:]), to.Ptr("Microsoft.Network/publicIPAddresses")
	ip.Properties.IPAddress = to.Ptr(fmt.Sprintf("203.0.113.%d", c.number()&255))
	ip.Properties.ProvisioningState = to.Ptr(armnetwork.ProvisioningStateSucceeded)
	c.addresses[lower(id)] = ip
	return nil
}

func (c *cloud) interfaceServer(r *request) *networkfake.InterfacesServer {
	key := lower(r.URL.Path)
	return &networkfake.InterfacesServer{
		Get: func(context.Context, string, string, *armnetwork.InterfacesClientGetOptions) (azfake.Responder[armnetwork.InterfacesClientGetResponse], azfake.ErrorResponder) {
			if nic := c.interfaces[key]; nic != nil {
				return told(200, armnetwork.InterfacesClientGetResponse{Interface: *nic}, nil)
			}
			return told(200, armnetwork.InterfacesClientGetResponse{}, missing(key))
		},
		BeginCreateOrUpdate: func(_ context.Context, _, _ string, nic armnetwork.Interface, _ *armnetwork.InterfacesClientBeginCreateOrUpdateOptions) (azfake.PollerResponder[armnetwork.InterfacesClientCreateOrUpdateResponse], azfake.ErrorResponder) {
			no := c.makeInterface(r.URL.Path, &nic)
			return changed(201, armnetwork.InterfacesClientCreateOrUpdateResponse{Interface: nic}, no)
		},
		BeginDelete: func(context.Context, string, string, *armnetwork.InterfacesClientBeginDeleteOptions) (azfake.PollerResponder[armnetwork.InterfacesClientDeleteResponse], azfake.ErrorResponder) {
			var none armnetwork.InterfacesClientDeleteResponse
			nic := c.interfaces[key]
			switch {
			case nic == nil:
				return changed(204, none, nil)
			case nic.Properties.VirtualMachine != nil:
				return changed(202, none, refuse(http.StatusBadRequest, "NicInUse", "Network Interface %s is used by existing resource.", *nic.ID))
			}
			delete(c.interfaces, key)
			for _, ip := range c.addresses {
				if within(ip, *nic.ID) {
					ip.Properties.IPConfiguration = nil
				}
			}
			return changed(202, none, nil)
		},
		NewListPager: func(string, *armnetwork.InterfacesClientListOptions) azfake.PagerResponder[armnetwork.InterfacesClientListResponse] {
			var page armnetwork.InterfacesClientListResponse
			page.Value, page.NextLink = paged(c, r, sorted(c.interfaces, func(id string) bool { return strings.HasPrefix(id, key+"/") }))
			return onePage(page)
		},
	}
}

func (c *cloud) addressServer(r *request) *networkfake.PublicIPAddressesServer {
	key := lower(r.URL.Path)
	return &networkfake.PublicIPAddressesServer{
		Get: func(context.Context, string, string, *armnetwork.PublicIPAddressesClientGetOptions) (azfake.Responder[armnetwork.PublicIPAddressesClientGetResponse], azfake.ErrorResponder) {
			if ip := c.addresses[key]; ip != nil {
				return told(200, armnetwork.PublicIPAddressesClientGetResponse{PublicIPAddress: *ip}, nil)
			}
			return told(200, armnetwork.PublicIPAddressesClientGetResponse{}, missing(key))
		},
		BeginCreateOrUpdate: func(_ context.Context, _, _ string, ip armnetwork.PublicIPAddress, _ *armnetwork.PublicIPAddressesClientBeginCreateOrUpdateOptions) (azfake.PollerResponder[armnetwork.PublicIPAddressesClientCreateOrUpdateResponse], azfake.ErrorResponder) {
			no := c.makeAddress(r.URL.Path, &ip)
			if no == nil && c.settings.SharedTime > 0 {
				ip.Properties.ProvisioningState = to.Ptr(armnetwork.ProvisioningStateUpdating)
				ip.Etag = to.Ptr(time.Now().Add(c.settings.SharedTime).Format(time.RFC3339Nano))
				c.begin(r, c.settings.SharedTime)
			}
			return changed(201, armnetwork.PublicIPAddressesClientCreateOrUpdateResponse{PublicIPAddress: ip}, no)
		},
		BeginDelete: func(context.Context, string, string, *armnetwork.PublicIPAddressesClientBeginDeleteOptions) (azfake.PollerResponder[armnetwork.PublicIPAddressesClientDeleteResponse], azfake.ErrorResponder) {
			var none armnetwork.PublicIPAddressesClientDeleteResponse
			ip := c.addresses[key]
			switch {
			case ip == nil:
				return changed(204, none, nil)
			case ip.Properties.IPConfiguration != nil:
				return changed(202, none, refuse(http.StatusBadRequest, "PublicIPAddressCannotBeDeleted", "Public IP address %s can not be deleted since it is still allocated to resource %s.", *ip.ID, *ip.Properties.IPConfiguration.ID))
			}
			delete(c.addresses, key)
			return changed(202, none, nil)
		},
		NewListPager: func(string, *armnetwork.PublicIPAddressesClientListOptions) azfake.PagerResponder[armnetwork.PublicIPAddressesClientListResponse] {
			var page armnetwork.PublicIPAddressesClientListResponse
			page.Value, page.NextLink = paged(c, r, sorted(c.addresses, func(id string) bool { return strings.HasPrefix(id, key+"/") }))
			return onePage(page)
		},
	}
}

func (c *cloud) guardServer(r *request) *networkfake.SecurityGroupsServer {
	key := lower(r.URL.Path)
	return &networkfake.SecurityGroupsServer{
		Get: func(context.Context, string, string, *armnetwork.SecurityGroupsClientGetOptions) (azfake.Responder[armnetwork.SecurityGroupsClientGetResponse], azfake.ErrorResponder) {
			if g := c.guards[key]; g != nil {
				return told(200, armnetwork.SecurityGroupsClientGetResponse{SecurityGroup: *g}, nil)
			}
			return told(200, armnetwork.SecurityGroupsClientGetResponse{}, missing(key))
		},
		BeginCreateOrUpdate: func(_ context.Context, _, name string, g armnetwork.SecurityGroup, _ *armnetwork.SecurityGroupsClientBeginCreateOrUpdateOptions) (azfake.PollerResponder[armnetwork.SecurityGroupsClientCreateOrUpdateResponse], azfake.ErrorResponder) {
			g.ID, g.Name = to.Ptr(r.URL.Path), to.Ptr(name)
			state := armnetwork.ProvisioningStateSucceeded
			if c.settings.SharedTime > 0 {
				state = armnetwork.ProvisioningStateUpdating
			}
			g.Properties.ProvisioningState = &state
			c.guards[key] = &g
			c.begin(r, c.settings.SharedTime)
			return changed(201, armnetwork.SecurityGroupsClientCreateOrUpdateResponse{SecurityGroup: g}, checkRules(g))
		},
	}
}

// checkRules holds rules to Azure's: priorities differ, and all is said.
func checkRules(g armnetwork.SecurityGroup) *refusal {
	seen := map[int32]bool{}
	for _, rule := range g.Properties.SecurityRules {
		p := rule.Properties
		if p == nil || p.Priority == nil || *p.Priority < 100 || *p.Priority > 4096 || seen[*p.Priority] || p.Access == nil || p.Direction == nil || p.Protocol == nil ||
			p.SourceAddressPrefix == nil || p.SourcePortRange == nil || p.DestinationAddressPrefix == nil || p.DestinationPortRange == nil {
			return refuse(http.StatusBadRequest, "SecurityRuleConflict", "The security rule %s is not complete, or has a priority of another.", text(rule.Name))
		}
		seen[*p.Priority] = true
	}
	return checkTags(g.Tags)
}

func (c *cloud) networkServer(r *request) *networkfake.VirtualNetworksServer {
	key := lower(r.URL.Path)
	return &networkfake.VirtualNetworksServer{
		Get: func(context.Context, string, string, *armnetwork.VirtualNetworksClientGetOptions) (azfake.Responder[armnetwork.VirtualNetworksClientGetResponse], azfake.ErrorResponder) {
			if n := c.networks[key]; n != nil {
				return told(200, armnetwork.VirtualNetworksClientGetResponse{VirtualNetwork: *n}, nil)
			}
			return told(200, armnetwork.VirtualNetworksClientGetResponse{}, missing(key))
		},
		BeginCreateOrUpdate: func(_ context.Context, _, name string, n armnetwork.VirtualNetwork, _ *armnetwork.VirtualNetworksClientBeginCreateOrUpdateOptions) (azfake.PollerResponder[armnetwork.VirtualNetworksClientCreateOrUpdateResponse], azfake.ErrorResponder) {
			n.ID, n.Name = to.Ptr(r.URL.Path), to.Ptr(name)
			var no *refusal
			for _, s := range n.Properties.Subnets {
				if s.ID = to.Ptr(r.URL.Path + "/subnets/" + text(s.Name)); no == nil {
					no = checkSubnet(n, s)
				}
			}
			state := armnetwork.ProvisioningStateSucceeded
			if c.settings.SharedTime > 0 {
				state = armnetwork.ProvisioningStateUpdating
			}
			n.Properties.ProvisioningState = &state
			if no == nil {
				c.networks[key] = &n
				c.begin(r, c.settings.SharedTime)
			}
			return changed(201, armnetwork.VirtualNetworksClientCreateOrUpdateResponse{VirtualNetwork: n}, no)
		},
	}
}

// checkSubnet refuses a subnet outside of its network.
func checkSubnet(n armnetwork.VirtualNetwork, s *armnetwork.Subnet) *refusal {
	wanted, err := netip.ParsePrefix(text(s.Properties.AddressPrefix))
	if err == nil && n.Properties.AddressSpace != nil {
		for _, p := range n.Properties.AddressSpace.AddressPrefixes {
			if space, err := netip.ParsePrefix(*p); err == nil && space.Bits() <= wanted.Bits() && space.Contains(wanted.Addr()) {
				return nil
			}
		}
	}
	return refuse(http.StatusBadRequest, "NetcfgInvalidSubnet", "Subnet '%s' is not valid because its IP address range is outside the IP address range of virtual network.", text(s.Name))
}

func (c *cloud) subnetServer(r *request) *networkfake.SubnetsServer {
	return &networkfake.SubnetsServer{
		BeginCreateOrUpdate: func(_ context.Context, _, _, name string, s armnetwork.Subnet, _ *armnetwork.SubnetsClientBeginCreateOrUpdateOptions) (azfake.PollerResponder[armnetwork.SubnetsClientCreateOrUpdateResponse], azfake.ErrorResponder) {
			n := c.networks[lower(strings.Split(r.URL.Path, "/subnets/")[0])]
			if n == nil {
				return changed(201, armnetwork.SubnetsClientCreateOrUpdateResponse{}, missing(r.URL.Path))
			}
			s.ID, s.Name = to.Ptr(r.URL.Path), to.Ptr(name)
			n.Properties.Subnets = append(n.Properties.Subnets, &s)
			return changed(201, armnetwork.SubnetsClientCreateOrUpdateResponse{Subnet: s}, nil)
		},
	}
}
