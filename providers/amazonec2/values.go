package main

import (
	"slices"
	"strconv"
	"strings"

	opts "github.com/millwright-ci/millwright/providers/internal/settings"
)

// volumeTypes are those of EBS. Source: EC2 API Reference, "EbsBlockDevice".
var volumeTypes = []string{"gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"}

func (r *reader) volume() volume {
	v := volume{
		device: r.Get(optDevice, defaultDevice), sizeGB: r.Whole(optRootSize, defaultRootGB, 1, 65536), kind: r.Get(optVolumeType, defaultVolume),
		encrypted: r.Options.Bool(optVolumeEncrypted), key: r.Options.Get(optVolumeKey),
		iops: r.Whole(optVolumeIOPS, 0, 0, 256000), throughput: r.Whole(optVolumeThroughput, 0, 0, 2000),
	}
	if !deviceLike.MatchString(v.device) {
		r.Bad(optDevice, v.device, "the image's root device, such as /dev/sda1 or /dev/xvda")
	}
	if !slices.Contains(volumeTypes, v.kind) {
		r.Bad(optVolumeType, v.kind, strings.Join(volumeTypes, ", "))
	}
	provisioned := v.kind == "io1" || v.kind == "io2"
	switch {
	case v.iops > 0 && v.kind != "gp3" && !provisioned:
		r.Bad(optVolumeIOPS, strconv.Itoa(v.iops), "it with "+optVolumeType+" gp3, io1 or io2")
	case v.iops == 0 && provisioned:
		r.Bad(optVolumeIOPS, "0", "a number of operations a second, which "+v.kind+" needs")
	}
	if v.throughput > 0 && v.kind != "gp3" {
		r.Bad(optVolumeThroughput, strconv.Itoa(v.throughput), "it with "+optVolumeType+" gp3")
	}
	if v.key != "" && !v.encrypted {
		v.encrypted = true
		r.Warn(optVolumeKey, "encrypts the volume, "+optVolumeEncrypted+" or not")
	}
	return v
}

func (r *reader) groups() []string {
	var out []string
	for _, name := range r.Options[optGroup] {
		if name = strings.TrimSpace(name); name == "" || slices.Contains(out, name) {
			continue
		}
		if !groupLike.MatchString(name) || strings.HasPrefix(name, "sg-") && !groupIDLike.MatchString(name) {
			r.Bad(optGroup, name, "the name of a security group, or its id sg-...")
		}
		out = append(out, name)
	}
	if len(out) == 0 {
		return []string{defaultGroup}
	}
	return out
}

// enginePort is Docker's with TLS, which the rules always let in.
const enginePort = 2376

func (r *reader) ports(ssh int) []port {
	ports := []port{{"tcp", ssh}, {"tcp", enginePort}}
	for _, entry := range r.Options[optOpenPort] {
		number, protocol, _ := strings.Cut(entry, "/")
		p := port{protocol: opts.Or(protocol, "tcp")}
		n, err := strconv.Atoi(number)
		if p.number = n; err != nil || n < 1 || n > 65535 || p.protocol != "tcp" && p.protocol != "udp" {
			r.Bad(optOpenPort, entry, "a port, such as 8080, 8080/tcp or 8080/udp")
			continue
		}
		if !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	return ports
}

// tags reads key1,value1,key2,value2. Of two with one key the last counts.
func (r *reader) tags() []tag {
	text := r.Options.Get(optTags)
	if text == "" {
		return nil
	}
	parts := strings.Split(text, ",")
	if len(parts)%2 == 1 {
		r.Warn(optTags, "the last, "+strconv.Quote(opts.Short(parts[len(parts)-1]))+", is a key without a value and left out")
		parts = parts[:len(parts)-1]
	}
	var out []tag
	for i := 0; i < len(parts); i += 2 {
		t := tag{parts[i], parts[i+1]}
		if t.key == "" || len(t.key) > 128 || len(t.value) > 256 || strings.HasPrefix(strings.ToLower(t.key), "aws:") || strings.HasPrefix(t.key, tagPrefix) {
			r.Bad(optTags, t.key+","+t.value, "keys of 1 to 128 characters and values of 256 at most; those that begin with aws: are AWS's, those with "+tagPrefix+" the driver's own")
			continue
		}
		out = slices.DeleteFunc(out, func(has tag) bool { return has.key == t.key })
		out = append(out, t)
	}
	if len(out) > maxTags {
		r.Bad(optTags, strconv.Itoa(len(out))+" tags", strconv.Itoa(maxTags)+" at most, which leaves room for the driver's own")
	}
	return out
}

// bid reads what concerns spot instances.
func (r *reader) bid(spot bool) (price string, minutes int) {
	price = r.Options.Get(optSpotPrice)
	if price != "" && !priceLike.MatchString(price) {
		r.Bad(optSpotPrice, price, "an amount in USD, such as "+defaultPrice+", or nothing for no cap")
	}
	minutes = r.Whole(optBlockDuration, 0, 0, 360)
	switch {
	case minutes%60 != 0:
		r.Bad(optBlockDuration, strconv.Itoa(minutes), "60, 120, 180, 240, 300 or 360")
	case minutes > 0 && !spot:
		r.Warn(optBlockDuration, "says nothing without "+optSpot)
	case minutes > 0:
		r.Warn(optBlockDuration, "AWS sells no more of these; most accounts are refused")
	}
	return price, minutes
}
