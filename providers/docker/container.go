package main

import (
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Labels that everything made by the driver bears.
const (
	labelPrefix  = "io.millwright."
	labelOwner   = labelPrefix + "owner"
	labelMachine = labelPrefix + "machine"
	labelRunner  = labelPrefix + "runner"
	labelGPUs    = labelPrefix + "gpus"       // how many must answer
	labelExpires = labelPrefix + "expires-at" // for people: the engine ends nothing by itself
)

// Ports of a machine, as the engine names them.
const (
	sshPort    = "22/tcp"
	enginePort = "2376/tcp"
)

// The parts of the engine's API that we use.
// Source: Docker Engine API v1.41, "ContainerCreate".
type (
	containerSpec struct {
		Image        string
		Hostname     string
		Labels       map[string]string
		ExposedPorts map[string]struct{} `json:",omitempty"`
		HostConfig   hostConfig
	}
	hostConfig struct {
		NetworkMode       string
		Init              bool // something must reap orphans and pass signals on
		Privileged        bool
		CapAdd            []string                 `json:",omitempty"`
		CapDrop           []string                 `json:",omitempty"`
		SecurityOpt       []string                 `json:",omitempty"`
		MaskedPaths       *[]string                `json:",omitempty"` // empty, not absent: systempaths=unconfined
		ReadonlyPaths     *[]string                `json:",omitempty"`
		DeviceCgroupRules []string                 `json:",omitempty"`
		CgroupnsMode      string                   `json:",omitempty"`
		NanoCPUs          int64                    `json:"NanoCpus,omitempty"`
		Memory            int64                    `json:",omitempty"`
		Mounts            []mount                  `json:",omitempty"`
		Binds             []string                 `json:",omitempty"`
		DNS               []string                 `json:"Dns,omitempty"`
		PortBindings      map[string][]portBinding `json:",omitempty"`
		DeviceRequests    []deviceRequest          `json:",omitempty"`
	}
	mount         struct{ Type, Source, Target string }
	portBinding   struct{ HostIP, HostPort string }
	deviceRequest struct {
		Count        int        `json:",omitempty"`
		DeviceIDs    []string   `json:",omitempty"`
		Capabilities [][]string `json:",omitempty"`
	}
)

// spec describes the machine's container. Without privileged it gets, one by one, what an engine inside needs: all capabilities but
// the one that may be missing from the host's own bounding set, no seccomp and AppArmor profiles, no masked paths, all devices and
// a cgroup namespace of its own.
func (e engine) spec(req abi.CreateRequest, privileged bool) containerSpec {
	labels := maps.Clone(e.labels)
	maps.Copy(labels, req.Labels)
	maps.Copy(labels, ownLabels(req.Owner, req.Name))
	if req.ExpiresAt != "" {
		labels[labelExpires] = req.ExpiresAt
	}
	c := containerSpec{
		Image:    e.image,
		Hostname: req.Name,
		Labels:   labels,
		HostConfig: hostConfig{
			NetworkMode: e.network,
			Init:        true,
			Privileged:  privileged,
			NanoCPUs:    e.nanoCPUs,
			Memory:      e.memory,
			Mounts:      []mount{{Type: "volume", Source: volumeName(req.Name), Target: "/var/lib/docker"}},
			Binds:       e.binds,
			DNS:         e.dns,
		},
	}
	h := &c.HostConfig
	if !privileged {
		h.CapAdd, h.CapDrop = []string{"ALL"}, []string{"SYS_RESOURCE"}
		h.SecurityOpt = []string{"seccomp=unconfined", "apparmor=unconfined"}
		h.MaskedPaths, h.ReadonlyPaths = &[]string{}, &[]string{}
		h.DeviceCgroupRules = []string{"a *:* rwm"}
		h.CgroupnsMode = "private"
	}
	if e.publish {
		c.ExposedPorts = map[string]struct{}{sshPort: {}, enginePort: {}}
		loopback := []portBinding{{HostIP: "127.0.0.1"}}
		h.PortBindings = map[string][]portBinding{sshPort: loopback, enginePort: loopback}
	}
	if e.gpus != nil {
		h.DeviceRequests = []deviceRequest{*e.gpus}
		labels[labelGPUs] = strconv.Itoa(e.gpus.least())
	}
	return c
}

// least is how many GPUs the machine has at least. Of all there is one: the engine refuses the request else.
func (r deviceRequest) least() int { return max(r.Count, len(r.DeviceIDs), 1) }

// gpus reads the label.
func gpus(labels map[string]string) int {
	n, err := strconv.Atoi(labels[labelGPUs])
	if err != nil {
		return 0
	}
	return max(n, 0)
}

func ownLabels(owner abi.Owner, machine string) map[string]string {
	return map[string]string{labelOwner: owner.ID, labelRunner: owner.Runner, labelMachine: machine}
}

// volumeName is the volume for the images and containers of the machine's own engine.
func volumeName(machine string) string { return machine + "-docker" }

// container is what inspect tells of one.
type container struct {
	ID      string `json:"Id"`
	Created string
	Config  struct{ Labels map[string]string }
	State   struct {
		Status   string // created, running, paused, restarting, removing, exited, dead
		ExitCode int
		Error    string
	}
	HostConfig      struct{ Privileged bool }
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
		Ports    map[string][]struct{ HostPort string }
	}
}

// inspect returns the container of a machine, an error of the kind not_found when there is none, conflict when it is not ours.
func (e engine) inspect(name string, owner abi.Owner) (container, error) {
	var c container
	if err := e.call("GET", "/containers/"+url.PathEscape(name)+"/json", nil, nil, &c); err != nil {
		return c, err
	}
	if c.Config.Labels[labelOwner] != owner.ID || c.Config.Labels[labelMachine] != name {
		return c, &abi.Error{Kind: abi.Conflict, Message: "there is a container " + name + " (" + short(c.ID) +
			") that this agent did not make; remove or rename it"}
	}
	return c, nil
}

// instance turns what inspect told into the host's terms.
func (c container) instance() abi.Instance {
	i := abi.Instance{
		Name:      c.Config.Labels[labelMachine],
		ID:        c.ID,
		Status:    status(c.State.Status),
		CreatedAt: wholeSeconds(c.Created),
		GPUs:      gpus(c.Config.Labels),
	}
	if i.Status == abi.StatusStopped {
		i.Message = strings.TrimSpace("the container is " + c.State.Status + " " + c.State.Error)
	}
	for _, n := range c.NetworkSettings.Networks {
		i.Address = or(i.Address, n.IPAddress)
	}
	if ssh := c.NetworkSettings.Ports[sshPort]; len(ssh) > 0 {
		i.Address, i.SSHPort = "127.0.0.1", port(ssh[0].HostPort)
	}
	if engine := c.NetworkSettings.Ports[enginePort]; len(engine) > 0 {
		i.EnginePort = port(engine[0].HostPort)
	}
	return i
}

// status is the host's word for a container's state. One that was never started is on its way: create heals it.
func status(state string) abi.Status {
	switch state {
	case "running":
		return abi.StatusRunning
	case "created", "restarting":
		return abi.StatusCreating
	case "paused", "removing", "exited", "dead":
		return abi.StatusStopped
	}
	return abi.StatusUnknown
}

func short(id string) string { return id[:min(12, len(id))] }
