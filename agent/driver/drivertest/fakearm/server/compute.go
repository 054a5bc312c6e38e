package main

import (
	"context"
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	computefake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7/fake"
)

// machineServer has the operations of machines that the cloud knows, for one request.
func (c *cloud) machineServer(r *request) *computefake.VirtualMachinesServer {
	return &computefake.VirtualMachinesServer{
		Get: func(_ context.Context, _, _ string, o *armcompute.VirtualMachinesClientGetOptions) (azfake.Responder[armcompute.VirtualMachinesClientGetResponse], azfake.ErrorResponder) {
			var shown armcompute.VirtualMachinesClientGetResponse
			m := c.machines[lower(r.URL.Path)]
			if m == nil {
				return told(200, shown, missing(r.URL.Path))
			}
			shown.VirtualMachine = c.show(m, o != nil && text(o.Expand) == "instanceView")
			return told(200, shown, nil)
		},
		BeginCreateOrUpdate: func(_ context.Context, _, name string, vm armcompute.VirtualMachine, o *armcompute.VirtualMachinesClientBeginCreateOrUpdateOptions) (azfake.PollerResponder[armcompute.VirtualMachinesClientCreateOrUpdateResponse], azfake.ErrorResponder) {
			m, no := c.create(r, name, vm, o != nil && text(o.IfNoneMatch) == "*")
			var shown armcompute.VirtualMachinesClientCreateOrUpdateResponse
			if no == nil {
				shown.VirtualMachine = c.show(m, false)
			}
			return changed(201, shown, no)
		},
		BeginDelete: func(_ context.Context, _, _ string, o *armcompute.VirtualMachinesClientBeginDeleteOptions) (azfake.PollerResponder[armcompute.VirtualMachinesClientDeleteResponse], azfake.ErrorResponder) {
			var none armcompute.VirtualMachinesClientDeleteResponse
			m := c.machines[lower(r.URL.Path)]
			if m == nil {
				return changed(204, none, nil)
			}
			m.Properties.ProvisioningState = to.Ptr("Deleting")
			m.gone = time.Now().Add(c.settings.GoneTime)
			c.begin(r, c.settings.GoneTime)
			return changed(202, none, nil)
		},
		BeginStart: func(context.Context, string, string, *armcompute.VirtualMachinesClientBeginStartOptions) (azfake.PollerResponder[armcompute.VirtualMachinesClientStartResponse], azfake.ErrorResponder) {
			return changed(202, armcompute.VirtualMachinesClientStartResponse{}, c.turn(r, "running"))
		},
		BeginDeallocate: func(context.Context, string, string, *armcompute.VirtualMachinesClientBeginDeallocateOptions) (azfake.PollerResponder[armcompute.VirtualMachinesClientDeallocateResponse], azfake.ErrorResponder) {
			return changed(202, armcompute.VirtualMachinesClientDeallocateResponse{}, c.turn(r, "deallocated"))
		},
		BeginPowerOff: func(context.Context, string, string, *armcompute.VirtualMachinesClientBeginPowerOffOptions) (azfake.PollerResponder[armcompute.VirtualMachinesClientPowerOffResponse], azfake.ErrorResponder) {
			return changed(202, armcompute.VirtualMachinesClientPowerOffResponse{}, c.turn(r, "stopped"))
		},
		BeginRestart: func(context.Context, string, string, *armcompute.VirtualMachinesClientBeginRestartOptions) (azfake.PollerResponder[armcompute.VirtualMachinesClientRestartResponse], azfake.ErrorResponder) {
			return changed(202, armcompute.VirtualMachinesClientRestartResponse{}, c.turn(r, "running"))
		},
		NewListPager: func(_ string, _ *armcompute.VirtualMachinesClientListOptions) azfake.PagerResponder[armcompute.VirtualMachinesClientListResponse] {
			var page armcompute.VirtualMachinesClientListResponse
			page.Value, page.NextLink = c.list(r, lower(r.URL.Path)+"/", false)
			return onePage(page)
		},
		NewListAllPager: func(o *armcompute.VirtualMachinesClientListAllOptions) azfake.PagerResponder[armcompute.VirtualMachinesClientListAllResponse] {
			var page armcompute.VirtualMachinesClientListAllResponse
			page.Value, page.NextLink = c.list(r, "", o != nil && text(o.StatusOnly) == "true")
			return onePage(page)
		},
	}
}

