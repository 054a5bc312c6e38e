package main

import (
	"github.com/millwright-ci/millwright/sdk/go/abi"

	"github.com/millwright-ci/millwright/providers/internal/gce"
)

// google implements the driver. It has no state: labels say what belongs to whom.
type google struct{}

// Names of the options, those of docker-machine's driver as GitLab maintains it. What is ours alone says so.
const (
	optProject         = "google-project"
	optZone            = "google-zone"
	optMachineType     = "google-machine-type"
	optMinCPUPlatform  = "google-min-cpu-platform"
	optMachineImage    = "google-machine-image"
	optUsername        = "google-username"
	optServiceAccount  = "google-service-account"
	optNoAccount       = "google-no-service-account"
	optScopes          = "google-scopes"
	optDiskSize        = "google-disk-size"
	optDiskType        = "google-disk-type"
	optIOPS            = "google-provisioned-iops"
	optThroughput      = "google-provisioned-throughput"
	optNetwork         = "google-network"
	optSubnetwork      = "google-subnetwork"
	optAddress         = "google-address"
	optPreemptible     = "google-preemptible"
	optSpot            = "google-spot" // ours
	optTags            = "google-tags"
	optInternalIP      = "google-use-internal-ip"
	optInternalIPOnly  = "google-use-internal-ip-only"
	optUseExisting     = "google-use-existing"
	optOpenPort        = "google-open-port"
	optLabel           = "google-label"
	optMetadata        = "google-metadata"
	optMetadataFile    = "google-metadata-from-file"
	optUserdata        = "google-userdata" // rancher's
	optAccelerator     = "google-accelerator"
	optMaintenance     = "google-maintenance-policy"
	optSkipFirewall    = "google-skip-firewall-create"
	optBackoffInitial  = "google-operation-backoff-initial-interval"
	optBackoffRandom   = "google-operation-backoff-randomization-factor"
	optBackoffMultiple = "google-operation-backoff-multipler" // so spelt there
	optBackoffMax      = "google-operation-backoff-max-interval"
	optBackoffElapsed  = "google-operation-backoff-max-elapsed-time"
	optCOSCloudInit    = "google-cos-wait-for-cloud-init"
	optCOSReadyURL     = "google-cos-docker-network-readiness-url"
	optCOSReadyGate    = "google-cos-docker-network-readiness-gate"
	optCOSTLS          = "google-cos-tls-via-metadata"
	optBulkInsert      = "google-bulk-insert"
	optRegion          = "google-region"
	optLocationZone    = "google-location-zone"
	optFlex            = "google-flex-selection"
	optFlexCooldown    = "google-flex-stockout-cooldown"
	optFlexLease       = "google-flex-stockout-probe-lease"
	optEndpoint        = "google-endpoint" // ours
)

// Defaults of the options.
const (
	defaultZone   = "us-central1-a"
	defaultImage  = "ubuntu-os-cloud/global/images/ubuntu-2204-jammy-v20250815"
	defaultScopes = scopePrefix + "devstorage.read_only," + scopePrefix + "logging.write," + scopePrefix + "monitoring.write"

	defaultCooldown = "0s"
	defaultLease    = "5m0s"

	scopePrefix = "https://www.googleapis.com/auth/"
)

// backoffDefaults are docker-machine's.
var backoffDefaults = map[string]string{optBackoffInitial: "1", optBackoffRandom: "0.5", optBackoffMultiple: "2", optBackoffMax: "30", optBackoffElapsed: "300"}

// noEffect ends the help of options that are taken and do nothing.
const noEffect = "; without effect, no creation is waited for"

