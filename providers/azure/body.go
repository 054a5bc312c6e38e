package main

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/cloudinit"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// The parts of the API's bodies that we send.
// Source: Azure REST API, "Virtual Machines - Create Or Update" of 2025-04-01; "Network Interfaces" and "Public IP Addresses" of 2024-05-01.
type (
	vmBody struct {
		Location   string            `json:"location"`
		Tags       map[string]string `json:"tags"`
		Zones      []string          `json:"zones,omitempty"`
		Plan       *planBody         `json:"plan,omitempty"`
		Identity   *identityBody     `json:"identity,omitempty"`
		Properties vmProperties      `json:"properties"`
	}
	vmProperties struct {
		HardwareProfile struct {
			VMSize string `json:"vmSize"`
		} `json:"hardwareProfile"`
		StorageProfile  storageBody  `json:"storageProfile"`
		OSProfile       osBody       `json:"osProfile"`
		NetworkProfile  networkBody  `json:"networkProfile"`
		AvailabilitySet *reference   `json:"availabilitySet,omitempty"`
		Priority        string       `json:"priority,omitempty"`
		EvictionPolicy  string       `json:"evictionPolicy,omitempty"`
		BillingProfile  *billingBody `json:"billingProfile,omitempty"`
	}
	billingBody struct {
		MaxPrice float64 `json:"maxPrice"`
	}
	planBody struct {
		Name      string `json:"name"`
		Publisher string `json:"publisher"`
		Product   string `json:"product"`
	}
	identityBody struct {
		Type   string              `json:"type"`
		Users  map[string]struct{} `json:"userAssignedIdentities,omitempty"`
		system bool
	}
	reference struct {
		ID string `json:"id"`
	}
	referenceBody struct {
		Publisher string `json:"publisher,omitempty"`
		Offer     string `json:"offer,omitempty"`
		SKU       string `json:"sku,omitempty"`
		Version   string `json:"version,omitempty"`
		ID        string `json:"id,omitempty"`
		Community string `json:"communityGalleryImageId,omitempty"`
		Shared    string `json:"sharedGalleryImageId,omitempty"`
	}
	storageBody struct {
		ImageReference referenceBody `json:"imageReference"`
		OSDisk         diskBody      `json:"osDisk"`
	}
	diskBody struct {
		Name         string `json:"name"`
		CreateOption string `json:"createOption"`
		DeleteOption string `json:"deleteOption"`
		Caching      string `json:"caching"`
		DiskSizeGB   int    `json:"diskSizeGB"`
		ManagedDisk  struct {
			StorageAccountType string `json:"storageAccountType"`
		} `json:"managedDisk"`
	}
	osBody struct {
		ComputerName       string    `json:"computerName"`
		AdminUsername      string    `json:"adminUsername"`
		CustomData         string    `json:"customData"`
		LinuxConfiguration linuxBody `json:"linuxConfiguration"`
	}
	linuxBody struct {
		DisablePasswordAuthentication bool `json:"disablePasswordAuthentication"`
		SSH                           struct {
			PublicKeys []keyBody `json:"publicKeys"`
		} `json:"ssh"`
	}
	keyBody struct {
		Path    string `json:"path"`
		KeyData string `json:"keyData"`
	}
	networkBody struct {
		NetworkAPIVersion string         `json:"networkApiVersion,omitempty"`
		Configurations    []nicBody      `json:"networkInterfaceConfigurations,omitempty"`
		Interfaces        []nicReference `json:"networkInterfaces,omitempty"`
	}
	nicReference struct {
		ID         string `json:"id"`
		Properties struct {
			Primary      bool   `json:"primary"`
			DeleteOption string `json:"deleteOption"`
		} `json:"properties"`
	}
	// nicBody is an interface that is made with the machine, or before it.
	nicBody struct {
		Name       string            `json:"name,omitempty"`
		Location   string            `json:"location,omitempty"`
		Tags       map[string]string `json:"tags"`
		Properties nicProperties     `json:"properties"`
	}
	nicProperties struct {
		Primary       bool       `json:"primary,omitempty"`
		DeleteOption  string     `json:"deleteOption,omitempty"`
		Accelerated   bool       `json:"enableAcceleratedNetworking,omitempty"`
		SecurityGroup *reference `json:"networkSecurityGroup"`
		IPs           []ipConfig `json:"ipConfigurations"`
	}
	ipConfig struct {
		Name       string `json:"name"`
		Properties struct {
			Primary       bool       `json:"primary"`
			Subnet        reference  `json:"subnet"`
			NewPublic     *ipBody    `json:"publicIPAddressConfiguration,omitempty"`
			Public        *reference `json:"publicIPAddress,omitempty"`
			PrivateMethod string     `json:"privateIPAllocationMethod,omitempty"`
			PrivateIP     string     `json:"privateIPAddress,omitempty"`
		} `json:"properties"`
	}
	// ipBody is a public address that is made with the machine, or before it.
	ipBody struct {
		Name       string            `json:"name,omitempty"`
		Location   string            `json:"location,omitempty"`
		Zones      []string          `json:"zones,omitempty"`
		Tags       map[string]string `json:"tags"`
		SKU        skuBody           `json:"sku"`
		Properties struct {
			Method       string   `json:"publicIPAllocationMethod"`
			DeleteOption string   `json:"deleteOption"`
			DNS          *dnsBody `json:"dnsSettings,omitempty"`
		} `json:"properties"`
	}
	skuBody struct {
		Name string `json:"name"`
	}
	dnsBody struct {
		Label string `json:"domainNameLabel"`
	}
)

