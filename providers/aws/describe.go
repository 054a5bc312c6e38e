package main

import (
	"net/url"
	"strings"

	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// aws implements the driver.
type aws struct{}

// The keys of plugin_config, those of fleeting-plugin-aws. What is ours alone says so.
const (
	optName            = "name"
	optRegion          = "region"
	optProfile         = "profile"
	optConfigFile      = "config_file"
	optCredentialsFile = "credentials_file"
	optEndpoint        = "endpoint" // ours, and the operator's
)

// Describe lists the keys. The only hostnames that the driver wants are those of the three APIs; the host signs by itself.
func (aws) Describe() abi.Describe {
	return abi.Describe{
		Name:    "aws",
		Summary: "instances of AWS Auto Scaling groups",
		Hostnames: []string{
			"autoscaling.{region}.amazonaws.com", "autoscaling.{region}.amazonaws.com.cn", "ec2.{region}.amazonaws.com", "ec2.{region}.amazonaws.com.cn",
			"ec2-instance-connect.{region}.amazonaws.com", "ec2-instance-connect.{region}.amazonaws.com.cn", "{endpoint}", "http://{endpoint}",
		},
		Options: []abi.Option{
			{Name: optName, Type: abi.OptionString, Required: true, Role: abi.RoleAccount, Help: "name of the Auto Scaling group"},
			{Name: optRegion, Type: abi.OptionString, Role: abi.RoleAccount, Credential: abi.CredentialRegion,
				Help: "region of the group; without it that of the profile, of AWS_REGION, or of the instance that the agent runs on"},
			{Name: optProfile, Type: abi.OptionString, Secret: true, Credential: abi.CredentialProfile,
				Help: "profile of the two files; without it the agent's own credential, by AWS's usual chain"},
			{Name: optConfigFile, Type: abi.OptionString, Secret: true, Credential: abi.CredentialConfigFile, Help: "path of the AWS config file, in the place of ~/.aws/config"},
			{Name: optCredentialsFile, Type: abi.OptionString, Secret: true, Credential: abi.CredentialCredentialsFile,
				Help: "path of the AWS credentials file, in the place of ~/.aws/credentials"},
			{Name: optEndpoint, Type: abi.OptionString, Role: abi.RoleEndpoint, Help: "URL where all three APIs answer, in the place of AWS's own"},
		},
	}
}

// place is whom to call, and about which group.
type place struct {
	group    string
	region   string
	endpoint string // without a slash at the end; "" is each API's own
}

// maxName is how long the name of an Auto Scaling group may be.
const maxName = 255

// read turns options into a place and lists everything that is wrong with them. The region may be missing, as long as nobody is called.
func read(o abi.Options) (place, []abi.Problem) {
	r := &opts.Reader{Options: o}
	p := place{group: o.Get(optName), region: o.Get(optRegion), endpoint: strings.TrimRight(o.Get(optEndpoint), "/")}
	if p.group == "" || len(p.group) > maxName || strings.ContainsFunc(p.group, func(c rune) bool { return c < ' ' || c == ':' || c == 0x7f }) {
		r.Bad(optName, p.group, "the name of an Auto Scaling group, 255 characters at most and without colons")
	}
	if p.region != "" && !regionLike(p.region) {
		r.Bad(optRegion, p.region, "a region, such as us-east-1")
	}
	if u, err := url.Parse(p.endpoint); p.endpoint != "" && (err != nil || u.Host == "" || u.Path != "" || u.Scheme != "https" && u.Scheme != "http") {
		r.Bad(optEndpoint, p.endpoint, "a URL of https or http without a path")
	}
	return p, r.Problems
}

// regionLike tells whether text looks like us-east-1 or us-gov-west-1.
func regionLike(text string) bool {
	parts := strings.Split(text, "-")
	last := parts[len(parts)-1]
	if len(parts) < 3 || len(text) > 32 || len(last) != 1 || last[0] < '0' || last[0] > '9' {
		return false
	}
	for _, part := range parts[:len(parts)-1] {
		if part == "" || strings.ContainsFunc(part, func(c rune) bool { return c < 'a' || c > 'z' }) {
			return false
		}
	}
	return true
}

// Validate reads the options without asking the cloud.
func (aws) Validate(req abi.ValidateRequest) []abi.Problem {
	_, problems := read(req.Options)
	return problems
}

// usable returns whom to call, or the first problem as an error.
func usable(o abi.Options) (place, error) {
	p, problems := read(o)
	if err := (&opts.Reader{Problems: problems}).Err(); err != nil {
		return place{}, err
	}
	if p.region == "" {
		return place{}, &abi.Error{Kind: abi.Invalid, Message: "region: is not known; write region = \"us-east-1\" into plugin_config, or give it by the profile, or by AWS_REGION"}
	}
	return p, nil
}
