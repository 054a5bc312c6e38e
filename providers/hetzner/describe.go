package main

import "github.com/millwright-ci/millwright/sdk/go/abi"

// hetzner implements the driver. It has no state: labels say what belongs to whom.
type hetzner struct{}

// Names of the options, those of the plug-in docker-machine-driver-hetzner. What is ours alone says so.
const (
	optToken        = "hetzner-api-token"
	optImage        = "hetzner-image"
	optImageID      = "hetzner-image-id"
	optImageArch    = "hetzner-image-arch"
	optType         = "hetzner-server-type"
	optLocation     = "hetzner-server-location"
	optKeyID        = "hetzner-existing-key-id"
	optKeyPath      = "hetzner-existing-key-path"
	optMoreKeys     = "hetzner-additional-key"
	optKeyLabels    = "hetzner-key-label"
	optLabels       = "hetzner-server-label"
	optUserData     = "hetzner-user-data"
	optUserDataFile = "hetzner-user-data-file"
	optFromFile     = "hetzner-user-data-from-file"
	optNetworks     = "hetzner-networks"
	optVolumes      = "hetzner-volumes"
	optFirewalls    = "hetzner-firewalls"
	optUsePrivate   = "hetzner-use-private-network"
	optNoIPv4       = "hetzner-disable-public-ipv4"
	optNoIPv6       = "hetzner-disable-public-ipv6"
	optNo4          = "hetzner-disable-public-4"
	optNo6          = "hetzner-disable-public-6"
	optNoPublic     = "hetzner-disable-public"
	optPrimary4     = "hetzner-primary-ipv4"
	optPrimary6     = "hetzner-primary-ipv6"
	optGroup        = "hetzner-placement-group"
	optSpread       = "hetzner-auto-spread"
	optUser         = "hetzner-ssh-user"
	optPort         = "hetzner-ssh-port"
	optWaitError    = "hetzner-wait-on-error"
	optWaitPolling  = "hetzner-wait-on-polling"
	optWaitRunning  = "hetzner-wait-for-running-timeout"
	optEndpoint     = "hetzner-endpoint" // ours
)

// Defaults of the options; both of the first are the plug-in's, and offered no more.
const (
	defaultType     = "cx11"
	defaultImage    = "ubuntu-20.04"
	defaultEndpoint = "https://api.hetzner.cloud"
)

// noEffect ends the help of options that are taken and do nothing.
const noEffect = "; has no effect, the agent does its own waiting"

