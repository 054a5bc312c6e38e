package docker

import (
	"encoding/csv"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-units"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor"
)

// role is one of GitLab's kinds of container in a job, as the label "type" has it.
type role string

const (
	buildRole   role = "build"
	helperRole  role = "predefined"
	serviceRole role = "service"
	healthRole  role = "wait"
)

// mapping gathers the mistakes of a configuration's values, so that the table in hostConfig reads as a table.
type mapping struct{ err error }

func (m *mapping) fail(key, value string, err error) {
	if m.err == nil {
		m.err = executor.Errorf(executor.Configuration, "config.toml: runners.docker.%s: %q: %w", key, value, err)
	}
}

// hostConfig maps [runners.docker] to the engine's options for one role. image is the name as written in the job; it decides
// where a list allows only some images to be privileged.
func hostConfig(c *config.Docker, r role, image string, initProcess bool) (*container.HostConfig, error) {
	m := &mapping{}
	h := &container.HostConfig{
		// For every container.
		DNS:           m.addresses("dns", c.DNS),
		DNSSearch:     c.DNSSearch,
		ExtraHosts:    slices.Clone(c.ExtraHosts),
		Runtime:       c.Runtime,
		UsernsMode:    container.UsernsMode(c.UsernsMode),
		Isolation:     container.Isolation(c.Isolation),
		ShmSize:       c.ShmSize,
		NetworkMode:   container.NetworkMode(c.NetworkMode),
		LogConfig:     m.logConfig(c.LogOptions),
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
	}
	switch r {
	case serviceRole:
		h.Privileged = m.privileged(c.AllowedPrivilegedServices, image, servicesPrivileged(c))
		h.SecurityOpt = m.securityOpts("services_security_opt", c.ServicesSecurityOpt)
		h.Tmpfs = c.ServicesTmpfs
		h.Resources = container.Resources{
			Memory:            m.bytes("service_memory", c.ServiceMemory),
			MemorySwap:        m.bytes("service_memory_swap", c.ServiceMemorySwap),
			MemoryReservation: m.bytes("service_memory_reservation", c.ServiceMemoryReservation),
			CpusetCpus:        c.ServiceCPUSetCPUs,
			CPUShares:         c.ServiceCPUShares,
			NanoCPUs:          m.cpus("service_cpus", c.ServiceCPUS),
			CgroupParent:      c.ServiceCgroupParent,
			Devices:           m.serviceDevices(c.ServicesDevices, image),
			DeviceRequests:    m.gpus("service_gpus", c.ServiceGpus),
		}
	default: // build and helper, and what the helper image is used for beside
		h.Privileged = m.privileged(c.AllowedPrivilegedImages, image, c.Privileged)
		h.CapAdd, h.CapDrop = c.CapAdd, c.CapDrop
		h.SecurityOpt = m.securityOpts("security_opt", c.SecurityOpt)
		h.GroupAdd = c.GroupAdd
		h.IpcMode = container.IpcMode(c.IpcMode)
		h.Sysctls = c.Sysctls
		h.VolumesFrom = c.VolumesFrom
		h.VolumeDriver = c.VolumeDriver
		h.Links = c.Links
		h.Tmpfs = c.Tmpfs
		h.OomScoreAdj = c.OomScoreAdjust
		h.Resources = container.Resources{
			Memory:            m.bytes("memory", c.Memory),
			MemorySwap:        m.bytes("memory_swap", c.MemorySwap),
			MemoryReservation: m.bytes("memory_reservation", c.MemoryReservation),
			CpusetCpus:        c.CPUSetCPUs,
			CpusetMems:        c.CPUSetMems,
			CPUShares:         c.CPUShares,
			NanoCPUs:          m.cpus("cpus", c.CPUS),
			CgroupParent:      c.CgroupParent,
			DeviceCgroupRules: c.DeviceCgroupRules,
			Devices:           m.devices("devices", c.Devices),
			DeviceRequests:    m.gpus("gpus", c.Gpus),
			Ulimits:           m.ulimits(c.Ulimit),
		}
		if c.OomKillDisable {
			h.OomKillDisable = &c.OomKillDisable
		}
	}
	if r == buildRole {
		h.PidMode = container.PidMode(c.PidMode)
	}
	if initProcess && (r == buildRole || r == serviceRole) {
		h.Init = &initProcess
	}
	return h, m.err
}

func servicesPrivileged(c *config.Docker) bool {
	if c.ServicesPrivileged != nil {
		return *c.ServicesPrivileged
	}
	return c.Privileged
}

// privileged is wanted, unless a list of images that may be so does not hold this one.
func (m *mapping) privileged(allowed []string, image string, wanted bool) bool {
	return wanted && (len(allowed) == 0 || MatchesAny(allowed, image))
}

// MatchesAny tells whether one of the doublestar globs matches the image name, with its tag or without one.
func MatchesAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, err := doublestar.Match(glob, name)
		return err == nil && ok
	})
}

