package main

import (
	"github.com/millwright-ci/millwright/providers/internal/gce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// googlecompute implements the driver. It has no state: the group is Google's.
type googlecompute struct{}

// name is the driver's, and its credential's.
const name = "googlecompute"

// Names of the options: the keys of plugin_config that GitLab's plug-in has, and what is ours.
const (
	optName        = "name"
	optProject     = "project"
	optZone        = "zone"
	optRegion      = "region"
	optCredentials = "credentials_file"
	optEndpoint    = "endpoint" // ours
)

// exampleZone is what a zone looks like.
const exampleZone = "europe-west1-c"

// Describe lists the options. The driver wants the Compute API, and the API that tells Check what is allowed; the host signs in by itself.
// Source: GitLab Runner documentation, "Google Cloud instance group configuration examples".
func (googlecompute) Describe() abi.Describe {
	return abi.Describe{
		Name:      name,
		Summary:   "instances of a managed instance group of Google Compute Engine",
		Hostnames: append([]string{"{" + optEndpoint + "}"}, gce.RightsHostnames()...),
		Options: []abi.Option{
			{Name: optName, Type: abi.OptionString, Required: true, Role: abi.RoleAccount, Help: "name of the instance group"},
			{Name: optProject, Type: abi.OptionString, Required: true, Role: abi.RoleAccount, Help: "id of the project that the group is in"},
			{Name: optZone, Type: abi.OptionString, Role: abi.RoleAccount, Help: "zone of the group, such as " + exampleZone + "; of a group of several zones give " + optRegion},
			{Name: optRegion, Type: abi.OptionString, Role: abi.RoleAccount, Help: "region of a group that spreads over its zones, such as europe-west1"},
			{Name: optCredentials, Type: abi.OptionString, Secret: true, Credential: abi.CredentialCredentialsFile,
				Help: "file with the credential; without it, what Google's own programs find on the agent's machine"},
			{Name: optEndpoint, Type: abi.OptionString, Default: gce.Endpoint, Role: abi.RoleEndpoint, Help: "the Compute API: endpoint of [drivers.googlecompute] in millwright.toml, not in plugin_config"},
		},
	}
}
