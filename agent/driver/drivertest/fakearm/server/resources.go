package main

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	resourcesfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/fake"
)

func (c *cloud) groupServer() *resourcesfake.ResourceGroupsServer {
	find := func(name string) *armresources.ResourceGroup {
		for id, g := range c.groups {
			if strings.HasSuffix(id, "/"+lower(name)) {
				return g
			}
		}
		return nil
	}
	return &resourcesfake.ResourceGroupsServer{
		Get: func(_ context.Context, name string, _ *armresources.ResourceGroupsClientGetOptions) (azfake.Responder[armresources.ResourceGroupsClientGetResponse], azfake.ErrorResponder) {
			return told(200, armresources.ResourceGroupsClientGetResponse{ResourceGroup: *find(name)}, nil) // groupOf has looked
		},
		CreateOrUpdate: func(_ context.Context, name string, g armresources.ResourceGroup, _ *armresources.ResourceGroupsClientCreateOrUpdateOptions) (azfake.Responder[armresources.ResourceGroupsClientCreateOrUpdateResponse], azfake.ErrorResponder) {
			if old := find(name); old != nil && text(old.Location) != text(g.Location) {
				return told(200, armresources.ResourceGroupsClientCreateOrUpdateResponse{}, refuse(http.StatusConflict, "InvalidResourceGroupLocation", "Invalid resource group location '%s'. The Resource group already exists in location '%s'.", text(g.Location), text(old.Location)))
			} else if old != nil && old.Tags["theirs"] != nil {
				c.wrong = append(c.wrong, "PUT "+name+": it would change a resource group that is there")
			}
			id := "/subscriptions/" + subscription + "/resourceGroups/" + name
			g.ID, g.Name, g.Properties = to.Ptr(id), to.Ptr(name), &armresources.ResourceGroupProperties{ProvisioningState: to.Ptr("Succeeded")}
			c.groups[lower(id)] = &g
			return told(201, armresources.ResourceGroupsClientCreateOrUpdateResponse{ResourceGroup: g}, checkTags(g.Tags))
		},
	}
}

// subscription is the one that the cloud has.
const subscription = "11111111-2222-3333-4444-555555555555"

// tagged is everything that has tags, as the index of resources shows it.
func (c *cloud) tagged() (all []*armresources.GenericResourceExpanded) {
	add := func(id *string, kind string, tags map[string]*string) {
		all = append(all, &armresources.GenericResourceExpanded{ID: id, Name: to.Ptr((*id)[strings.LastIndexByte(*id, '/')+1:]), Type: to.Ptr(kind), Tags: tags})
	}
	for _, m := range sorted(c.machines, every) {
		if m.gone.IsZero() {
			add(m.ID, "Microsoft.Compute/virtualMachines", m.Tags)
		}
	}
	for _, d := range sorted(c.disks, every) {
		add(d.ID, "Microsoft.Compute/disks", d.Tags)
	}
	for _, ip := range sorted(c.addresses, every) {
		add(ip.ID, "Microsoft.Network/publicIPAddresses", ip.Tags)
	}
	for _, nic := range sorted(c.interfaces, every) {
		add(nic.ID, "Microsoft.Network/networkInterfaces", nic.Tags)
	}
	for _, g := range sorted(c.guards, every) {
		add(g.ID, "Microsoft.Network/networkSecurityGroups", g.Tags)
	}
	for _, n := range sorted(c.networks, every) {
		add(n.ID, "Microsoft.Network/virtualNetworks", n.Tags)
	}
	for _, s := range sorted(c.sets, every) {
		add(s.ID, "Microsoft.Compute/availabilitySets", s.Tags)
	}
	return all
}

func every(string) bool { return true }

// tagFilter is the one form of a filter that the cloud knows. Source: Azure REST API, "Resources - List By Resource Group".
var tagFilter = regexp.MustCompile(`^tagName eq '([^']+)'( and tagValue eq '([^']*)')?$`)

func (c *cloud) resourceServer(r *request) *resourcesfake.Server {
	return &resourcesfake.Server{
		NewListByResourceGroupPager: func(group string, o *armresources.ClientListByResourceGroupOptions) azfake.PagerResponder[armresources.ClientListByResourceGroupResponse] {
			var page armresources.ClientListByResourceGroupResponse
			m := []string(nil)
			if o != nil {
				m = tagFilter.FindStringSubmatch(text(o.Filter))
			}
			if m == nil {
				c.wrong = append(c.wrong, "GET "+r.URL.RequestURI()+": the filter is none that Azure knows")
				return onePage(page)
			}
			all := slices.DeleteFunc(c.tagged(), func(g *armresources.GenericResourceExpanded) bool {
				value, ok := g.Tags[m[1]]
				return !ok || m[2] != "" && text(value) != m[3] || !strings.Contains(lower(*g.ID), "/resourcegroups/"+lower(group)+"/")
			})
			page.Value, page.NextLink = paged(c, r, all)
			return onePage(page)
		},
	}
}
