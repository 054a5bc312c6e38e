package main

import (
	"net/http"
	"regexp"

	computefake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7/fake"
	networkfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v6/fake"
	resourcesfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/fake"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v6"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

// transport is one of the SDK's fake servers.
type transport interface {
	Do(*http.Request) (*http.Response, error)
}

// route is one of the API's operations.
type route struct {
	method  string
	path    *regexp.Regexp
	api     string // as the SDK calls it: client and method
	query   []string
	actions []string // what the caller must be allowed
	serve   func(*cloud, *request) transport
	body    func() any // the SDK's type of it
}

const (
	inGroup   = `^/subscriptions/[^/]+/resourceGroups/(?P<group>[^/]+)`
	inCompute = inGroup + `/providers/Microsoft\.Compute/`
	inNetwork = inGroup + `/providers/Microsoft\.Network/`
)

// machineActions are what a machine with its parts takes.
// Source: Azure documentation, "Permissions" of Microsoft.Compute and Microsoft.Network; "Virtual Machine Contributor".
var machineActions = []string{
	"Microsoft.Compute/virtualMachines/write", "Microsoft.Compute/disks/write", "Microsoft.Network/networkInterfaces/write", "Microsoft.Network/networkInterfaces/join/action",
	"Microsoft.Network/publicIPAddresses/write", "Microsoft.Network/publicIPAddresses/join/action", "Microsoft.Network/virtualNetworks/subnets/join/action",
	"Microsoft.Network/networkSecurityGroups/join/action",
}

var goneActions = []string{
	"Microsoft.Compute/virtualMachines/delete", "Microsoft.Compute/disks/delete", "Microsoft.Network/networkInterfaces/delete", "Microsoft.Network/publicIPAddresses/delete",
}

func is(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?i)` + pattern + `$`) }

func computeMachines(c *cloud, r *request) transport {
	return computefake.NewVirtualMachinesServerTransport(c.machineServer(r))
}

func networkInterfaces(c *cloud, r *request) transport {
	return networkfake.NewInterfacesServerTransport(c.interfaceServer(r))
}

func networkAddresses(c *cloud, r *request) transport {
	return networkfake.NewPublicIPAddressesServerTransport(c.addressServer(r))
}

func networkGuards(c *cloud, r *request) transport {
	return networkfake.NewSecurityGroupsServerTransport(c.guardServer(r))
}

func networkNetworks(c *cloud, r *request) transport {
	return networkfake.NewVirtualNetworksServerTransport(c.networkServer(r))
}

func networkSubnets(c *cloud, r *request) transport {
	return networkfake.NewSubnetsServerTransport(c.subnetServer(r))
}

func computeDisks(c *cloud, r *request) transport {
	return computefake.NewDisksServerTransport(c.diskServer(r))
}

func computeSets(c *cloud, r *request) transport {
	return computefake.NewAvailabilitySetsServerTransport(c.setServer())
}

func resourceGroups(c *cloud, r *request) transport {
	return resourcesfake.NewResourceGroupsServerTransport(c.groupServer())
}

func resources(c *cloud, r *request) transport {
	return resourcesfake.NewServerTransport(c.resourceServer(r))
}

func acts(list ...string) []string { return list }

// routes are the operations that the cloud knows.
var routes = []route{
	{"GET", is(inCompute + `virtualMachines/[^/]+`), "VirtualMachinesClient.Get", acts("$expand"), acts("Microsoft.Compute/virtualMachines/read"), computeMachines, nil},
	{"PUT", is(inCompute + `virtualMachines/[^/]+`), "VirtualMachinesClient.BeginCreateOrUpdate", nil, machineActions, computeMachines, func() any { return new(armcompute.VirtualMachine) }},
	{"DELETE", is(inCompute + `virtualMachines/[^/]+`), "VirtualMachinesClient.BeginDelete", acts("forceDeletion"), goneActions, computeMachines, nil},
	{"POST", is(inCompute + `virtualMachines/[^/]+/start`), "VirtualMachinesClient.BeginStart", nil, acts("Microsoft.Compute/virtualMachines/start/action"), computeMachines, nil},
	{"POST", is(inCompute + `virtualMachines/[^/]+/deallocate`), "VirtualMachinesClient.BeginDeallocate", acts("hibernate"), acts("Microsoft.Compute/virtualMachines/deallocate/action"), computeMachines, nil},
	{"POST", is(inCompute + `virtualMachines/[^/]+/powerOff`), "VirtualMachinesClient.BeginPowerOff", acts("skipShutdown"), acts("Microsoft.Compute/virtualMachines/powerOff/action"), computeMachines, nil},
	{"POST", is(inCompute + `virtualMachines/[^/]+/restart`), "VirtualMachinesClient.BeginRestart", nil, acts("Microsoft.Compute/virtualMachines/restart/action"), computeMachines, nil},
	{"GET", is(inCompute + `virtualMachines`), "VirtualMachinesClient.NewListPager", acts("$skiptoken"), acts("Microsoft.Compute/virtualMachines/read"), computeMachines, nil},
	{"GET", is(`^/subscriptions/[^/]+/providers/Microsoft\.Compute/virtualMachines`), "VirtualMachinesClient.NewListAllPager", acts("statusOnly", "$skiptoken"), acts("subscription: Microsoft.Compute/virtualMachines/read"), computeMachines, nil},
	{"GET", is(inCompute + `disks/[^/]+`), "DisksClient.Get", nil, acts("Microsoft.Compute/disks/read"), computeDisks, nil},
	{"DELETE", is(inCompute + `disks/[^/]+`), "DisksClient.BeginDelete", nil, acts("Microsoft.Compute/disks/delete"), computeDisks, nil},
	{"GET", is(inCompute + `availabilitySets/[^/]+`), "AvailabilitySetsClient.Get", nil, acts("Microsoft.Compute/availabilitySets/read"), computeSets, nil},
	{"PUT", is(inCompute + `availabilitySets/[^/]+`), "AvailabilitySetsClient.CreateOrUpdate", nil, acts("Microsoft.Compute/availabilitySets/write"), computeSets, func() any { return new(armcompute.AvailabilitySet) }},
	{"GET", is(inNetwork + `networkInterfaces/[^/]+`), "InterfacesClient.Get", nil, acts("Microsoft.Network/networkInterfaces/read"), networkInterfaces, nil},
	{"GET", is(inNetwork + `networkInterfaces`), "InterfacesClient.NewListPager", acts("$skiptoken"), acts("Microsoft.Network/networkInterfaces/read"), networkInterfaces, nil},
	{"PUT", is(inNetwork + `networkInterfaces/[^/]+`), "InterfacesClient.BeginCreateOrUpdate", nil, acts("Microsoft.Network/networkInterfaces/write"), networkInterfaces, func() any { return new(armnetwork.Interface) }},
	{"DELETE", is(inNetwork + `networkInterfaces/[^/]+`), "InterfacesClient.BeginDelete", nil, acts("Microsoft.Network/networkInterfaces/delete"), networkInterfaces, nil},
	{"GET", is(inNetwork + `publicIPAddresses/[^/]+`), "PublicIPAddressesClient.Get", nil, acts("Microsoft.Network/publicIPAddresses/read"), networkAddresses, nil},
	{"GET", is(inNetwork + `publicIPAddresses`), "PublicIPAddressesClient.NewListPager", acts("$skiptoken"), acts("Microsoft.Network/publicIPAddresses/read"), networkAddresses, nil},
	{"PUT", is(inNetwork + `publicIPAddresses/[^/]+`), "PublicIPAddressesClient.BeginCreateOrUpdate", nil, acts("Microsoft.Network/publicIPAddresses/write"), networkAddresses, func() any { return new(armnetwork.PublicIPAddress) }},
	{"DELETE", is(inNetwork + `publicIPAddresses/[^/]+`), "PublicIPAddressesClient.BeginDelete", nil, acts("Microsoft.Network/publicIPAddresses/delete"), networkAddresses, nil},
	{"GET", is(inNetwork + `networkSecurityGroups/[^/]+`), "SecurityGroupsClient.Get", nil, acts("Microsoft.Network/networkSecurityGroups/read"), networkGuards, nil},
	{"PUT", is(inNetwork + `networkSecurityGroups/[^/]+`), "SecurityGroupsClient.BeginCreateOrUpdate", nil, acts("Microsoft.Network/networkSecurityGroups/write"), networkGuards, func() any { return new(armnetwork.SecurityGroup) }},
	{"GET", is(inNetwork + `virtualNetworks/[^/]+`), "VirtualNetworksClient.Get", nil, acts("Microsoft.Network/virtualNetworks/read"), networkNetworks, nil},
	{"PUT", is(inNetwork + `virtualNetworks/[^/]+`), "VirtualNetworksClient.BeginCreateOrUpdate", nil, acts("Microsoft.Network/virtualNetworks/write"), networkNetworks, func() any { return new(armnetwork.VirtualNetwork) }},
	{"PUT", is(inNetwork + `virtualNetworks/[^/]+/subnets/[^/]+`), "SubnetsClient.BeginCreateOrUpdate", nil, acts("Microsoft.Network/virtualNetworks/subnets/write"), networkSubnets, func() any { return new(armnetwork.Subnet) }},
	{"GET", is(inGroup), "ResourceGroupsClient.Get", nil, acts("Microsoft.Resources/subscriptions/resourceGroups/read"), resourceGroups, nil},
	{"PUT", is(inGroup), "ResourceGroupsClient.CreateOrUpdate", nil, acts("Microsoft.Resources/subscriptions/resourceGroups/write"), resourceGroups, func() any { return new(armresources.ResourceGroup) }},
	{"GET", is(inGroup + `/resources`), "Client.NewListByResourceGroupPager", acts("$filter", "$skiptoken"), acts("Microsoft.Resources/subscriptions/resourceGroups/resources/read"), resources, nil},
}