// Describe lists the options. The driver wants the Compute API, and the API that tells Check what is allowed; the host signs in
// by itself.
func (google) Describe() abi.Describe {
	return abi.Describe{
		Name:      "google",
		Summary:   "machines as VMs of Google Compute Engine",
		Hostnames: append([]string{"{" + optEndpoint + "}"}, gce.RightsHostnames()...),
		Options: []abi.Option{
			{Name: optProject, Type: abi.OptionString, Env: "GOOGLE_PROJECT", Required: true, Role: abi.RoleAccount, Help: "id of the project"},
			{Name: optZone, Type: abi.OptionString, Env: "GOOGLE_ZONE", Default: defaultZone, Role: abi.RoleZone, Help: "zone of the machines"},
			{Name: optMachineType, Type: abi.OptionString, Env: "GOOGLE_MACHINE_TYPE", Default: "n1-standard-1", Role: abi.RoleType, Help: "machine type"},
			{Name: optMinCPUPlatform, Type: abi.OptionString, Env: "GOOGLE_MIN_CPU_PLATFORM", Help: "least CPU platform, such as Intel Skylake"},
			{Name: optMachineImage, Type: abi.OptionString, Env: "GOOGLE_MACHINE_IMAGE", Default: defaultImage,
				Help: "image: PROJECT/global/images/NAME or PROJECT/global/images/family/FAMILY, or its URL"},
			{Name: optUsername, Type: abi.OptionString, Env: "GOOGLE_USERNAME", Default: "ubuntu", Help: "login that the machine creates, with sudo"},
			{Name: optServiceAccount, Type: abi.OptionString, Env: "GOOGLE_SERVICE_ACCOUNT", Default: "default", Help: "e-mail of the machine's service account"},
			{Name: optNoAccount, Type: abi.OptionBool, Env: "GOOGLE_NO_SERVICE_ACCOUNT", Help: "give the machine no service account"},
			{Name: optScopes, Type: abi.OptionString, Env: "GOOGLE_SCOPES", Default: defaultScopes, Help: "scopes of the service account, separated by commas"},
			{Name: optDiskSize, Type: abi.OptionInt, Env: "GOOGLE_DISK_SIZE", Default: "10", Help: "size of the boot disk in GB"},
			{Name: optDiskType, Type: abi.OptionString, Env: "GOOGLE_DISK_TYPE", Default: "pd-standard", Help: "type of the boot disk"},
			{Name: optIOPS, Type: abi.OptionInt, Env: "GOOGLE_PROVISIONED_IOPS", Default: "0", Help: "I/O operations a second of a hyperdisk; 0 is the type's own"},
			{Name: optThroughput, Type: abi.OptionInt, Env: "GOOGLE_PROVISIONED_THROUGHPUT", Default: "0", Help: "MB a second of a hyperdisk; 0 is the type's own"},
			{Name: optNetwork, Type: abi.OptionString, Env: "GOOGLE_NETWORK", Default: "default", Help: "network: a name, or projects/HOST/global/networks/NAME for a shared VPC"},
			{Name: optSubnetwork, Type: abi.OptionString, Env: "GOOGLE_SUBNETWORK", Help: "subnetwork: a name, or projects/HOST/regions/REGION/subnetworks/NAME"},
			{Name: optAddress, Type: abi.OptionString, Env: "GOOGLE_ADDRESS", Help: "external address: one that is reserved, or its name in the region"},
			{Name: optPreemptible, Type: abi.OptionBool, Env: "GOOGLE_PREEMPTIBLE", Role: abi.RoleSpot, Help: "preemptible machine: cheap, taken back at any time, 24 hours at most"},
			{Name: optSpot, Type: abi.OptionBool, Env: "GOOGLE_SPOT", Role: abi.RoleSpot, Help: "spot machine: as preemptible, without the 24 hours, and deleted when it is taken back"},
			{Name: optTags, Type: abi.OptionString, Env: "GOOGLE_TAGS", Help: "network tags beside docker-machine, separated by commas"},
			{Name: optInternalIP, Type: abi.OptionBool, Env: "GOOGLE_USE_INTERNAL_IP", Help: "reach the machine by its internal address; it has an external one all the same"},
			{Name: optInternalIPOnly, Type: abi.OptionBool, Env: "GOOGLE_USE_INTERNAL_IP_ONLY", Help: "no external address"},
			{Name: optUseExisting, Type: abi.OptionBool, Env: "GOOGLE_USE_EXISTING", Help: "taken and refused where it matters: the agent removes its machines, so it adopts none that it did not make"},
			{Name: optOpenPort, Type: abi.OptionList, Help: "port for the firewall rule, such as 8080 or 8080/udp; may be repeated"},
			{Name: optLabel, Type: abi.OptionList, Help: "label of machine and disk: key:value; may be repeated"},
			{Name: optMetadata, Type: abi.OptionList, Help: "metadata: key=value; may be repeated"},
			{Name: optMetadataFile, Type: abi.OptionList, Role: abi.RoleFile, Help: "metadata from a file: key=/path; may be repeated"},
			{Name: optUserdata, Type: abi.OptionString, Env: "GOOGLE_USERDATA", Role: abi.RoleFile, Help: "file with user data for cloud-init"},
			{Name: optAccelerator, Type: abi.OptionString, Env: "GOOGLE_ACCELERATOR", Help: "GPUs: type=T,count=N"},
			{Name: optMaintenance, Type: abi.OptionString, Env: "GOOGLE_MAINTENANCE_POLICY", Help: "MIGRATE or TERMINATE when the host is maintained (default: the cloud's, TERMINATE with GPUs)"},
			{Name: optSkipFirewall, Type: abi.OptionBool, Env: "GOOGLE_SKIP_FIREWALL_CREATE", Help: "do not make or change the firewall rule docker-machines"},
			{Name: optBackoffInitial, Type: abi.OptionInt, Default: backoffDefaults[optBackoffInitial], Help: "seconds" + noEffect},
			{Name: optBackoffRandom, Type: abi.OptionString, Default: backoffDefaults[optBackoffRandom], Help: "factor" + noEffect},
			{Name: optBackoffMultiple, Type: abi.OptionString, Default: backoffDefaults[optBackoffMultiple], Help: "factor" + noEffect},
			{Name: optBackoffMax, Type: abi.OptionInt, Default: backoffDefaults[optBackoffMax], Help: "seconds" + noEffect},
			{Name: optBackoffElapsed, Type: abi.OptionInt, Default: backoffDefaults[optBackoffElapsed], Help: "seconds" + noEffect},
			{Name: optCOSCloudInit, Type: abi.OptionBool, Env: "GOOGLE_COS_WAIT_FOR_CLOUD_INIT", Help: "Container-Optimized OS: wait for cloud-init; without effect, the agent does so where it installs an engine"},
			{Name: optCOSReadyURL, Type: abi.OptionString, Env: "GOOGLE_COS_DOCKER_NETWORK_READINESS_URL", Help: "Container-Optimized OS: URL that containers must reach; without effect, no container is tried"},
			{Name: optCOSReadyGate, Type: abi.OptionString, Env: "GOOGLE_COS_DOCKER_NETWORK_READINESS_GATE", Help: "former name of " + optCOSReadyURL},
			{Name: optCOSTLS, Type: abi.OptionBool, Env: "GOOGLE_COS_TLS_VIA_METADATA", Help: "Container-Optimized OS: certificates by metadata; without effect, they go by SSH to a known host key"},
			{Name: optBulkInsert, Type: abi.OptionBool, Env: "GOOGLE_BULK_INSERT", Help: "insert into a region: Google chooses the zone, by what is there"},
			{Name: optRegion, Type: abi.OptionString, Env: "GOOGLE_REGION", Help: "region of " + optBulkInsert + ", such as us-central1"},
			{Name: optLocationZone, Type: abi.OptionList, Env: "GOOGLE_LOCATION_ZONE", Help: "zone of " + optBulkInsert + ": zone[:ALLOW|DENY]; may be repeated"},
			{Name: optFlex, Type: abi.OptionList, Env: "GOOGLE_FLEX_SELECTION", Help: "choice of hardware for " + optBulkInsert + ", tried in order: machine-type=T,disk-type=T,disk-iops=N,disk-throughput=N; may be repeated"},
			{Name: optFlexCooldown, Type: abi.OptionString, Env: "GOOGLE_FLEX_STOCKOUT_COOLDOWN", Default: defaultCooldown, Help: "without effect: alternatives in millwright.toml remember what was out, for capacity_memory"},
			{Name: optFlexLease, Type: abi.OptionString, Env: "GOOGLE_FLEX_STOCKOUT_PROBE_LEASE", Default: defaultLease, Help: "without effect, as " + optFlexCooldown},
			{Name: optEndpoint, Type: abi.OptionString, Default: gce.Endpoint, Role: abi.RoleEndpoint, Help: "the Compute API: endpoint of [drivers.google] in millwright.toml, not in MachineOptions"},
		},
	}
}
