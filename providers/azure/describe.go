package main

import "github.com/millwright-ci/millwright/sdk/go/abi"

// azure implements the driver. It has no state: tags say what belongs to whom.
type azure struct{}

// Names of the options, those of docker-machine's driver. Rancher's additions and what is ours alone say so.
const (
	optEnvironment     = "azure-environment"
	optSubscription    = "azure-subscription-id"
	optClientID        = "azure-client-id"
	optClientSecret    = "azure-client-secret"
	optTenant          = "azure-tenant-id" // rancher's
	optGroup           = "azure-resource-group"
	optLocation        = "azure-location"
	optSize            = "azure-size"
	optImage           = "azure-image"
	optPlan            = "azure-plan" // rancher's
	optVnet            = "azure-vnet"
	optSubnet          = "azure-subnet"
	optSubnetPrefix    = "azure-subnet-prefix"
	optNSG             = "azure-nsg" // rancher's
	optAvailabilitySet = "azure-availability-set"
	optFaultDomains    = "azure-fault-domain-count"  // rancher's
	optUpdateDomains   = "azure-update-domain-count" // rancher's
	optZone            = "azure-availability-zone"   // rancher's
	optManagedDisks    = "azure-managed-disks"       // rancher's
	optStorageType     = "azure-storage-type"
	optDiskSize        = "azure-disk-size" // rancher's
	optUser            = "azure-ssh-user"
	optDockerPort      = "azure-docker-port"
	optCustomData      = "azure-custom-data"
	optPrivateAddress  = "azure-private-ip-address"
	optUsePrivate      = "azure-use-private-ip"
	optNoPublic        = "azure-no-public-ip"
	optStaticPublic    = "azure-static-public-ip"
	optStandardSKU     = "azure-enable-public-ip-standard-sku" // rancher's
	optAccelerated     = "azure-accelerated-networking"        // rancher's
	optDNS             = "azure-dns"
	optOpenPort        = "azure-open-port"
	optTags            = "azure-tags"             // rancher's
	optIdentity        = "azure-managed-identity" // ours, as is what follows
	optSpot            = "azure-spot"
	optLowPriority     = "azure-low-priority"
	optEviction        = "azure-eviction-policy"
	optMaxPrice        = "azure-max-price"
	optEndpoint        = "azure-endpoint"
)

// Defaults of the options, which are docker-machine's.
const (
	defaultEnvironment = "AzurePublicCloud"
	defaultImage       = "canonical:UbuntuServer:16.04.0-LTS:latest"
	defaultSize        = "Standard_A2"
	defaultGroup       = "docker-machine"
	defaultPort        = "2376"
)