const (
	deleteWith = "Delete" // with the machine
	// networkAPI is the version by which the machine's interface and address are made.
	networkAPI = "2022-11-01"
)

// body describes the machine, and with it its disk, interface and address, which go when it goes. nic is the id of an interface that is there
// already; "" has one made.
func (w wishes) body(req abi.CreateRequest, nic string) vmBody {
	b := vmBody{Location: w.location, Tags: w.allTags(req), Plan: w.plan, Identity: w.identity}
	if w.zone != "" {
		b.Zones = []string{w.zone}
	}
	v := &b.Properties
	v.HardwareProfile.VMSize = w.size
	v.StorageProfile.ImageReference = w.image.reference
	v.StorageProfile.OSDisk = diskBody{Name: req.Name + diskSuffix, CreateOption: "FromImage", DeleteOption: deleteWith, Caching: "ReadWrite", DiskSizeGB: w.diskGB}
	v.StorageProfile.OSDisk.ManagedDisk.StorageAccountType = w.storage
	v.OSProfile = osBody{ComputerName: req.Name, AdminUsername: w.user, CustomData: base64.StdEncoding.EncodeToString([]byte(userData(req, w.customData)))}
	v.OSProfile.LinuxConfiguration.DisablePasswordAuthentication = true
	v.OSProfile.LinuxConfiguration.SSH.PublicKeys = []keyBody{{"/home/" + w.user + "/.ssh/authorized_keys", strings.TrimSpace(req.Bootstrap.AuthorizedKey)}}
	if w.set != "" {
		v.AvailabilitySet = &reference{w.compute("availabilitySets", w.set)}
	}
	if v.Priority, v.EvictionPolicy = w.priority, w.eviction; w.maxPrice != nil {
		v.BillingProfile = &billingBody{*w.maxPrice}
	}
	if nic == "" {
		v.NetworkProfile = networkBody{NetworkAPIVersion: networkAPI, Configurations: []nicBody{w.newNIC(req)}}
		return b
	}
	given := nicReference{ID: nic}
	given.Properties.Primary, given.Properties.DeleteOption = true, deleteWith
	v.NetworkProfile.Interfaces = []nicReference{given}
	return b
}

