package main

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/specvectors"
)

// TestOptionTable compares the options with docker-machine's: names, types, environment names and defaults.
func TestOptionTable(t *testing.T) {
	drivertest.OptionTable(t, amazonec2{}.Describe().Options, specvectors.DriverOptions("amazonec2"))
}

func TestValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		list    []string
		problem string // "" is none at all
		warning bool
	}{
		"defaults":                    {nil, "", false},
		"both keys":                   {[]string{"amazonec2-access-key=[secret]", "amazonec2-secret-key=[secret]"}, "", false},
		"a key without its secret":    {[]string{"amazonec2-access-key=[secret]"}, "is missing, while amazonec2-access-key is there", false},
		"a secret without its key":    {[]string{"amazonec2-secret-key=[secret]"}, "is missing, while amazonec2-secret-key is there", false},
		"a token alone":               {[]string{"amazonec2-session-token=[secret]"}, "is missing, while amazonec2-session-token is there", false},
		"a region of China":           {[]string{"amazonec2-region=cn-north-1"}, "", false},
		"a region of the government":  {[]string{"amazonec2-region=us-gov-west-1"}, "", false},
		"a zone's whole name":         {[]string{"amazonec2-zone=us-east-1b"}, "", false},
		"a local zone":                {[]string{"amazonec2-region=us-west-2", "amazonec2-zone=us-west-2-lax-1a"}, "", false},
		"a region as zone":            {[]string{"amazonec2-zone=us-east-1"}, "that is the region", false},
		"a zone of another region":    {[]string{"amazonec2-zone=eu-west-1a"}, "a zone of us-east-1, or set amazonec2-region", false},
		"a zone as region":            {[]string{"amazonec2-region=us-east-1a"}, "a region, such as us-east-1", false},
		"a host in the region":        {[]string{"amazonec2-region=evil.example.com/"}, "a region, such as us-east-1", false},
		"a region of one's own":       {[]string{"amazonec2-region=custom-endpoint", "amazonec2-endpoint=https://ec2.example.com"}, "", false},
		"an endpoint with a path":     {[]string{"amazonec2-endpoint=https://ec2.example.com/api"}, "without a path", false},
		"an endpoint without scheme":  {[]string{"amazonec2-endpoint=10.0.0.7:8773", "amazonec2-insecure-transport"}, "", false},
		"insecure to AWS":             {[]string{"amazonec2-insecure-transport"}, "is for amazonec2-endpoint alone", false},
		"an image":                    {[]string{"amazonec2-ami=ami-0123456789abcdef0"}, "", false},
		"an image by its owner":       {[]string{"amazonec2-ami=amazon/al2023-ami-2023*-x86_64"}, "", false},
		"an image by a parameter":     {[]string{"amazonec2-ami=resolve:ssm:/golden/ami"}, "", false},
		"no image":                    {[]string{"amazonec2-ami=ubuntu"}, "ami-..., OWNER/NAME", false},
		"a type":                      {[]string{"amazonec2-instance-type=u-6tb1.metal"}, "", false},
		"no type":                     {[]string{"amazonec2-instance-type=large"}, "an instance type", false},
		"a subnet":                    {[]string{"amazonec2-subnet-id=vpc-01234567"}, "the id of a subnet", false},
		"a group by its id":           {[]string{"amazonec2-security-group=sg-01234567"}, "", false},
		"a group that is no id":       {[]string{"amazonec2-security-group=sg-mine"}, "or its id", false},
		"tags":                        {[]string{"amazonec2-tags=team,ci,cost center,42"}, "", false},
		"a tag without value":         {[]string{"amazonec2-tags=team,ci,owner"}, `"owner", is a key without a value`, true},
		"a tag of AWS":                {[]string{"amazonec2-tags=aws:x,1"}, "are AWS's", false},
		"a tag of ours":               {[]string{"amazonec2-tags=millwright-owner,me"}, "the driver's own", false},
		"a port":                      {[]string{"amazonec2-open-port=8080", "amazonec2-open-port=53/udp"}, "", false},
		"a port of no protocol":       {[]string{"amazonec2-open-port=80/icmp"}, "8080/udp", false},
		"no cap":                      {[]string{"amazonec2-request-spot-instance", "amazonec2-spot-price="}, "", false},
		"a price that is none":        {[]string{"amazonec2-spot-price=cheap"}, "an amount in USD", false},
		"a block of half an hour":     {[]string{"amazonec2-request-spot-instance", "amazonec2-block-duration-minutes=30"}, "60, 120", false},
		"a block":                     {[]string{"amazonec2-request-spot-instance", "amazonec2-block-duration-minutes=60"}, "AWS sells no more", true},
		"a block without spot":        {[]string{"amazonec2-block-duration-minutes=60"}, "says nothing without", true},
		"a volume":                    {[]string{"amazonec2-volume-type=gp3", "amazonec2-volume-iops=4000", "amazonec2-volume-throughput=250"}, "", false},
		"a volume without operations": {[]string{"amazonec2-volume-type=io2"}, "which io2 needs", false},
		"operations of a gp2":         {[]string{"amazonec2-volume-iops=4000"}, "gp3, io1 or io2", false},
		"a volume that is none":       {[]string{"amazonec2-volume-type=ssd"}, "gp2, gp3", false},
		"a disk of nothing":           {[]string{"amazonec2-root-size=0"}, "from 1 to", false},
		"tokens":                      {[]string{"amazonec2-metadata-token=always"}, "optional or required", false},
		"hops":                        {[]string{"amazonec2-metadata-token-response-hop-limit=65"}, "from 1 to 64", false},
		"a key of one's own":          {[]string{"amazonec2-keypair-name=ci", "amazonec2-ssh-keypath=/etc/key"}, "has no effect", true},
		"private twice":               {[]string{"amazonec2-private-address-only", "amazonec2-use-private-address"}, "says nothing beside", true},
		"tries":                       {[]string{"amazonec2-retries=20"}, "the agent tries again by itself", true},
		"the usual tries":             {[]string{"amazonec2-retries=5"}, "", false},
		"user data":                   {[]string{"amazonec2-userdata=" + strings.Repeat("x", maxUserData+1)}, "EC2 takes 16384", false},
		"a login with a space":        {[]string{"amazonec2-ssh-user=a b"}, "a login of", false},
	} {
		t.Run(name, func(t *testing.T) {
			native.Validate(t, amazonec2{}, tc.list, tc.problem, tc.warning)
		})
	}
}

func TestPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		list           []string
		endpoint, zone string
	}{
		"AWS":               {nil, "https://ec2.us-east-1.amazonaws.com", "us-east-1a"},
		"China":             {[]string{"amazonec2-region=cn-north-1", "amazonec2-zone=b"}, "https://ec2.cn-north-1.amazonaws.com.cn", "cn-north-1b"},
		"a whole zone":      {[]string{"amazonec2-zone=us-east-1-bos-1a"}, "https://ec2.us-east-1.amazonaws.com", "us-east-1-bos-1a"},
		"another API":       {[]string{"amazonec2-endpoint=ec2.example.com/", "amazonec2-zone=nova"}, "https://ec2.example.com", "nova"},
		"another API, http": {[]string{"amazonec2-endpoint=10.0.0.7:8773", "amazonec2-insecure-transport"}, "http://10.0.0.7:8773", "us-east-1a"},
	} {
		o, wrong := wasm.ParseOptions(amazonec2{}.Describe(), tc.list, nil)
		s, problems := read(o)
		if len(wrong)+len(problems) > 0 || s.endpoint != tc.endpoint || s.zone != tc.zone {
			t.Errorf("%s: %s and %s (%v)", name, s.endpoint, s.zone, problems)
		}
	}
}