// Describe lists the options. The hostnames are those of Azure Resource Manager in its clouds; the host signs in by itself.
func (azure) Describe() abi.Describe {
	hostnames := []string{"{" + optEndpoint + "}"}
	for _, e := range environments {
		hostnames = append(hostnames, e.endpoint)
	}
	return abi.Describe{
		Name:      "azure",
		Summary:   "machines as virtual machines of Microsoft Azure",
		Hostnames: hostnames,
		Options: []abi.Option{
			{Name: optEnvironment, Type: abi.OptionString, Env: "AZURE_ENVIRONMENT", Default: defaultEnvironment, Role: abi.RoleAccount,
				Help: "cloud: AzurePublicCloud, AzureUSGovernmentCloud or AzureChinaCloud"},
			{Name: optSubscription, Type: abi.OptionString, Env: "AZURE_SUBSCRIPTION_ID", Required: true, Role: abi.RoleAccount, Help: "id of the subscription"},
			{Name: optClientID, Type: abi.OptionString, Env: "AZURE_CLIENT_ID", Secret: true, Credential: abi.CredentialClientID,
				Help: "id of the application that the agent signs in as; without a secret, of the managed identity"},
			{Name: optClientSecret, Type: abi.OptionString, Env: "AZURE_CLIENT_SECRET", Secret: true, Credential: abi.CredentialSecret,
				Help: "secret of that application"},
			{Name: optTenant, Type: abi.OptionString, Env: "AZURE_TENANT_ID", Secret: true, Credential: abi.CredentialTenantID,
				Help: "id of the tenant that the application is of; without it the subscription's"},
			{Name: optGroup, Type: abi.OptionString, Env: "AZURE_RESOURCE_GROUP", Default: defaultGroup, Role: abi.RoleAccount,
				Help: "resource group; made where there is none, and never removed"},
			{Name: optLocation, Type: abi.OptionString, Env: "AZURE_LOCATION", Default: "westus", Help: "location of all that is made"},
			{Name: optSize, Type: abi.OptionString, Env: "AZURE_SIZE", Default: defaultSize, Role: abi.RoleType, Help: "size of the machines, such as Standard_D2s_v5"},
			{Name: optImage, Type: abi.OptionString, Env: "AZURE_IMAGE", Default: defaultImage,
				Help: "image: publisher:offer:sku:version, or the id of an image or of a gallery's"},
			{Name: optPlan, Type: abi.OptionString, Env: "AZURE_PLAN", Help: "purchase plan of a marketplace image: publisher:product:name"},
			{Name: optVnet, Type: abi.OptionString, Env: "AZURE_VNET", Default: "docker-machine-vnet", Help: "virtual network, [resourcegroup:]name; made where there is none"},
			{Name: optSubnet, Type: abi.OptionString, Env: "AZURE_SUBNET", Default: "docker-machine", Help: "subnet of it; made where there is none"},
			{Name: optSubnetPrefix, Type: abi.OptionString, Env: "AZURE_SUBNET_PREFIX", Default: "192.168.0.0/16", Help: "addresses of a subnet that is made"},
			{Name: optNSG, Type: abi.OptionString, Env: "AZURE_NSG", Help: "network security group of your own, by name or id; without one it is made, one for all machines that open the same ports"},
			{Name: optAvailabilitySet, Type: abi.OptionString, Env: "AZURE_AVAILABILITY_SET", Default: "docker-machine",
				Help: "availability set, made where there is none; empty, with a zone and for spot machines: none"},
			{Name: optFaultDomains, Type: abi.OptionInt, Env: "AZURE_FAULT_DOMAIN_COUNT", Help: "fault domains of an availability set that is made (default: the cloud's)"},
			{Name: optUpdateDomains, Type: abi.OptionInt, Env: "AZURE_UPDATE_DOMAIN_COUNT", Help: "update domains of it (default: the cloud's)"},
			{Name: optZone, Type: abi.OptionString, Env: "AZURE_AVAILABILITY_ZONE", Role: abi.RoleZone, Help: "zone of the location: 1, 2 or 3"},
			{Name: optManagedDisks, Type: abi.OptionBool, Env: "AZURE_MANAGED_DISKS", Default: "true", Help: "managed disks, which are the only ones that there are still"},
			{Name: optStorageType, Type: abi.OptionString, Env: "AZURE_STORAGE_TYPE", Default: "Standard_LRS", Help: "type of the disk, such as Premium_LRS or StandardSSD_LRS"},
			{Name: optDiskSize, Type: abi.OptionInt, Env: "AZURE_DISK_SIZE", Default: "30", Help: "size of the disk in GB"},
			{Name: optUser, Type: abi.OptionString, Env: "AZURE_SSH_USER", Default: "docker-user", Help: "login that the machine creates, with sudo"},
			{Name: optDockerPort, Type: abi.OptionInt, Env: "AZURE_DOCKER_PORT", Default: defaultPort, Help: "port of the engine"},
			{Name: optCustomData, Type: abi.OptionString, Env: "AZURE_CUSTOM_DATA_FILE", Role: abi.RoleFile, Help: "file with custom data for cloud-init"},
			{Name: optPrivateAddress, Type: abi.OptionString, Help: "static private address, for one machine at a time"},
			{Name: optUsePrivate, Type: abi.OptionBool, Help: "reach the machine by its private address"},
			{Name: optNoPublic, Type: abi.OptionBool, Help: "no public address"},
			{Name: optStaticPublic, Type: abi.OptionBool, Help: "static public address; those of the SKU Standard always are"},
			{Name: optStandardSKU, Type: abi.OptionBool, Env: "AZURE_STANDARD_PUBLIC_IP_SKU", Default: "true",
				Help: "public addresses of the SKU Standard; Azure makes none of the SKU Basic any more"},
			{Name: optAccelerated, Type: abi.OptionBool, Env: "AZURE_ACCELERATED_NETWORKING", Help: "accelerated networking, with sizes that have it"},
			{Name: optDNS, Type: abi.OptionString, Env: "AZURE_DNS_LABEL", Help: "DNS label of the public address, by whose name the machine is reached then"},
			{Name: optOpenPort, Type: abi.OptionList, Help: "port to open beside those of SSH and of the engine, such as 8080 or 8080/udp; may be repeated"},
			{Name: optTags, Type: abi.OptionString, Env: "AZURE_TAGS", Help: "tags of all that is made: key1,value1,key2,value2 or key1=value1,key2=value2"},
			{Name: optIdentity, Type: abi.OptionList, Help: "managed identity of the machines: system, or the id of one; may be repeated"},
			{Name: optSpot, Type: abi.OptionBool, Env: "AZURE_SPOT", Role: abi.RoleSpot, Help: "spot machine: cheap, taken back at any time"},
			{Name: optLowPriority, Type: abi.OptionBool, Env: "AZURE_LOW_PRIORITY", Role: abi.RoleSpot, Help: "low priority, the former name of spot"},
			{Name: optEviction, Type: abi.OptionString, Env: "AZURE_EVICTION_POLICY", Default: "Delete", Help: "what becomes of a spot machine that is taken back: Delete or Deallocate"},
			{Name: optMaxPrice, Type: abi.OptionString, Env: "AZURE_MAX_PRICE", Default: "-1", Help: "most US dollars an hour for a spot machine; -1 is up to the usual price"},
			{Name: optEndpoint, Type: abi.OptionString, Role: abi.RoleEndpoint, Help: "Azure Resource Manager, if not that of " + optEnvironment + ": endpoint of [drivers.azure] in millwright.toml"},
		},
	}
}
