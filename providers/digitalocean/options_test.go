package main

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/agent/specvectors"
)

// TestOptionTable compares the options with docker-machine's: names, types, environment names and defaults.
func TestOptionTable(t *testing.T) {
	drivertest.OptionTable(t, digitalocean{}.Describe().Options, specvectors.DriverOptions("digitalocean"))
}

func TestValidate(t *testing.T) {
	const image = "digitalocean-image=ubuntu-24-04-x64"
	for name, tc := range map[string]struct {
		list    []string
		problem string // "" is none at all
		warning bool
	}{
		"docker-machine's default image": {nil, "is offered no more", true},
		"an image":                       {[]string{image}, "", false},
		"an image by its number":         {[]string{"digitalocean-image=129211873"}, "", false},
		"an image by its title":          {[]string{"digitalocean-image=Ubuntu 24.04"}, "such as ubuntu-24-04-x64", false},
		"a region with a space":          {[]string{image, "digitalocean-region=new york"}, "such as fra1", false},
		"a login":                        {[]string{image, "digitalocean-ssh-user=builder"}, "", false},
		"a login with a space":           {[]string{image, "digitalocean-ssh-user=a b"}, "a login of", false},
		"a port":                         {[]string{image, "digitalocean-ssh-port=2222"}, "", false},
		"a port that is none":            {[]string{image, "digitalocean-ssh-port=99999"}, "from 1 to 65535", false},
		"a fingerprint":                  {[]string{image, "digitalocean-ssh-key-fingerprint=3b:16:bf:e4:8b:00:8b:b8:59:8c:a9:d3:f0:19:45:fa"}, "", false},
		"a key by its number":            {[]string{image, "digitalocean-ssh-key-fingerprint=512189"}, "", false},
		"a fingerprint that is none":     {[]string{image, "digitalocean-ssh-key-fingerprint=SHA256:abc"}, "an MD5 fingerprint", false},
		"a VPC":                          {[]string{image, "digitalocean-vpc-uuid=5a4981aa-9653-4bd1-bef5-d6bff52042e4"}, "", false},
		"a VPC by its name":              {[]string{image, "digitalocean-vpc-uuid=default-fra1"}, "the id of a VPC", false},
		"tags":                           {[]string{image, "digitalocean-tags=ci, env:build_1"}, "", false},
		"a tag with a dot":               {[]string{image, "digitalocean-tags=v1.2"}, "letters, digits, colons", false},
		"a tag of ours":                  {[]string{image, "digitalocean-tags=millwright-owner:me"}, "the driver's own", false},
		"an archive as user data":        {[]string{image, "digitalocean-userdata=Content-Type: multipart/mixed"}, "give a script or a cloud-config", false},
		"too much user data":             {[]string{image, "digitalocean-userdata=" + strings.Repeat("a", 61<<10)}, "60 KB here at most", false},
	} {
		t.Run(name, func(t *testing.T) {
			native.Validate(t, digitalocean{}, tc.list, tc.problem, tc.warning)
		})
	}
}
