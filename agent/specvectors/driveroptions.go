package specvectors

import (
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// DriverOptions are the options of docker-machine's drivers, as GitLab maintains it, by driver: what their users have in MachineOptions and in
// the environment. A driver of ours has all of them, with these types, environment names and defaults, and may have more. Its own tests
// compare.
func DriverOptions(driver string) (options []abi.Option) {
	for line := range strings.Lines(driverOptions[driver]) {
		if f := strings.Fields(line); len(f) > 0 {
			// name, type, environment, default; - is none
			options = append(options, abi.Option{Name: driver + "-" + f[0], Type: abi.OptionType(f[1]), Env: dash(f[2]), Default: dash(f[3])})
		}
	}
	return options
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// Source: GitLab's fork of docker-machine, the options of its drivers, up to 2026; for hetzner the plug-in docker-machine-driver-hetzner.
var driverOptions = map[string]string{
	"amazonec2": `
		access-key                       string AWS_ACCESS_KEY_ID           -
		secret-key                       string AWS_SECRET_ACCESS_KEY       -
		session-token                    string AWS_SESSION_TOKEN           -
		region                           string AWS_DEFAULT_REGION          us-east-1
		ami                              string AWS_AMI                     -
		zone                             string AWS_ZONE                    a
		vpc-id                           string AWS_VPC_ID                  -
		subnet-id                        string AWS_SUBNET_ID               -
		security-group                   list   AWS_SECURITY_GROUP          docker-machine
		security-group-readonly          bool   AWS_SECURITY_GROUP_READONLY -
		open-port                        list   -                           -
		tags                             string AWS_TAGS                    -
		instance-type                    string AWS_INSTANCE_TYPE           t2.micro
		device-name                      string AWS_DEVICE_NAME             /dev/sda1
		root-size                        int    AWS_ROOT_SIZE               16
		volume-type                      string AWS_VOLUME_TYPE             gp2
		volume-encrypted                 bool   -                           -
		volume-kms-key                   string AWS_VOLUME_KMS_KEY          -
		iam-instance-profile             string AWS_INSTANCE_PROFILE        -
		ssh-user                         string AWS_SSH_USER                ubuntu
		ssh-port                         int    AWS_SSH_PORT                22
		ssh-keypath                      string AWS_SSH_KEYPATH             -
		keypair-name                     string AWS_KEYPAIR_NAME            -
		request-spot-instance            bool   -                           -
		spot-price                       string -                           0.50
		block-duration-minutes           int    -                           0
		private-address-only             bool   -                           -
		use-private-address              bool   -                           -
		monitoring                       bool   -                           -
		use-ebs-optimized-instance       bool   -                           -
		retries                          int    -                           5
		endpoint                         string AWS_ENDPOINT                -
		insecure-transport               bool   AWS_INSECURE_TRANSPORT      -
		userdata                         string AWS_USERDATA                -
		metadata-token                   string -                           optional
		metadata-token-response-hop-limit int   -                           1
	`,
	"google": `
		project                               string  GOOGLE_PROJECT                           -
		zone                                  string  GOOGLE_ZONE                              us-central1-a
		machine-type                          string  GOOGLE_MACHINE_TYPE                      n1-standard-1
		min-cpu-platform                      string  GOOGLE_MIN_CPU_PLATFORM                  -
		machine-image                         string  GOOGLE_MACHINE_IMAGE                     ubuntu-os-cloud/global/images/ubuntu-2204-jammy-v20250815
		username                              string  GOOGLE_USERNAME                          ubuntu
		service-account                       string  GOOGLE_SERVICE_ACCOUNT                   default
		no-service-account                    bool    GOOGLE_NO_SERVICE_ACCOUNT                -
		scopes                                string  GOOGLE_SCOPES                            https://www.googleapis.com/auth/devstorage.read_only,https://www.googleapis.com/auth/logging.write,https://www.googleapis.com/auth/monitoring.write
		disk-size                             int     GOOGLE_DISK_SIZE                         10
		disk-type                             string  GOOGLE_DISK_TYPE                         pd-standard
		provisioned-iops                      int     GOOGLE_PROVISIONED_IOPS                  0
		provisioned-throughput                int     GOOGLE_PROVISIONED_THROUGHPUT            0
		network                               string  GOOGLE_NETWORK                           default
		subnetwork                            string  GOOGLE_SUBNETWORK                        -
		address                               string  GOOGLE_ADDRESS                           -
		preemptible                           bool    GOOGLE_PREEMPTIBLE                       -
		tags                                  string  GOOGLE_TAGS                              -
		use-internal-ip                       bool    GOOGLE_USE_INTERNAL_IP                   -
		use-internal-ip-only                  bool    GOOGLE_USE_INTERNAL_IP_ONLY              -
		use-existing                          bool    GOOGLE_USE_EXISTING                      -
		open-port                             list    -                                        -
		operation-backoff-initial-interval    int     -                                        1
		operation-backoff-randomization-factor string -                                        0.5
		operation-backoff-multipler           string  -                                        2
		operation-backoff-max-interval        int     -                                        30
		operation-backoff-max-elapsed-time    int     -                                        300
		label                                 list    -                                        -
		metadata                              list    -                                        -
		metadata-from-file                    list    -                                        -
		accelerator                           string  GOOGLE_ACCELERATOR                       -
		maintenance-policy                    string  GOOGLE_MAINTENANCE_POLICY                -
		skip-firewall-create                  bool    GOOGLE_SKIP_FIREWALL_CREATE              -
		bulk-insert                           bool    GOOGLE_BULK_INSERT                       -
		region                                string  GOOGLE_REGION                            -
		location-zone                         list    GOOGLE_LOCATION_ZONE                     -
		flex-selection                        list    GOOGLE_FLEX_SELECTION                    -
		flex-stockout-cooldown                string  GOOGLE_FLEX_STOCKOUT_COOLDOWN            0s
		flex-stockout-probe-lease             string  GOOGLE_FLEX_STOCKOUT_PROBE_LEASE         5m0s
		cos-wait-for-cloud-init               bool    GOOGLE_COS_WAIT_FOR_CLOUD_INIT           -
		cos-docker-network-readiness-url      string  GOOGLE_COS_DOCKER_NETWORK_READINESS_URL  -
		cos-docker-network-readiness-gate     string  GOOGLE_COS_DOCKER_NETWORK_READINESS_GATE -
		cos-tls-via-metadata                  bool    GOOGLE_COS_TLS_VIA_METADATA              -`,
	"digitalocean": `
		access-token        string  DIGITALOCEAN_ACCESS_TOKEN        -
		region              string  DIGITALOCEAN_REGION              nyc3
		size                string  DIGITALOCEAN_SIZE                s-1vcpu-1gb
		image               string  DIGITALOCEAN_IMAGE               ubuntu-16-04-x64
		ssh-user            string  DIGITALOCEAN_SSH_USER            root
		ssh-port            int     DIGITALOCEAN_SSH_PORT            22
		ssh-key-fingerprint string  DIGITALOCEAN_SSH_KEY_FINGERPRINT -
		ssh-key-path        string  DIGITALOCEAN_SSH_KEY_PATH        -
		ipv6                bool    DIGITALOCEAN_IPV6                -
		private-networking  bool    DIGITALOCEAN_PRIVATE_NETWORKING  -
		backups             bool    DIGITALOCEAN_BACKUPS             -
		monitoring          bool    DIGITALOCEAN_MONITORING          -
		userdata            string  DIGITALOCEAN_USERDATA            -
		tags                string  DIGITALOCEAN_TAGS                -`,
	"hetzner": `
		api-token                string HETZNER_API_TOKEN                -
		image                    string HETZNER_IMAGE                    -
		image-id                 string HETZNER_IMAGE_ID                 -
		image-arch               string HETZNER_IMAGE_ARCH               -
		server-type              string HETZNER_TYPE                     cx11
		server-location          string HETZNER_LOCATION                 -
		existing-key-id          string HETZNER_EXISTING_KEY_ID          -
		existing-key-path        string HETZNER_EXISTING_KEY_PATH        -
		additional-key           list   HETZNER_ADDITIONAL_KEYS          -
		key-label                list   HETZNER_KEY_LABELS               -
		server-label             list   HETZNER_SERVER_LABELS            -
		user-data                string HETZNER_USER_DATA                -
		user-data-file           string HETZNER_USER_DATA_FILE           -
		networks                 list   HETZNER_NETWORKS                 -
		volumes                  list   HETZNER_VOLUMES                  -
		firewalls                list   HETZNER_FIREWALLS                -
		use-private-network      bool   HETZNER_USE_PRIVATE_NETWORK      -
		disable-public-ipv4      bool   HETZNER_DISABLE_PUBLIC_IPV4      -
		disable-public-ipv6      bool   HETZNER_DISABLE_PUBLIC_IPV6      -
		disable-public-4         bool   HETZNER_DISABLE_PUBLIC_4         -
		disable-public-6         bool   HETZNER_DISABLE_PUBLIC_6         -
		disable-public           bool   HETZNER_DISABLE_PUBLIC           -
		primary-ipv4             string HETZNER_PRIMARY_IPV4             -
		primary-ipv6             string HETZNER_PRIMARY_IPV6             -
		placement-group          string HETZNER_PLACEMENT_GROUP          -
		auto-spread              bool   HETZNER_AUTO_SPREAD              -
		ssh-user                 string HETZNER_SSH_USER                 root
		ssh-port                 int    HETZNER_SSH_PORT                 22
		wait-on-error            int    HETZNER_WAIT_ON_ERROR            0
		wait-on-polling          int    HETZNER_WAIT_ON_POLLING          1
		wait-for-running-timeout int    HETZNER_WAIT_FOR_RUNNING_TIMEOUT 0`,
	"azure": `
		environment         string  AZURE_ENVIRONMENT       AzurePublicCloud
		subscription-id     string  AZURE_SUBSCRIPTION_ID   -
		client-id           string  AZURE_CLIENT_ID         -
		client-secret       string  AZURE_CLIENT_SECRET     -
		resource-group      string  AZURE_RESOURCE_GROUP    docker-machine
		location            string  AZURE_LOCATION          westus
		size                string  AZURE_SIZE              Standard_A2
		image               string  AZURE_IMAGE             canonical:UbuntuServer:16.04.0-LTS:latest
		vnet                string  AZURE_VNET              docker-machine-vnet
		subnet              string  AZURE_SUBNET            docker-machine
		subnet-prefix       string  AZURE_SUBNET_PREFIX     192.168.0.0/16
		availability-set    string  AZURE_AVAILABILITY_SET  docker-machine
		storage-type        string  AZURE_STORAGE_TYPE      Standard_LRS
		ssh-user            string  AZURE_SSH_USER          docker-user
		docker-port         int     AZURE_DOCKER_PORT       2376
		custom-data         string  AZURE_CUSTOM_DATA_FILE  -
		private-ip-address  string  -                       -
		use-private-ip      bool    -                       -
		no-public-ip        bool    -                       -
		static-public-ip    bool    -                       -
		dns                 string  AZURE_DNS_LABEL         -
		open-port           list    -                       -`,
	"generic": `
		ip-address  string GENERIC_IP_ADDRESS  -
		ssh-user    string GENERIC_SSH_USER    root
		ssh-port    int    GENERIC_SSH_PORT    22
		ssh-key     string GENERIC_SSH_KEY     -
		engine-port int    GENERIC_ENGINE_PORT 2376`,
}