// Describe lists the options. The only hostname that the driver wants is that of the API.
func (hetzner) Describe() abi.Describe {
	return abi.Describe{
		Name:      "hetzner",
		Summary:   "machines as servers of Hetzner Cloud",
		Hostnames: []string{"{" + optEndpoint + "}"},
		Options: []abi.Option{
			{Name: optToken, Type: abi.OptionString, Env: "HETZNER_API_TOKEN", Secret: true, Credential: abi.CredentialSecret, Help: "API token of the project, with the right to write"},
			{Name: optImage, Type: abi.OptionString, Env: "HETZNER_IMAGE", Help: "image, by its name (default: ubuntu-20.04 without " + optImageID + ")"},
			{Name: optImageID, Type: abi.OptionString, Env: "HETZNER_IMAGE_ID", Help: "image, by its number: a snapshot, say"},
			{Name: optImageArch, Type: abi.OptionString, Env: "HETZNER_IMAGE_ARCH", Help: "x86 or arm, where an image has both (default: the server type's)"},
			{Name: optType, Type: abi.OptionString, Env: "HETZNER_TYPE", Default: defaultType, Role: abi.RoleType, Help: "server type"},
			{Name: optLocation, Type: abi.OptionString, Env: "HETZNER_LOCATION", Role: abi.RoleZone, Help: "location, such as fsn1 (default: Hetzner's choice)"},
			{Name: optKeyID, Type: abi.OptionString, Env: "HETZNER_EXISTING_KEY_ID", Help: "number of an SSH key of the project, in place of one that is made for each machine"},
			{Name: optKeyPath, Type: abi.OptionString, Env: "HETZNER_EXISTING_KEY_PATH", Help: "has no effect: the agent has a key of its own for each machine"},
			{Name: optMoreKeys, Type: abi.OptionList, Env: "HETZNER_ADDITIONAL_KEYS", Help: "public key that may log in too; may be repeated"},
			{Name: optKeyLabels, Type: abi.OptionList, Env: "HETZNER_KEY_LABELS", Help: "label of the SSH key: key=value; may be repeated"},
			{Name: optLabels, Type: abi.OptionList, Env: "HETZNER_SERVER_LABELS", Help: "label of the server: key=value; may be repeated"},
			{Name: optUserData, Type: abi.OptionString, Env: "HETZNER_USER_DATA", Help: "user data for cloud-init, as text"},
			{Name: optUserDataFile, Type: abi.OptionString, Env: "HETZNER_USER_DATA_FILE", Role: abi.RoleFile, Help: "file with user data for cloud-init"},
			{Name: optFromFile, Type: abi.OptionBool, Env: "HETZNER_USER_DATA_FROM_FILE", Help: "made " + optUserData + " a file; write " + optUserDataFile + " instead"},
			{Name: optNetworks, Type: abi.OptionList, Env: "HETZNER_NETWORKS", Help: "network, by name or number; may be repeated"},
			{Name: optVolumes, Type: abi.OptionList, Env: "HETZNER_VOLUMES", Help: "volume, by name or number, for one machine at a time; may be repeated"},
			{Name: optFirewalls, Type: abi.OptionList, Env: "HETZNER_FIREWALLS", Help: "firewall, by name or number; may be repeated"},
			{Name: optUsePrivate, Type: abi.OptionBool, Env: "HETZNER_USE_PRIVATE_NETWORK", Help: "reach the machine by its address in the first network"},
			{Name: optNoIPv4, Type: abi.OptionBool, Env: "HETZNER_DISABLE_PUBLIC_IPV4", Help: "no public IPv4 address"},
			{Name: optNoIPv6, Type: abi.OptionBool, Env: "HETZNER_DISABLE_PUBLIC_IPV6", Help: "no public IPv6 addresses"},
			{Name: optNo4, Type: abi.OptionBool, Env: "HETZNER_DISABLE_PUBLIC_4", Help: "former name of " + optNoIPv4},
			{Name: optNo6, Type: abi.OptionBool, Env: "HETZNER_DISABLE_PUBLIC_6", Help: "former name of " + optNoIPv6},
			{Name: optNoPublic, Type: abi.OptionBool, Env: "HETZNER_DISABLE_PUBLIC", Help: "no public address at all, and " + optUsePrivate},
			{Name: optPrimary4, Type: abi.OptionString, Env: "HETZNER_PRIMARY_IPV4", Help: "primary IPv4 address that there is, by address, name or number"},
			{Name: optPrimary6, Type: abi.OptionString, Env: "HETZNER_PRIMARY_IPV6", Help: "primary IPv6 network that there is, by address, name or number"},
			{Name: optGroup, Type: abi.OptionString, Env: "HETZNER_PLACEMENT_GROUP", Help: "placement group, by name or number; one that is not there is made"},
			{Name: optSpread, Type: abi.OptionBool, Env: "HETZNER_AUTO_SPREAD", Help: "placement groups of the runner's own, ten machines in each"},
			{Name: optUser, Type: abi.OptionString, Env: "HETZNER_SSH_USER", Default: "root", Help: "login, which is made with sudo when it is not root"},
			{Name: optPort, Type: abi.OptionInt, Env: "HETZNER_SSH_PORT", Default: "22", Help: "port of the image's SSH server"},
			{Name: optWaitError, Type: abi.OptionInt, Env: "HETZNER_WAIT_ON_ERROR", Default: "0", Help: "seconds" + noEffect},
			{Name: optWaitPolling, Type: abi.OptionInt, Env: "HETZNER_WAIT_ON_POLLING", Default: "1", Help: "seconds" + noEffect},
			{Name: optWaitRunning, Type: abi.OptionInt, Env: "HETZNER_WAIT_FOR_RUNNING_TIMEOUT", Default: "0", Help: "seconds" + noEffect},
			{Name: optEndpoint, Type: abi.OptionString, Default: defaultEndpoint, Role: abi.RoleEndpoint, Help: "the API: endpoint of [drivers.hetzner] in millwright.toml, not in MachineOptions"},
		},
	}
}
