package main

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Labels of everything that the driver makes. A list must not depend on the options of the machines, so what it needs of them is here.
const (
	labelOwner  = labelPrefix + "owner"
	labelRunner = labelPrefix + "runner"
	labelUser   = labelPrefix + "user" // the login; in hex after "x-" where a label can't hold it
	labelReach  = labelPrefix + "reach"

	reachInternal = "internal"
)

const diskSuffix = "-disk"

// The parts of the API's Instance that we send.
// Source: Compute Engine API v1, "Instances: insert".
type (
	instanceBody struct {
		Name              string             `json:"name,omitempty"`
		Description       string             `json:"description"`
		MachineType       string             `json:"machineType"`
		MinCPUPlatform    string             `json:"minCpuPlatform,omitempty"`
		Disks             []diskBody         `json:"disks"`
		NetworkInterfaces []networkBody      `json:"networkInterfaces"`
		Tags              tagsBody           `json:"tags"`
		ServiceAccounts   []accountBody      `json:"serviceAccounts,omitempty"`
		Scheduling        *schedulingBody    `json:"scheduling,omitempty"`
		Labels            map[string]string  `json:"labels"`
		Metadata          metadataBody       `json:"metadata"`
		GuestAccelerators []acceleratorsBody `json:"guestAccelerators,omitempty"`
	}
	diskBody struct {
		Boot             bool           `json:"boot"`
		AutoDelete       bool           `json:"autoDelete"`
		Type             string         `json:"type"`
		Mode             string         `json:"mode"`
		InitializeParams initializeBody `json:"initializeParams"`
	}
	initializeBody struct {
		DiskName    string            `json:"diskName,omitempty"`
		SourceImage string            `json:"sourceImage"`
		DiskSizeGB  string            `json:"diskSizeGb"`
		DiskType    string            `json:"diskType"`
		Labels      map[string]string `json:"labels"`
		IOPS        string            `json:"provisionedIops,omitempty"`
		Throughput  string            `json:"provisionedThroughput,omitempty"`
	}
	networkBody struct {
		Network       string       `json:"network"`
		Subnetwork    string       `json:"subnetwork,omitempty"`
		AccessConfigs []accessBody `json:"accessConfigs,omitempty"`
	}
	accessBody struct {
		Type  string `json:"type"`
		NatIP string `json:"natIP,omitempty"`
	}
	tagsBody struct {
		Items []string `json:"items"`
	}
	accountBody struct {
		Email  string   `json:"email"`
		Scopes []string `json:"scopes"`
	}
	schedulingBody struct {
		Preemptible       bool   `json:"preemptible,omitempty"`
		OnHostMaintenance string `json:"onHostMaintenance,omitempty"`
		ProvisioningModel string `json:"provisioningModel,omitempty"`
		TerminationAction string `json:"instanceTerminationAction,omitempty"`
		TerminationTime   string `json:"terminationTime,omitempty"`
	}
	metadataBody struct {
		Items []item `json:"items"`
	}
	acceleratorsBody struct {
		AcceleratorCount int    `json:"acceleratorCount"`
		AcceleratorType  string `json:"acceleratorType"`
	}
)

// body describes the machine. It is the object that docker-machine makes, with our labels and keys.
func (s settings) body(req abi.CreateRequest) instanceBody {
	labels := s.allLabels(req)
	b := instanceBody{
		Name:           req.Name,
		Description:    "docker host vm",
		MachineType:    gce.ResourcePrefix + s.inZone("machineTypes", s.machineType),
		MinCPUPlatform: s.minCPU,
		Disks: []diskBody{{Boot: true, AutoDelete: true, Type: "PERSISTENT", Mode: "READ_WRITE", InitializeParams: initializeBody{
			DiskName:    req.Name + diskSuffix,
			SourceImage: gce.ResourcePrefix + s.image,
			DiskSizeGB:  strconv.Itoa(s.diskGB),
			DiskType:    gce.ResourcePrefix + s.inZone("diskTypes", s.diskType),
			Labels:      labels,
			IOPS:        unlessZero(s.iops),
			Throughput:  unlessZero(s.throughput),
		}}},
		NetworkInterfaces: []networkBody{s.networkInterface()},
		Tags:              tagsBody{s.tags},
		Scheduling:        s.scheduling(req.ExpiresAt),
		Labels:            labels,
		Metadata:          metadataBody{s.machineMetadata(req.Bootstrap)},
	}
	if s.account != "" {
		b.ServiceAccounts = []accountBody{{s.account, s.scopes}}
	}
	if a := s.accelerator; a.count > 0 {
		b.GuestAccelerators = []acceleratorsBody{{a.count, gce.ResourcePrefix + s.inZone("acceleratorTypes", a.name)}}
	}
	return b
}

func (s settings) networkInterface() networkBody {
	n := networkBody{Network: s.networkURL()}
	switch {
	case s.subnetwork == "":
	case strings.Contains(s.subnetwork, "/"):
		n.Subnetwork = s.subnetwork
	default:
		n.Subnetwork = "projects/" + s.Project + "/regions/" + s.region() + "/subnetworks/" + s.subnetwork
	}
	if s.external {
		n.AccessConfigs = []accessBody{{Type: "ONE_TO_ONE_NAT", NatIP: s.address}}
	}
	return n
}

// networkURL is the network as bodies name it.
func (s settings) networkURL() string {
	if strings.Contains(s.network, "/") {
		return s.network
	}
	return gce.ResourcePrefix + s.In("global", "networks", s.network)
}

// scheduling says when the cloud may end the machine. A preemptible one ends by itself within 24 hours, and takes no other end.
func (s settings) scheduling(expires string) *schedulingBody {
	b := schedulingBody{Preemptible: s.preemptible, OnHostMaintenance: s.maintenance}
	if s.spot {
		b.ProvisioningModel, b.TerminationAction = "SPOT", "DELETE"
	}
	if expires != "" && !s.preemptible {
		b.TerminationAction, b.TerminationTime = "DELETE", expires
	}
	if b == (schedulingBody{}) {
		return nil
	}
	return &b
}

// allLabels are the operator's, the host's and ours. The cloud's rules are stricter than the host's.
func (s settings) allLabels(req abi.CreateRequest) map[string]string {
	labels := map[string]string{}
	for key, value := range req.Labels {
		if key = asLabel(key); labelKey.MatchString(key) {
			labels[key] = asLabel(value)
		}
	}
	for key, value := range s.labels {
		labels[key] = value
	}
	labels[labelOwner] = req.Owner.ID
	labels[labelRunner] = asLabel(req.Owner.Runner)
	labels[labelUser] = userLabel(s.user)
	if s.internal {
		labels[labelReach] = reachInternal
	}
	return labels
}

// asLabel makes a label's text of any, of what is left of it.
func asLabel(text string) string {
	out := []byte(strings.ToLower(text))
	for i, c := range out {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_') {
			out[i] = '-'
		}
	}
	return string(out[:min(len(out), 63)])
}

// hexMark begins a login's label that is in hex, which no label in the plain has.
const hexMark = "x-"

// userLabel is a login as a label; userOf reads it.
func userLabel(user string) string {
	if labelValue.MatchString(user) && !strings.HasPrefix(user, hexMark) {
		return user
	}
	return hexMark + hex.EncodeToString([]byte(user))
}

func userOf(label string) string {
	if code, ok := strings.CutPrefix(label, hexMark); ok {
		user, _ := hex.DecodeString(code) // what is no hex is nobody's
		return string(user)
	}
	return label
}

func unlessZero(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