// turn switches the machine of a request, which is done at once.
func (c *cloud) turn(r *request, power string) *refusal {
	id := r.URL.Path[:strings.LastIndexByte(r.URL.Path, '/')]
	m := c.machines[lower(id)]
	if m == nil {
		return missing(id)
	}
	m.power = power
	c.begin(r, c.settings.OpTime)
	return nil
}

// list is one page of machines. With their states alone they have neither tags nor a model.
func (c *cloud) list(r *request, prefix string, states bool) ([]*armcompute.VirtualMachine, *string) {
	found, next := paged(c, r, sorted(c.machines, func(key string) bool { return strings.HasPrefix(key, prefix) }))
	shown := make([]*armcompute.VirtualMachine, 0, len(found))
	for _, m := range found {
		vm := c.show(m, states)
		if states {
			vm = armcompute.VirtualMachine{ID: vm.ID, Name: vm.Name, Location: vm.Location, Type: vm.Type, Properties: &armcompute.VirtualMachineProperties{
				ProvisioningState: vm.Properties.ProvisioningState, InstanceView: vm.Properties.InstanceView,
			}}
		}
		shown = append(shown, &vm)
	}
	return shown, next
}

// show is a machine as it is now; what only writes know is left out.
func (c *cloud) show(m *machine, view bool) armcompute.VirtualMachine {
	vm, properties := m.VirtualMachine, *m.Properties
	vm.Properties = &properties
	if properties.OSProfile != nil {
		profile := *properties.OSProfile
		profile.CustomData = nil
		properties.OSProfile = &profile
	}
	properties.InstanceView = nil
	if !view {
		return vm
	}
	state, power := strings.ToLower(*properties.ProvisioningState), "running"
	line := &armcompute.InstanceViewStatus{Code: to.Ptr("ProvisioningState/" + state), Level: to.Ptr(armcompute.StatusLevelTypesInfo)}
	if m.failed != nil && state == "failed" {
		line.Code, line.Message, line.Level = to.Ptr("ProvisioningState/failed/"+m.failed.code), to.Ptr(m.failed.message), to.Ptr(armcompute.StatusLevelTypesError)
		power = ""
	}
	if state == "creating" {
		power = "starting"
	}
	if m.power != "" {
		power = m.power
	}
	lines := []*armcompute.InstanceViewStatus{line}
	if power != "" {
		lines = append(lines, &armcompute.InstanceViewStatus{Code: to.Ptr("PowerState/" + power)})
	}
	properties.InstanceView = &armcompute.VirtualMachineInstanceView{Statuses: lines}
	return vm
}

// create takes a machine on.
func (c *cloud) create(r *request, name string, vm armcompute.VirtualMachine, fresh bool) (*machine, *refusal) {
	key := lower(r.URL.Path)
	switch {
	case c.machines[key] != nil && fresh:
		return nil, refuse(http.StatusPreconditionFailed, "PreconditionFailed", "The resource already exists.")
	case c.machines[key] != nil:
		c.wrong = append(c.wrong, "PUT "+r.URL.Path+": it would change a machine that is there")
		return nil, refuse(http.StatusConflict, "PropertyChangeNotAllowed", "Changing property is not allowed.")
	}
	if no := c.checkMachine(name, vm); no != nil {
		return nil, no
	}
	base := strings.Split(r.URL.Path, "/providers/")[0]
	disk := base + "/providers/Microsoft.Compute/disks/" + *vm.Properties.StorageProfile.OSDisk.Name
	if c.disks[lower(disk)] != nil {
		return nil, refuse(http.StatusConflict, "ConflictingUserInput", "Disk '%s' already exists in resource group. Only CreateOption.Attach is supported.", disk)
	}
	if no := c.attach(base, name, &vm); no != nil {
		return nil, no
	}
	m := &machine{VirtualMachine: vm, ready: time.Now().Add(c.settings.OpTime), failed: c.doom()}
	m.ID, m.Name, m.Type = to.Ptr(r.URL.Path), to.Ptr(name), to.Ptr("Microsoft.Compute/virtualMachines")
	p := m.Properties
	p.VMID, p.ProvisioningState, p.TimeCreated = to.Ptr(c.uuid()), to.Ptr("Creating"), to.Ptr(time.Now())
	p.StorageProfile.OSDisk.ManagedDisk.ID = to.Ptr(disk)
	c.disks[lower(disk)] = &armcompute.Disk{
		ID: to.Ptr(disk), Name: p.StorageProfile.OSDisk.Name, Type: to.Ptr("Microsoft.Compute/disks"), Location: vm.Location, Tags: vm.Tags,
		ManagedBy: m.ID, Properties: &armcompute.DiskProperties{},
	}
	if c.fault == "half-made" { // the machine fails, its parts stay
		c.disks[lower(disk)].ManagedBy = nil
		for _, nic := range c.interfaces {
			if v := nic.Properties.VirtualMachine; v != nil && strings.EqualFold(*v.ID, *m.ID) {
				nic.Properties.VirtualMachine = nil
			}
		}
		return nil, refuse(http.StatusInternalServerError, "InternalExecutionError", "An internal execution error occurred. Please retry later.")
	}
	c.machines[key] = m
	c.begin(r, c.settings.OpTime)
	c.settle()
	return m, nil
}

