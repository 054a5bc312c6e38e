package migrate

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// native writes the driver's part of config.json for a machine that a driver of ours made. Its fields are those of docker-machine's drivers in
// GitLab's fork, and of the hetzner plug-in; a reader takes those that it knows. o are the machine's options with their secrets. The error says why
// docker-machine could not go on with the machine; what is known is there all the same.
var native = map[string]func(m fleet.Machine, o options) (object, error){
	"google": google, "amazonec2": amazonec2, "azure": azure, "digitalocean": digitalocean, "hetzner": hetzner, "generic": generic, "none": noDriver,
}

// options reads a machine's options by their names without the driver's.
type options struct {
	driver string
	abi.Options
}

func (o options) text(name string) string { return o.Get(o.driver + "-" + name) }
func (o options) flag(name string) bool   { return o.Bool(o.driver + "-" + name) }
func (o options) list(name string) []string {
	return append([]string{}, o.Options[o.driver+"-"+name]...)
}

// number is 0 for what is none: docker-machine needs those of the machine's shape no more.
func (o options) number(name string) int {
	n, _ := strconv.Atoi(o.text(name))
	return n
}

// fields splits texts of the form KEY, sep, VALUE.
func fields(list []string, sep string) map[string]string {
	out := map[string]string{}
	for _, item := range list {
		key, value, _ := strings.Cut(item, sep)
		out[key] = value
	}
	return out
}

func google(m fleet.Machine, o options) (object, error) {
	var state struct {
		Zone string `json:"zone"`
	}
	err := readState(m, &state)
	zone := cmp.Or(state.Zone, o.text("zone"))
	if err == nil && (zone == "" || o.text("project") == "") {
		err = errors.New("its project or zone is not known")
	}
	return object{
		"Zone": zone, "MachineType": o.text("machine-type"), "MinCPUPlatform": o.text("min-cpu-platform"), "MachineImage": o.text("machine-image"),
		"DiskType": o.text("disk-type"), "Address": o.text("address"), "Network": o.text("network"), "Subnetwork": o.text("subnetwork"),
		"Preemptible": o.flag("preemptible"), "UseInternalIP": o.flag("use-internal-ip") || o.flag("use-internal-ip-only"),
		"UseInternalIPOnly": o.flag("use-internal-ip-only"), "ServiceAccount": o.text("service-account"), "Scopes": o.text("scopes"),
		"DiskSize": o.number("disk-size"), "Project": o.text("project"), "Tags": o.text("tags"), "UseExisting": false,
		"OpenPorts": o.list("open-port"), "Labels": o.list("label"), "Metadata": fields(o.list("metadata"), "="),
		"MetadataFromFile": fields(o.list("metadata-from-file"), "="), "Accelerator": o.text("accelerator"),
		"MaintenancePolicy": o.text("maintenance-policy"), "SkipFirewall": o.flag("skip-firewall-create"),
		"OperationBackoffFactory": backoff(o),
	}, err
}

// readState reads what the driver keeps with a machine.
func readState(m fleet.Machine, into any) error {
	if len(m.Instance.State) == 0 {
		return nil
	}
	if err := json.Unmarshal(m.Instance.State, into); err != nil {
		return fmt.Errorf("the driver's state: %w", err)
	}
	return nil
}

// backoff is what GitLab's fork can do nothing without.
func backoff(o options) object {
	seconds := func(name string, otherwise int) int64 {
		n := o.number("operation-backoff-" + name)
		if n <= 0 {
			n = otherwise
		}
		return int64(time.Duration(n) * time.Second)
	}
	factor := func(name string, otherwise float64) float64 {
		f, err := strconv.ParseFloat(o.text("operation-backoff-"+name), 64)
		if err != nil || f <= 0 {
			return otherwise
		}
		return f
	}
	return object{
		"InitialInterval": seconds("initial-interval", 1), "MaxInterval": seconds("max-interval", 30), "MaxElapsedTime": seconds("max-elapsed-time", 300),
		"RandomizationFactor": factor("randomization-factor", 0.5), "Multiplier": factor("multipler", 2), // GitLab's spelling
	}
}