func (m *mapping) addresses(key string, list []string) []string {
	for _, a := range list {
		if _, err := netip.ParseAddr(a); err != nil {
			m.fail(key, a, err)
		}
	}
	return list
}

// logConfig chooses the engine's local driver: it is the fastest, keeps characters whole, and what a container wrote outlives
// the agent. Options env and labels are unknown to it; an operator who sets them gets the driver that has them.
func (m *mapping) logConfig(options map[string]string) container.LogConfig {
	for key, value := range options {
		if key != "env" && key != "labels" {
			m.fail("log_options."+key, value, fmt.Errorf("only env and labels are allowed"))
		}
	}
	if len(options) > 0 {
		return container.LogConfig{Type: "json-file", Config: options}
	}
	return container.LogConfig{Type: "local", Config: map[string]string{"compress": "false", "max-size": "100m", "max-file": "5"}}
}

func (m *mapping) bytes(key, value string) int64 {
	if value == "" || value == "-1" { // memory_swap = "-1" means no limit
		return map[string]int64{"-1": -1}[value]
	}
	n, err := units.RAMInBytes(value)
	if err != nil {
		m.fail(key, value, err)
	}
	return n
}

// cpus reads a decimal such as 1.5 or a fraction such as 3/2, in processors.
func (m *mapping) cpus(key, value string) int64 {
	if value == "" {
		return 0
	}
	n, ok := new(big.Rat).SetString(value)
	if !ok {
		m.fail(key, value, fmt.Errorf("not a number; use one like 1.5"))
		return 0
	}
	nano, _ := new(big.Rat).Mul(n, big.NewRat(1e9, 1)).Float64()
	return int64(nano)
}

func (m *mapping) ulimits(limits map[string]string) []*container.Ulimit {
	var out []*container.Ulimit
	for name, value := range limits {
		u, err := units.ParseUlimit(name + "=" + value)
		if err != nil {
			m.fail("ulimit."+name, value, err)
			continue
		}
		out = append(out, u)
	}
	return out
}

// devices reads entries of the form host[:container[:permissions]].
func (m *mapping) devices(key string, list []string) []container.DeviceMapping {
	var out []container.DeviceMapping
	for _, entry := range list {
		parts := strings.Split(entry, ":")
		if len(parts) > 3 || parts[0] == "" {
			m.fail(key, entry, fmt.Errorf("want host[:container[:permissions]]"))
			continue
		}
		d := container.DeviceMapping{PathOnHost: parts[0], PathInContainer: parts[0], CgroupPermissions: "rwm"}
		if len(parts) > 1 {
			d.PathInContainer = parts[1]
		}
		if len(parts) > 2 {
			d.CgroupPermissions = parts[2]
		}
		out = append(out, d)
	}
	return out
}

func (m *mapping) serviceDevices(byImage map[string][]string, image string) []container.DeviceMapping {
	var out []container.DeviceMapping
	for glob, list := range byImage {
		if MatchesAny([]string{glob}, image) {
			out = append(out, m.devices("services_devices", list)...)
		}
	}
	return out
}

// gpus reads the grammar of docker run --gpus: all, a count, or fields such as device=0 and capabilities=utility.
func (m *mapping) gpus(key, value string) []container.DeviceRequest {
	value = strings.TrimSpace(value)
	if value == "" {
		return nil
	}
	fields, err := csv.NewReader(strings.NewReader(value)).Read()
	if err != nil {
		m.fail(key, value, err)
		return nil
	}
	req := container.DeviceRequest{Capabilities: [][]string{{"gpu"}}}
	for _, field := range fields {
		name, val, named := strings.Cut(field, "=")
		if !named {
			name, val = "count", field
		}
		switch name {
		case "count":
			if req.Count, err = strconv.Atoi(val); val == "all" {
				req.Count, err = -1, nil
			}
			if err != nil {
				m.fail(key, value, fmt.Errorf("want all, a number or device=..."))
			}
		case "device":
			req.DeviceIDs = strings.Split(val, ",")
		case "driver":
			req.Driver = val
		case "capabilities":
			req.Capabilities = [][]string{append(strings.Split(val, ","), "gpu")}
		default:
			m.fail(key, value, fmt.Errorf("unknown field %s; use count, device, driver or capabilities", name))
		}
	}
	if req.Count == 0 && len(req.DeviceIDs) == 0 {
		req.Count = -1
	}
	return []container.DeviceRequest{req}
}

// securityOpts sends the content of a seccomp profile, since its file lies on the agent's host and not on the engine's.
func (m *mapping) securityOpts(key string, list []string) []string {
	var out []string
	for _, opt := range list {
		path, isProfile := strings.CutPrefix(opt, "seccomp=")
		if !isProfile {
			path, isProfile = strings.CutPrefix(opt, "seccomp:")
		}
		if isProfile && path != "unconfined" && path != "builtin" {
			profile, err := os.ReadFile(path)
			if err != nil {
				m.fail(key, opt, err)
			}
			opt = "seccomp=" + string(profile)
		}
		out = append(out, opt)
	}
	return out
}
