package main

import "github.com/millwright-ci/millwright/sdk/go/abi"

// dockerDriver implements the driver. It has no state: the engine's labels say what belongs to whom.
type dockerDriver struct{}

// Names of the options.
const (
	optHost       = "docker-host"
	optImage      = "docker-image"
	optNetwork    = "docker-network"
	optCPUs       = "docker-cpus"
	optMemory     = "docker-memory"
	optVolume     = "docker-volume"
	optPrivileged = "docker-privileged"
	optPublish    = "docker-publish"
	optGPUs       = "docker-gpus"
	optDNS        = "docker-dns"
	optLabel      = "docker-label"
)

// Defaults of the options, for a caller that did not fill them in.
const (
	defaultHost    = "unix:///var/run/docker.sock"
	defaultImage   = "millwright/machine:bookworm"
	defaultNetwork = "millwright"
)

// Describe lists the options. The only hostname that the driver wants is the engine that docker-host names.
func (dockerDriver) Describe() abi.Describe {
	return abi.Describe{
		Name:      "docker",
		Summary:   "machines as containers on a Docker engine nearby, each with sshd and an engine of its own",
		Hostnames: []string{"{" + optHost + "}"},
		Options: []abi.Option{
			{Name: optHost, Type: abi.OptionString, Env: "DOCKER_HOST", Default: defaultHost, Role: abi.RoleAccount,
				Help: "the engine that makes the machines: unix:///path, https://host:port with a client certificate, or tcp://host:port"},
			{Name: optImage, Type: abi.OptionString, Default: defaultImage,
				Help: "image of the machines, with sshd and an engine; it must be on the engine, nothing is pulled"},
			{Name: optNetwork, Type: abi.OptionString, Default: defaultNetwork,
				Help: "network of the machines; made if it is missing, and then removed with its last machine"},
			{Name: optCPUs, Type: abi.OptionString, Role: abi.RoleType, Help: "CPUs of a machine at most, such as 1.5 (default: all)"},
			{Name: optMemory, Type: abi.OptionString, Role: abi.RoleType, Help: "memory of a machine at most, such as 2g or 512m (default: all)"},
			{Name: optVolume, Type: abi.OptionList, Help: "mount into the machine: /host/path:/path[:ro] or volume:/path[:ro]; may be repeated"},
			{Name: optPrivileged, Type: abi.OptionString, Default: "auto",
				Help: "true, false (the capabilities that an engine needs, one by one) or auto (true where the engine can)"},
			{Name: optPublish, Type: abi.OptionBool, Default: "false",
				Help: "reach machines through ports published on 127.0.0.1, for engines whose networks this host cannot reach (Docker Desktop)"},
			{Name: optGPUs, Type: abi.OptionString, Help: "GPUs of a machine: all, a number, or device=ID,ID"},
			{Name: optDNS, Type: abi.OptionList, Help: "address of a name server for the machine; may be repeated"},
			{Name: optLabel, Type: abi.OptionList, Help: "label of the machine's container: key=value; may be repeated"},
		},
	}
}
