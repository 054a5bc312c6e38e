package main

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/agent/specvectors"
)

// TestOptionTable compares the options with the plug-in's: names, types, environment names and defaults.
func TestOptionTable(t *testing.T) {
	drivertest.OptionTable(t, hetzner{}.Describe().Options, specvectors.DriverOptions("hetzner"))
}

func TestValidate(t *testing.T) {
	base := []string{"hetzner-image=ubuntu-24.04", "hetzner-server-type=cx23"}
	for name, tc := range map[string]struct {
		list    []string
		problem string // "" is none at all
		warning bool
	}{
		"an image and a type":              {nil, "", false},
		"the default type":                 {[]string{"hetzner-server-type=cx11"}, "is offered no more", true},
		"an image by number and name":      {[]string{"hetzner-image-id=7"}, "goes with neither", false},
		"an image that is none":            {[]string{"hetzner-image=Ubuntu 24"}, "an image's name", false},
		"an architecture":                  {[]string{"hetzner-image-arch=arm"}, "", false},
		"an architecture that is none":     {[]string{"hetzner-image-arch=arm64"}, "x86 or arm", false},
		"a location with a space":          {[]string{"hetzner-server-location=falken stein"}, "such as fsn1", false},
		"a key by its name":                {[]string{"hetzner-existing-key-id=mine"}, "the number of an SSH key", false},
		"more keys":                        {[]string{"hetzner-additional-key=" + testKey + " them"}, "", false},
		"a key that is none":               {[]string{"hetzner-additional-key=/root/.ssh/id.pub"}, "a public key as one line", false},
		"labels":                           {[]string{"hetzner-server-label=team=ci", "hetzner-key-label=team="}, "", false},
		"a label with a colon":             {[]string{"hetzner-server-label=team:ci"}, "key=value", false},
		"a label of ours":                  {[]string{"hetzner-server-label=millwright-owner=me"}, "the driver's own", false},
		"user data":                        {[]string{"hetzner-user-data=#cloud-config"}, "", false},
		"user data twice":                  {[]string{"hetzner-user-data=a", "hetzner-user-data-file=b"}, "goes not with", false},
		"user data, as it was":             {[]string{"hetzner-user-data=/etc/cloud", "hetzner-user-data-from-file"}, "give the file as hetzner-user-data-file", false},
		"an archive":                       {[]string{"hetzner-user-data=MIME-Version: 1.0"}, "give a script or a cloud-config", false},
		"a group and spreading":            {[]string{"hetzner-placement-group=g", "hetzner-auto-spread"}, "goes not with", false},
		"a private address and no network": {[]string{"hetzner-use-private-network"}, "needs a network", false},
		"a private address":                {[]string{"hetzner-use-private-network", "hetzner-networks=ci"}, "", false},
		"nothing public":                   {[]string{"hetzner-disable-public", "hetzner-networks=ci"}, "", false},
		"nothing public, in two":           {[]string{"hetzner-disable-public-4", "hetzner-disable-public-ipv6", "hetzner-networks=ci"}, "is meant", true},
		"an address that is switched off":  {[]string{"hetzner-disable-public-ipv4", "hetzner-primary-ipv4=1"}, "switched off", false},
		"an address in a fleet":            {[]string{"hetzner-primary-ipv4=1"}, "one machine at a time", true},
		"a login with a space":             {[]string{"hetzner-ssh-user=a b"}, "a login of", false},
	} {
		t.Run(name, func(t *testing.T) {
			native.Validate(t, hetzner{}, append(append([]string{}, base...), tc.list...), tc.problem, tc.warning)
		})
	}
}
