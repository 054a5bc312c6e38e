package main

import "github.com/millwright-ci/millwright/sdk/go/abi"

// digitalocean implements the driver. It has no state: tags say what belongs to whom.
type digitalocean struct{}

// Names of the options, those of docker-machine's driver. What is ours alone says so.
const (
	optToken       = "digitalocean-access-token"
	optRegion      = "digitalocean-region"
	optSize        = "digitalocean-size"
	optImage       = "digitalocean-image"
	optUser        = "digitalocean-ssh-user"
	optPort        = "digitalocean-ssh-port"
	optFingerprint = "digitalocean-ssh-key-fingerprint"
	optKeyPath     = "digitalocean-ssh-key-path"
	optIPv6        = "digitalocean-ipv6"
	optPrivate     = "digitalocean-private-networking"
	optBackups     = "digitalocean-backups"
	optMonitoring  = "digitalocean-monitoring"
	optUserdata    = "digitalocean-userdata"
	optTags        = "digitalocean-tags"
	optVPC         = "digitalocean-vpc-uuid"            // ours
	optUsePrivate  = "digitalocean-use-private-address" // ours
	optEndpoint    = "digitalocean-endpoint"            // ours
)

// Defaults of the options.
const (
	defaultRegion   = "nyc3"
	defaultSize     = "s-1vcpu-1gb"
	defaultImage    = "ubuntu-16-04-x64" // docker-machine's, which is offered no more
	defaultEndpoint = "https://api.digitalocean.com"
)

// Describe lists the options. The only hostname that the driver wants is that of the API.
func (digitalocean) Describe() abi.Describe {
	return abi.Describe{
		Name:      "digitalocean",
		Summary:   "machines as droplets of DigitalOcean",
		Hostnames: []string{"{" + optEndpoint + "}"},
		Options: []abi.Option{
			{Name: optToken, Type: abi.OptionString, Env: "DIGITALOCEAN_ACCESS_TOKEN", Secret: true, Credential: abi.CredentialSecret, Help: "personal access token"},
			{Name: optRegion, Type: abi.OptionString, Env: "DIGITALOCEAN_REGION", Default: defaultRegion, Role: abi.RoleZone, Help: "region of the machines"},
			{Name: optSize, Type: abi.OptionString, Env: "DIGITALOCEAN_SIZE", Default: defaultSize, Role: abi.RoleType, Help: "size of the machines"},
			{Name: optImage, Type: abi.OptionString, Env: "DIGITALOCEAN_IMAGE", Default: defaultImage, Help: "image: its slug, or the number of a snapshot or an image of one's own"},
			{Name: optUser, Type: abi.OptionString, Env: "DIGITALOCEAN_SSH_USER", Default: "root", Help: "login, which is made with sudo when it is not root"},
			{Name: optPort, Type: abi.OptionInt, Env: "DIGITALOCEAN_SSH_PORT", Default: "22", Help: "port of the image's SSH server"},
			{Name: optFingerprint, Type: abi.OptionString, Env: "DIGITALOCEAN_SSH_KEY_FINGERPRINT", Help: "fingerprint or number of an SSH key of the account, in place of one that is made for each machine"},
			{Name: optKeyPath, Type: abi.OptionString, Env: "DIGITALOCEAN_SSH_KEY_PATH", Help: "has no effect: the agent has a key of its own for each machine"},
			{Name: optIPv6, Type: abi.OptionBool, Env: "DIGITALOCEAN_IPV6", Help: "an IPv6 address too"},
			{Name: optPrivate, Type: abi.OptionBool, Env: "DIGITALOCEAN_PRIVATE_NETWORKING", Help: "an address in the region's VPC too, which every droplet has meanwhile"},
			{Name: optBackups, Type: abi.OptionBool, Env: "DIGITALOCEAN_BACKUPS", Help: "backups by DigitalOcean"},
			{Name: optMonitoring, Type: abi.OptionBool, Env: "DIGITALOCEAN_MONITORING", Help: "DigitalOcean's agent for metrics"},
			{Name: optUserdata, Type: abi.OptionString, Env: "DIGITALOCEAN_USERDATA", Role: abi.RoleFile, Help: "file with user data for cloud-init"},
			{Name: optTags, Type: abi.OptionString, Env: "DIGITALOCEAN_TAGS", Help: "tags, separated by commas"},
			{Name: optVPC, Type: abi.OptionString, Env: "DIGITALOCEAN_VPC_UUID", Help: "id of the VPC to be in, in place of the region's own"},
			{Name: optUsePrivate, Type: abi.OptionBool, Env: "DIGITALOCEAN_USE_PRIVATE_ADDRESS", Help: "reach the machine by its address in the VPC"},
			{Name: optEndpoint, Type: abi.OptionString, Default: defaultEndpoint, Role: abi.RoleEndpoint, Help: "the API: endpoint of [drivers.digitalocean] in millwright.toml, not in MachineOptions"},
		},
	}
}