var (
	keyPath    = regexp.MustCompile(`^/home/[^/]+/\.ssh/authorized_keys$`)
	loginLike  = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	nameLike   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?$`)
	maxTagName = 512
)

const mostCustomData = 65535

// checkMachine refuses what Azure refuses at once.
func (c *cloud) checkMachine(name string, vm armcompute.VirtualMachine) *refusal {
	bad := func(format string, args ...any) *refusal {
		return refuse(http.StatusBadRequest, "InvalidParameter", format, args...)
	}
	p := vm.Properties
	if p == nil || p.HardwareProfile == nil || p.StorageProfile == nil || p.StorageProfile.OSDisk == nil || p.StorageProfile.ImageReference == nil ||
		p.OSProfile == nil || p.NetworkProfile == nil || p.OSProfile.LinuxConfiguration == nil || p.OSProfile.LinuxConfiguration.SSH == nil {
		return bad("Required parameter is missing (null).")
	}
	if no := checkTags(vm.Tags); no != nil {
		return no
	}
	size, disk, system := text(p.HardwareProfile.VMSize), p.StorageProfile.OSDisk, p.OSProfile
	data, err := base64.StdEncoding.DecodeString(text(system.CustomData))
	switch {
	case text(vm.Location) == "" || strings.HasPrefix(text(vm.Location), "nowhere"):
		return refuse(http.StatusBadRequest, "LocationNotAvailableForResourceType", "The provided location '%s' is not available for resource type 'Microsoft.Compute/virtualMachines'.", text(vm.Location))
	case strings.HasSuffix(size, "no_such"):
		return bad("The value %s provided for the VM size is not valid.", size)
	case !nameLike.MatchString(text(system.ComputerName)) || text(system.ComputerName) != name:
		return bad("Linux host name cannot be %s.", text(system.ComputerName))
	case !loginLike.MatchString(text(system.AdminUsername)) || text(system.AdminUsername) == "root":
		return bad("The Admin Username specified is not allowed.")
	case err != nil || len(text(system.CustomData)) > mostCustomData || len(data) == 0:
		return bad("Custom data in OSProfile must be in Base64 encoding and with a maximum length of 65535 characters.")
	case text(disk.CreateOption) != "FromImage" || !slices.Contains(armcompute.PossibleCachingTypesValues(), *disk.Caching) || disk.ManagedDisk == nil ||
		!slices.Contains(armcompute.PossibleStorageAccountTypesValues(), *disk.ManagedDisk.StorageAccountType):
		return bad("The disk is not allowed.")
	case text(p.StorageProfile.ImageReference.SKU) == "no-such":
		return refuse(http.StatusNotFound, "PlatformImageNotFound", "The platform image '%s' is not available. Verify that all fields in the storage profile are correct.", text(p.StorageProfile.ImageReference.Offer))
	case p.EvictionPolicy != nil && p.Priority == nil:
		return bad("Eviction policy can be set only on Azure Spot Virtual Machines.")
	case p.Priority != nil && (!slices.Contains(armcompute.PossibleVirtualMachinePriorityTypesValues(), *p.Priority) || !slices.Contains(armcompute.PossibleVirtualMachineEvictionPolicyTypesValues(), *p.EvictionPolicy)):
		return bad("The priority is not allowed.")
	case p.AvailabilitySet != nil && (p.Priority != nil || len(vm.Zones) > 0):
		return refuse(http.StatusConflict, "OperationNotAllowed", "Availability sets take neither machines in zones nor those of the priority Spot.")
	}
	for _, k := range system.LinuxConfiguration.SSH.PublicKeys {
		if !keyPath.MatchString(text(k.Path)) || !strings.Contains(text(k.Path), "/"+*system.AdminUsername+"/") || !strings.HasPrefix(text(k.KeyData), "ssh-ed25519 ") {
			return bad("The value of parameter linuxConfiguration.ssh.publicKeys is invalid.")
		}
	}
	if set := p.AvailabilitySet; set != nil {
		there := c.sets[lower(text(set.ID))]
		switch {
		case there == nil:
			return refuse(http.StatusNotFound, "NotFound", "Availability set '%s' was not found.", text(set.ID))
		case there.SKU == nil || text(there.SKU.Name) != "Aligned":
			return refuse(http.StatusConflict, "OperationNotAllowed", "Addition of a managed disk to a VM in a non-managed availability set is not supported.")
		}
	}
	return nil
}

// checkTags holds tags to Azure's rules. Source: Azure documentation, "Tag limitations".
func checkTags(tags map[string]*string) *refusal {
	if len(tags) > 50 {
		return refuse(http.StatusBadRequest, "InvalidTags", "There are too many tags.")
	}
	for name, value := range tags {
		if len(name) > maxTagName || strings.ContainsAny(name, `<>%&\?/`) || len(text(value)) > 256 {
			return refuse(http.StatusBadRequest, "InvalidTagNameCharacters", "The tag name '%s' has reserved characters or is too long.", name)
		}
	}
	return nil
}

func (c *cloud) diskServer(r *request) *computefake.DisksServer {
	return &computefake.DisksServer{
		Get: func(context.Context, string, string, *armcompute.DisksClientGetOptions) (azfake.Responder[armcompute.DisksClientGetResponse], azfake.ErrorResponder) {
			d := c.disks[lower(r.URL.Path)]
			if d == nil {
				return told(200, armcompute.DisksClientGetResponse{}, missing(r.URL.Path))
			}
			return told(200, armcompute.DisksClientGetResponse{Disk: *d}, nil)
		},
		BeginDelete: func(context.Context, string, string, *armcompute.DisksClientBeginDeleteOptions) (azfake.PollerResponder[armcompute.DisksClientDeleteResponse], azfake.ErrorResponder) {
			var none armcompute.DisksClientDeleteResponse
			if d := c.disks[lower(r.URL.Path)]; d == nil {
				return changed(204, none, nil)
			} else if d.ManagedBy != nil {
				return changed(202, none, refuse(http.StatusConflict, "OperationNotAllowed", "Disk %s is attached to VM %s.", *d.Name, *d.ManagedBy))
			}
			delete(c.disks, lower(r.URL.Path))
			return changed(202, none, nil)
		},
	}
}

func (c *cloud) setServer() *computefake.AvailabilitySetsServer {
	return &computefake.AvailabilitySetsServer{
		Get: func(_ context.Context, group, name string, _ *armcompute.AvailabilitySetsClientGetOptions) (azfake.Responder[armcompute.AvailabilitySetsClientGetResponse], azfake.ErrorResponder) {
			for id, s := range c.sets {
				if strings.Contains(id, "/resourcegroups/"+lower(group)+"/") && strings.HasSuffix(id, "/"+lower(name)) {
					return told(200, armcompute.AvailabilitySetsClientGetResponse{AvailabilitySet: *s}, nil)
				}
			}
			return told(200, armcompute.AvailabilitySetsClientGetResponse{}, missing(name))
		},
		CreateOrUpdate: func(_ context.Context, group, name string, set armcompute.AvailabilitySet, _ *armcompute.AvailabilitySetsClientCreateOrUpdateOptions) (azfake.Responder[armcompute.AvailabilitySetsClientCreateOrUpdateResponse], azfake.ErrorResponder) {
			for id := range c.groups {
				if strings.HasSuffix(id, "/"+lower(group)) {
					set.ID, set.Name = to.Ptr(*c.groups[id].ID+"/providers/Microsoft.Compute/availabilitySets/"+name), to.Ptr(name)
				}
			}
			c.sets[lower(*set.ID)] = &set
			return told(200, armcompute.AvailabilitySetsClientCreateOrUpdateResponse{AvailabilitySet: set}, checkTags(set.Tags))
		},
	}
}