// newNIC is an interface that is made with the machine.
func (w wishes) newNIC(req abi.CreateRequest) nicBody {
	b := w.nic(req)
	b.Name, b.Properties.Primary, b.Properties.DeleteOption = req.Name+nicSuffix, true, deleteWith
	if w.public {
		ip := w.ip(req)
		ip.Name = req.Name + ipSuffix
		b.Properties.IPs[0].Properties.NewPublic = &ip
	}
	return b
}

// nic is what interfaces have in common, however they are made.
func (w wishes) nic(req abi.CreateRequest) nicBody {
	c := ipConfig{Name: "ip"}
	c.Properties.Primary = true
	c.Properties.Subnet.ID = w.subnetID()
	return nicBody{Tags: w.allTags(req), Properties: nicProperties{
		Accelerated: w.accelerated, SecurityGroup: &reference{w.securityGroup()}, IPs: []ipConfig{c},
	}}
}

// ip is what public addresses have in common. Those of the SKU Standard are static.
func (w wishes) ip(req abi.CreateRequest) ipBody {
	b := ipBody{Tags: w.allTags(req), SKU: skuBody{"Standard"}}
	b.Properties.Method, b.Properties.DeleteOption = "Static", deleteWith
	if w.basicSKU {
		b.SKU.Name = "Basic"
		if !w.static {
			b.Properties.Method = "Dynamic"
		}
	}
	if w.dns != "" {
		b.Properties.DNS = &dnsBody{w.dns}
	}
	return b
}

// userData is the host key as cloud-init takes it, the machine's end and what the host has the first boot do, joined with the operator's own. The login is made by the cloud.
func userData(req abi.CreateRequest, theirs string) string {
	return cloudinit.JoinScripts(cloudinit.HostKey(req.Bootstrap), theirs, cloudinit.End(req.ExpiresAt), req.Bootstrap.FirstBoot)
}

// Tags of everything that the driver makes for a machine. A list must not depend on the options of the machines, so what it needs of them is here.
const (
	tagPrefix  = "millwright-"
	tagOwner   = tagPrefix + "owner"
	tagRunner  = tagPrefix + "runner"
	tagMachine = tagPrefix + "machine"
	tagUser    = tagPrefix + "user"
	tagReach   = tagPrefix + "reach"
	tagPort    = tagPrefix + "port"
	tagShared  = tagPrefix + "shared" // of what all machines use, which is never removed

	reachPrivate = "private"
	reachName    = "name"
)

// Names of what belongs to one machine, after its own, which are docker-machine's.
const (
	diskSuffix = "-os-disk"
	nicSuffix  = "-nic"
	ipSuffix   = "-ip"
)

// mostTags leaves room for ours among the 50 that Azure allows.
const mostTags = 40

// allTags are the operator's, the host's and ours.
func (w wishes) allTags(req abi.CreateRequest) map[string]string {
	tags := map[string]string{}
	for key, value := range req.Labels {
		if key = asTagName(key); key != "" && len(tags)+len(w.tags) < mostTags {
			tags[key] = asTagValue(value)
		}
	}
	for key, value := range w.tags {
		tags[key] = value
	}
	tags[tagOwner], tags[tagMachine], tags[tagUser] = req.Owner.ID, req.Name, w.user
	tags[tagRunner] = asTagValue(req.Owner.Runner)
	if w.reach != "" {
		tags[tagReach] = w.reach
	}
	if port := strconv.Itoa(w.enginePort); port != defaultPort {
		tags[tagPort] = port
	}
	return tags
}

// sharedTags are those of what all machines use.
func (w wishes) sharedTags() map[string]string {
	tags := map[string]string{tagShared: "true"}
	for key, value := range w.tags {
		tags[key] = value
	}
	return tags
}

// asTagName makes a tag's name of any text. Source: Azure documentation, "Tag limitations".
func asTagName(text string) string {
	return cut(strings.Map(func(c rune) rune {
		if c < ' ' || strings.ContainsRune(`<>%&\?/`, c) {
			return '-'
		}
		return c
	}, text), 512)
}

func asTagValue(text string) string { return cut(text, 256) }

// cut shortens text to so many bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
