package main

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/cloudinit"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Tags of everything that the driver makes. A list must not depend on the options of the machines, so what it needs of them is here.
const (
	tagPrefix  = "millwright-"
	tagOwner   = tagPrefix + "owner"
	tagRunner  = tagPrefix + "runner"
	tagMachine = tagPrefix + "machine"
	tagUser    = tagPrefix + "user"
	tagPort    = tagPrefix + "ssh-port" // where it is not 22
	tagReach   = tagPrefix + "reach"
	tagKeyPair = tagPrefix + "key-pair" // the id of the one that was made for it
	tagShared  = tagPrefix + "shared"   // of what machines share and nobody removes

	reachPrivate = "private"
)

// maxTags leaves room below the 50 that a resource takes.
const maxTags = 40

// maxUserData is what EC2 takes, in bytes before base64.
const maxUserData = 16 << 10

// body describes the instance. It is the object that docker-machine makes, with our tags and keys.
// Source: EC2 API Reference, "RunInstances".
func (s settings) body(req abi.CreateRequest, l launch) form {
	f := newForm()
	f.put("ImageId", l.image)
	f.put("MinCount", "1")
	f.put("MaxCount", "1")
	f.put("InstanceType", s.instanceType)
	f.put("KeyName", opts.Or(s.keyPair, req.Name))
	f.put("Placement.AvailabilityZone", l.zone)
	f.put("NetworkInterface.1.DeviceIndex", "0")
	f.put("NetworkInterface.1.SubnetId", l.subnet)
	f.put("NetworkInterface.1.AssociatePublicIpAddress", strconv.FormatBool(s.publicAddress))
	f.list("NetworkInterface.1.SecurityGroupId", l.groups...)
	f.put("MetadataOptions.HttpTokens", s.tokens)
	f.put("MetadataOptions.HttpPutResponseHopLimit", strconv.Itoa(s.hopLimit))
	f.put("Monitoring.Enabled", strconv.FormatBool(s.monitoring))
	f.put("EbsOptimized", strconv.FormatBool(s.ebsOptimized))
	f.put("CreditSpecification.CpuCredits", s.cpuCredits)
	if strings.HasPrefix(s.profile, "arn:") {
		f.put("IamInstanceProfile.Arn", s.profile)
	} else {
		f.put("IamInstanceProfile.Name", s.profile)
	}
	s.volume.put(f)
	f.put("UserData", base64.StdEncoding.EncodeToString([]byte(l.userdata)))
	if req.ExpiresAt != "" {
		f.put("InstanceInitiatedShutdownBehavior", "terminate")
	}
	tagged := []string{"instance", "volume", "network-interface"}
	if s.spot {
		s.putSpot(f)
		tagged = append(tagged, "spot-instances-request")
	}
	f.tags(s.allTags(req, l.keyID), tagged...)
	return f
}

func (v volume) put(f form) {
	const prefix = "BlockDeviceMapping.1."
	f.put(prefix+"DeviceName", v.device)
	f.put(prefix+"Ebs.VolumeSize", strconv.Itoa(v.sizeGB))
	f.put(prefix+"Ebs.VolumeType", v.kind)
	f.put(prefix+"Ebs.DeleteOnTermination", "true")
	if v.encrypted { // else what the image and the account want
		f.put(prefix+"Ebs.Encrypted", "true")
	}
	f.put(prefix+"Ebs.KmsKeyId", v.key)
	if v.iops > 0 {
		f.put(prefix+"Ebs.Iops", strconv.Itoa(v.iops))
	}
	if v.throughput > 0 {
		f.put(prefix+"Ebs.Throughput", strconv.Itoa(v.throughput))
	}
}

// putSpot asks for a spot instance, once: a request that goes on would make an instance that nobody knows.
func (s settings) putSpot(f form) {
	f.put("InstanceMarketOptions.MarketType", "spot")
	f.put("InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time")
	f.put("InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior", "terminate")
	f.put("InstanceMarketOptions.SpotOptions.MaxPrice", s.spotPrice)
	if s.spotDuration > 0 {
		f.put("InstanceMarketOptions.SpotOptions.BlockDurationMinutes", strconv.Itoa(s.spotDuration))
	}
}

// allTags are the host's, the operator's and ours, in the order of their keys' first appearance. A later one replaces an earlier one.
func (s settings) allTags(req abi.CreateRequest, keyID string) []tag {
	all := []tag{{"Name", req.Name}}
	set := func(key, value string) {
		for i := range all {
			if all[i].key == key {
				all[i].value = value
				return
			}
		}
		all = append(all, tag{key, value})
	}
	for _, key := range sortedKeys(req.Labels) {
		if len(all) < 8 && len(key) <= 128 && key != "" && !strings.HasPrefix(strings.ToLower(key), "aws:") {
			set(key, asValue(req.Labels[key]))
		}
	}
	for _, t := range s.tags {
		set(t.key, t.value)
	}
	set(tagOwner, req.Owner.ID)
	set(tagRunner, asValue(req.Owner.Runner))
	set(tagMachine, req.Name)
	set(tagUser, s.user)
	if s.login.port != 22 {
		set(tagPort, strconv.Itoa(s.login.port))
	}
	if s.private {
		set(tagReach, reachPrivate)
	}
	if keyID != "" {
		set(tagKeyPair, keyID)
	}
	return all
}

// asValue makes a tag's value of any text, of what is left of it.
func asValue(text string) string {
	out := []byte(text)
	for i, c := range out {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(" +-=._:/@", c) >= 0) {
			out[i] = '-'
		}
	}
	return string(out[:min(len(out), 256)])
}

// machineUserData is what the machine finds when it boots: its host key, what the host has it do then, and the operator's own.
func (s settings) machineUserData(req abi.CreateRequest) string {
	return cloudinit.JoinScripts(cloudinit.HostKey(req.Bootstrap), s.userdata, s.bootScript(req), req.Bootstrap.FirstBoot)
}

// bootScript lets the agent's key in, where the key pair is another one, and has the machine end by itself in time, which terminates it. It is ""
// when there is nothing to do.
func (s settings) bootScript(req abi.CreateRequest) string {
	script := ""
	if s.keyPair != "" {
		script += "home=$(getent passwd " + s.user + " | cut -d: -f6)\n" +
			"if [ -n \"$home\" ]; then\n" +
			"\tmkdir -p \"$home/.ssh\" && chmod 700 \"$home/.ssh\"\n" +
			"\tcat >>\"$home/.ssh/authorized_keys\" <<'MILLWRIGHT'\n" + strings.TrimSpace(req.Bootstrap.AuthorizedKey) + "\nMILLWRIGHT\n" +
			"\tchmod 600 \"$home/.ssh/authorized_keys\" && chown -R " + s.user + ": \"$home/.ssh\"\n" +
			"fi\n"
	}
	return cloudinit.Script(script + cloudinit.EndLines(req.ExpiresAt))
}
