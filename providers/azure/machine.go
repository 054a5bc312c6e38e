package main

import (
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// vm is what the API tells of a virtual machine. Source: Azure REST API, "Virtual Machines" of 2025-04-01.
type vm struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Tags       map[string]string `json:"tags"`
	Properties struct {
		VMID              string `json:"vmId"`
		ProvisioningState string `json:"provisioningState"`
		TimeCreated       string `json:"timeCreated"`
		Priority          string `json:"priority"`
		HardwareProfile   struct {
			VMSize string `json:"vmSize"`
		} `json:"hardwareProfile"`
		NetworkProfile struct {
			Interfaces []reference `json:"networkInterfaces"`
		} `json:"networkProfile"`
		InstanceView struct {
			Statuses []problemStatus `json:"statuses"`
		} `json:"instanceView"`
	} `json:"properties"`
}

func (v *vm) whole() bool { return v.ID != "" }

// problemStatus is one line of an instance view: PowerState/running, ProvisioningState/failed/AllocationFailed.
type problemStatus struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type publicIP struct {
	Properties struct {
		IPAddress       string    `json:"ipAddress"`
		IPConfiguration reference `json:"ipConfiguration"`
		DNSSettings     struct {
			FQDN string `json:"fqdn"`
		} `json:"dnsSettings"`
	} `json:"properties"`
}

type networkInterface struct {
	ID         string `json:"id"`
	Properties struct {
		IPConfigurations []struct {
			Properties struct {
				PrivateIPAddress string `json:"privateIPAddress"`
			} `json:"properties"`
		} `json:"ipConfigurations"`
	} `json:"properties"`
}

// powers is what an instance view says.
type powers struct {
	power  string // running, starting, stopping, stopped, deallocating, deallocated; "" is not known
	failed *problem
}

func powersOf(v vm) (p powers) {
	for _, s := range v.Properties.InstanceView.Statuses {
		kind, rest, _ := strings.Cut(s.Code, "/")
		switch {
		case strings.EqualFold(kind, "PowerState"):
			p.power = strings.ToLower(rest)
		case strings.EqualFold(kind, "ProvisioningState"):
			if how, code, ok := strings.Cut(rest, "/"); ok && strings.EqualFold(how, "failed") {
				p.failed = &problem{Code: code, Message: s.Message}
			}
		}
	}
	return p
}

// instance turns what the API tells into the host's terms.
func (v vm) instance(p powers) abi.Instance {
	i := abi.Instance{
		Name: v.Name, ID: settings.Or(v.Properties.VMID, strings.ToLower(v.ID)), SSHUser: v.Tags[tagUser], EnginePort: portOf(v.Tags[tagPort]),
		CreatedAt: seconds(v.Properties.TimeCreated), Status: v.status(p.power), GPUs: gpus(v.Properties.HardwareProfile.VMSize),
	}
	switch {
	case v.Properties.ProvisioningState == "Failed" && i.Status != abi.StatusRunning:
		if p.failed == nil {
			p.failed = &problem{Message: "the virtual machine could not be made"}
		}
		i.Error = p.failed.failure(200)
		i.Status, i.Message = abi.StatusGone, i.Error.Message
	case i.Status != abi.StatusRunning && i.Status != abi.StatusCreating:
		i.Message = "the virtual machine is " + settings.Or(p.power, v.Properties.ProvisioningState)
	}
	return i
}

// asked is a machine that was asked for: whatever the cloud says already, it is still to come.
func (v vm) asked() abi.Instance {
	v.Properties.ProvisioningState = "Creating"
	return v.instance(powers{})
}

// status is the host's word for a VM's state. One that the cloud may take back and that ends without being asked was taken back.
// Source: Azure documentation, "States and billing of Azure Virtual Machines".
func (v vm) status(power string) abi.Status {
	state := v.Properties.ProvisioningState
	switch {
	case state == "Deleting":
		return abi.StatusGone
	case power == "running":
		return abi.StatusRunning
	case power == "starting":
		return abi.StatusCreating
	case power == "stopping", power == "stopped", power == "deallocating", power == "deallocated":
		if v.Properties.Priority == "Spot" || v.Properties.Priority == "Low" {
			return abi.StatusInterrupted
		}
		return abi.StatusStopped
	case state == "Creating":
		return abi.StatusCreating
	}
	return abi.StatusUnknown
}
