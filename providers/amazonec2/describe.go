package main

import "github.com/millwright-ci/millwright/sdk/go/abi"

// amazonec2 implements the driver. Its state is a memory of what the cloud was asked for already: see memory.
type amazonec2 struct{}

// Names of the options, those of docker-machine's driver as GitLab maintains it. What is ours alone says so.
const (
	optAccessKey        = "amazonec2-access-key"
	optSecretKey        = "amazonec2-secret-key"
	optSessionToken     = "amazonec2-session-token"
	optRegion           = "amazonec2-region"
	optAMI              = "amazonec2-ami"
	optZone             = "amazonec2-zone"
	optVPC              = "amazonec2-vpc-id"
	optSubnet           = "amazonec2-subnet-id"
	optGroup            = "amazonec2-security-group"
	optGroupReadonly    = "amazonec2-security-group-readonly"
	optOpenPort         = "amazonec2-open-port"
	optTags             = "amazonec2-tags"
	optType             = "amazonec2-instance-type"
	optDevice           = "amazonec2-device-name"
	optRootSize         = "amazonec2-root-size"
	optVolumeType       = "amazonec2-volume-type"
	optVolumeEncrypted  = "amazonec2-volume-encrypted"
	optVolumeKey        = "amazonec2-volume-kms-key"
	optVolumeIOPS       = "amazonec2-volume-iops"       // ours
	optVolumeThroughput = "amazonec2-volume-throughput" // ours
	optProfile          = "amazonec2-iam-instance-profile"
	optSSHUser          = "amazonec2-ssh-user"
	optSSHPort          = "amazonec2-ssh-port"
	optSSHKeyPath       = "amazonec2-ssh-keypath"
	optKeyPair          = "amazonec2-keypair-name"
	optSpot             = "amazonec2-request-spot-instance"
	optSpotPrice        = "amazonec2-spot-price"
	optBlockDuration    = "amazonec2-block-duration-minutes"
	optPrivateOnly      = "amazonec2-private-address-only"
	optUsePrivate       = "amazonec2-use-private-address"
	optMonitoring       = "amazonec2-monitoring"
	optEBSOptimized     = "amazonec2-use-ebs-optimized-instance"
	optCPUCredits       = "amazonec2-cpu-credits" // ours
	optRetries          = "amazonec2-retries"
	optEndpoint         = "amazonec2-endpoint"
	optInsecure         = "amazonec2-insecure-transport"
	optUserdata         = "amazonec2-userdata"
	optToken            = "amazonec2-metadata-token"
	optHopLimit         = "amazonec2-metadata-token-response-hop-limit"
)

// Defaults of the options.
const (
	defaultRegion = "us-east-1"
	defaultZone   = "a"
	defaultGroup  = "docker-machine"
	defaultType   = "t2.micro"
	defaultDevice = "/dev/sda1"
	defaultVolume = "gp2"
	defaultUser   = "ubuntu"
	defaultPrice  = "0.50"

	defaultRootGB  = 16
	defaultRetries = 5
)