func amazonec2(m fleet.Machine, o options) (object, error) {
	var err error
	if !strings.HasPrefix(m.Instance.ID, "i-") {
		err = fmt.Errorf("its instance is %q, and no instance of EC2", m.Instance.ID)
	}
	key, existing := o.text("keypair-name"), true
	if key == "" { // the driver made one by the machine's name
		key, existing = m.Name, false
	}
	return object{
		"Id": "", "AccessKey": o.text("access-key"), "SecretKey": o.text("secret-key"), "SessionToken": o.text("session-token"),
		"Region": o.text("region"), "AMI": o.text("ami"), "SSHKeyID": 0, "ExistingKey": existing, "KeyName": key, "InstanceId": m.Instance.ID,
		"InstanceType": o.text("instance-type"), "PrivateIPAddress": "", "SecurityGroupNames": o.list("security-group"), "SecurityGroupIds": []string{},
		"SecurityGroupReadOnly": o.flag("security-group-readonly"), "OpenPorts": o.list("open-port"), "Tags": o.text("tags"),
		"DeviceName": o.text("device-name"), "RootSize": o.number("root-size"), "VolumeType": o.text("volume-type"),
		"VolumeEncrypted": o.flag("volume-encrypted"), "VolumeKmsKeyId": o.text("volume-kms-key"), "IamInstanceProfile": o.text("iam-instance-profile"),
		"VpcId": o.text("vpc-id"), "SubnetId": o.text("subnet-id"), "Zone": o.text("zone"), "RequestSpotInstance": o.flag("request-spot-instance"),
		"SpotPrice": o.text("spot-price"), "BlockDurationMinutes": o.number("block-duration-minutes"), "PrivateIPOnly": o.flag("private-address-only"),
		"UsePrivateIP": o.flag("use-private-address"), "UseEbsOptimizedInstance": o.flag("use-ebs-optimized-instance"), "Monitoring": o.flag("monitoring"),
		"SSHPrivateKeyPath": "", "RetryCount": o.number("retries"), "Endpoint": o.text("endpoint"), "DisableSSL": o.flag("insecure-transport"),
		"UserDataFile": o.text("userdata"), "MetadataTokenSetting": o.text("metadata-token"),
		"MetadataTokenResponseHopLimit": o.number("metadata-token-response-hop-limit"),
	}, err
}

func azure(_ fleet.Machine, o options) (object, error) {
	var err error
	if o.text("client-secret") == "" || o.text("client-id") == "" {
		err = missing("azure-client-id and azure-client-secret")
	}
	return object{
		"ClientID": o.text("client-id"), "ClientSecret": o.text("client-secret"), "Environment": o.text("environment"),
		"SubscriptionID": o.text("subscription-id"), "ResourceGroup": o.text("resource-group"), "DockerPort": o.number("docker-port"),
		"Location": o.text("location"), "Size": o.text("size"), "Image": o.text("image"), "VirtualNetwork": o.text("vnet"),
		"SubnetName": o.text("subnet"), "SubnetPrefix": o.text("subnet-prefix"), "AvailabilitySet": o.text("availability-set"),
		"StorageType": o.text("storage-type"), "OpenPorts": o.list("open-port"), "PrivateIPAddr": o.text("private-ip-address"),
		"UsePrivateIP": o.flag("use-private-ip"), "NoPublicIP": o.flag("no-public-ip"), "StaticPublicIP": o.flag("static-public-ip"),
		"DNSLabel": o.text("dns"), "CustomDataFile": o.text("custom-data"),
	}, err
}