// Describe lists the options. The only hostnames that the driver wants are those of the EC2 API; the host signs by itself.
func (amazonec2) Describe() abi.Describe {
	return abi.Describe{
		Name:    "amazonec2",
		Summary: "machines as instances of Amazon EC2",
		Hostnames: []string{
			"ec2.{" + optRegion + "}.amazonaws.com", "ec2.{" + optRegion + "}.amazonaws.com.cn", "{" + optEndpoint + "}", "http://{" + optEndpoint + "}",
		},
		Options: []abi.Option{
			{Name: optAccessKey, Type: abi.OptionString, Env: "AWS_ACCESS_KEY_ID", Secret: true, Credential: abi.CredentialAccessKeyID,
				Help: "access key of this runner's machines; without it the agent's own credential, by AWS's usual chain"},
			{Name: optSecretKey, Type: abi.OptionString, Env: "AWS_SECRET_ACCESS_KEY", Secret: true, Credential: abi.CredentialSecret, Help: "secret key that goes with it"},
			{Name: optSessionToken, Type: abi.OptionString, Env: "AWS_SESSION_TOKEN", Secret: true, Credential: abi.CredentialSessionToken, Help: "session token of temporary keys"},
			{Name: optRegion, Type: abi.OptionString, Env: "AWS_DEFAULT_REGION", Default: defaultRegion, Role: abi.RoleAccount, Help: "region"},
			{Name: optAMI, Type: abi.OptionString, Env: "AWS_AMI",
				Help: "image: ami-..., OWNER/NAME with stars for the newest of an owner's, or resolve:ssm:PARAMETER; without it Ubuntu 22.04 for the instance type's architecture"},
			{Name: optZone, Type: abi.OptionString, Env: "AWS_ZONE", Default: defaultZone, Role: abi.RoleZone, Help: "letter of the zone in the region, or its whole name"},
			{Name: optVPC, Type: abi.OptionString, Env: "AWS_VPC_ID", Help: "VPC; without it and " + optSubnet + " the default one"},
			{Name: optSubnet, Type: abi.OptionString, Env: "AWS_SUBNET_ID", Help: "subnet; without it the zone's default one, or its first in the VPC"},
			{Name: optGroup, Type: abi.OptionList, Env: "AWS_SECURITY_GROUP", Default: defaultGroup, Help: "security group: a name, made if it is missing, or sg-...; may be repeated"},
			{Name: optGroupReadonly, Type: abi.OptionBool, Env: "AWS_SECURITY_GROUP_READONLY", Help: "add no rules to the security groups"},
			{Name: optOpenPort, Type: abi.OptionList, Help: "port for the security group's rules, such as 8080 or 8080/udp; may be repeated"},
			{Name: optTags, Type: abi.OptionString, Env: "AWS_TAGS", Help: "tags of all that is made: key1,value1,key2,value2"},
			{Name: optType, Type: abi.OptionString, Env: "AWS_INSTANCE_TYPE", Default: defaultType, Role: abi.RoleType, Help: "instance type"},
			{Name: optDevice, Type: abi.OptionString, Env: "AWS_DEVICE_NAME", Default: defaultDevice, Help: "device of the root volume, as the image names it"},
			{Name: optRootSize, Type: abi.OptionInt, Env: "AWS_ROOT_SIZE", Default: "16", Help: "size of the root volume in GB"},
			{Name: optVolumeType, Type: abi.OptionString, Env: "AWS_VOLUME_TYPE", Default: defaultVolume, Help: "type of the root volume"},
			{Name: optVolumeEncrypted, Type: abi.OptionBool, Help: "encrypt the root volume"},
			{Name: optVolumeKey, Type: abi.OptionString, Env: "AWS_VOLUME_KMS_KEY", Help: "KMS key of the root volume"},
			{Name: optVolumeIOPS, Type: abi.OptionInt, Default: "0", Help: "I/O operations a second of an io1, io2 or gp3 volume; 0 is the type's own"},
			{Name: optVolumeThroughput, Type: abi.OptionInt, Default: "0", Help: "MB a second of a gp3 volume; 0 is the type's own"},
			{Name: optProfile, Type: abi.OptionString, Env: "AWS_INSTANCE_PROFILE", Help: "instance profile that the machine's own programs act by: its name or ARN"},
			{Name: optSSHUser, Type: abi.OptionString, Env: "AWS_SSH_USER", Default: defaultUser, Help: "login that the image has, with sudo"},
			{Name: optSSHPort, Type: abi.OptionInt, Env: "AWS_SSH_PORT", Default: "22", Help: "port of the image's sshd"},
			{Name: optSSHKeyPath, Type: abi.OptionString, Env: "AWS_SSH_KEYPATH", Help: "taken and without effect: the agent makes a key for each machine"},
			{Name: optKeyPair, Type: abi.OptionString, Env: "AWS_KEYPAIR_NAME", Help: "key pair of yours to put on machines beside the agent's key; without it one is made for each machine"},
			{Name: optSpot, Type: abi.OptionBool, Role: abi.RoleSpot, Help: "spot instance: cheap, taken back at any time"},
			{Name: optSpotPrice, Type: abi.OptionString, Default: defaultPrice, Help: "most to pay for a spot instance, USD an hour; empty: the on-demand price"},
			{Name: optBlockDuration, Type: abi.OptionInt, Default: "0", Help: "minutes for which a spot instance is not taken back, in steps of 60; AWS sells no more of these"},
			{Name: optPrivateOnly, Type: abi.OptionBool, Help: "no public address"},
			{Name: optUsePrivate, Type: abi.OptionBool, Help: "reach the machine by its private address; it has a public one all the same"},
			{Name: optMonitoring, Type: abi.OptionBool, Help: "detailed monitoring, each minute"},
			{Name: optEBSOptimized, Type: abi.OptionBool, Help: "EBS-optimized instance, for types that are not by themselves"},
			{Name: optCPUCredits, Type: abi.OptionString, Help: "standard or unlimited, for burstable types (default: the type's own)"},
			{Name: optRetries, Type: abi.OptionInt, Default: "5", Help: "tries of a call; without effect: the agent tries again by itself"},
			{Name: optEndpoint, Type: abi.OptionString, Env: "AWS_ENDPOINT", Role: abi.RoleAccount, Help: "address of another EC2 API: HOST[:PORT] or a URL; " + optZone + " is then the zone's whole name"},
			{Name: optInsecure, Type: abi.OptionBool, Env: "AWS_INSECURE_TRANSPORT", Role: abi.RoleAccount, Help: "http to " + optEndpoint},
			{Name: optUserdata, Type: abi.OptionString, Env: "AWS_USERDATA", Role: abi.RoleFile, Help: "file with user data for cloud-init"},
			{Name: optToken, Type: abi.OptionString, Default: "optional", Help: "required: the instance's metadata is served by IMDSv2 alone"},
			{Name: optHopLimit, Type: abi.OptionInt, Default: "1", Help: "how far the metadata's tokens go; containers that need them want 2"},
		},
	}
}