func digitalocean(m fleet.Machine, o options) (object, error) {
	var state struct {
		Key int `json:"key"`
	}
	err := readState(m, &state)
	id, noID := strconv.Atoi(m.Instance.ID)
	switch {
	case noID != nil:
		err = fmt.Errorf("its instance is %q, and no droplet's number", m.Instance.ID)
	case o.text("access-token") == "":
		err = missing("digitalocean-access-token")
	}
	fingerprint := o.text("ssh-key-fingerprint")
	if state.Key == 0 && fingerprint == "" {
		fingerprint = "none" // else docker-machine removes the key with the number 0, and fails
	}
	return object{
		"AccessToken": o.text("access-token"), "DropletID": id, "DropletName": m.Name, "Image": o.text("image"), "Region": o.text("region"),
		"SSHKeyID": state.Key, "SSHKeyFingerprint": fingerprint, "SSHKey": "", "Size": o.text("size"), "IPv6": o.flag("ipv6"),
		"Backups": o.flag("backups"), "PrivateNetworking": o.flag("private-networking"), "UserDataFile": o.text("userdata"),
		"Monitoring": o.flag("monitoring"), "Tags": o.text("tags"),
	}, err
}

func hetzner(m fleet.Machine, o options) (object, error) {
	id, err := strconv.ParseInt(m.Instance.ID, 10, 64)
	switch {
	case err != nil:
		err = fmt.Errorf("its instance is %q, and no server's number", m.Instance.ID)
	case o.text("api-token") == "":
		err = missing("hetzner-api-token")
	}
	return object{
		"AccessToken": o.text("api-token"), "Image": o.text("image"), "ImageID": o.number("image-id"), "ImageArch": o.text("image-arch"),
		"Type": o.text("server-type"), "Location": o.text("server-location"), "KeyID": 0, "IsExistingKey": true, "ServerID": id,
		"Volumes": o.list("volumes"), "Networks": o.list("networks"), "UsePrivateNetwork": o.flag("use-private-network"),
		"DisablePublic4": o.flag("disable-public-ipv4") || o.flag("disable-public-4"), "DisablePublic6": o.flag("disable-public-ipv6") || o.flag("disable-public-6"),
		"PrimaryIPv4": o.text("primary-ipv4"), "PrimaryIPv6": o.text("primary-ipv6"), "Firewalls": o.list("firewalls"),
		"ServerLabels": fields(o.list("server-label"), "="), "AdditionalKeys": []string{}, "AdditionalKeyIDs": []int{},
		"WaitOnError": o.number("wait-on-error"), "WaitOnPolling": o.number("wait-on-polling"), "WaitForRunningTimeout": o.number("wait-for-running-timeout"),
	}, err
}

func generic(m fleet.Machine, o options) (object, error) {
	out := object{"EnginePort": m.Instance.EnginePort, "SSHKey": o.text("ssh-key")}
	if m.Instance.EnginePort == 0 {
		out["EnginePort"] = 2376
	}
	if key := o.text("ssh-key"); key != "" {
		out["SSHKeyPath"] = key
	}
	return out, nil
}

func noDriver(_ fleet.Machine, o options) (object, error) { return object{"URL": o.Get("url")}, nil }

// missing is a secret that docker-machine needs in its file and that the runner's options do not give.
func missing(option string) error {
	return fmt.Errorf("docker-machine needs %s, which is not in the runner's MachineOptions; put it there for the export", option)
}

// nativeDrivers are the drivers of ours that docker-machine has, or a plug-in of it, in order.
func nativeDrivers() []string {
	var names []string
	for name := range native {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// secretFields are those of native that hold credentials.
var secretFields = []string{"AccessKey", "SecretKey", "SessionToken", "ClientSecret", "AccessToken"}

// DriverFields returns what docker-machine's driver of the name would have in config.json for a machine of ours, as far as it is known, and without
// what is secret: scripts read some by `inspect --format`. It is empty for drivers that docker-machine does not have.
func DriverFields(m fleet.Machine) map[string]any {
	write, ok := native[m.Driver]
	if !ok {
		return nil
	}
	fields, _ := write(m, options{m.Driver, m.Options}) // nobody is to go on with it
	for _, name := range secretFields {
		delete(fields, name)
	}
	return fields
}
