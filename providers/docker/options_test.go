package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		options abi.Options
		want    string // part of the one problem; "" for none
	}{
		"nothing given": {nil, ""},
		"all good": {abi.Options{
			optHost: {"http://127.0.0.1:2375"}, optImage: {"registry.example.com:5000/m:1"}, optNetwork: {"my_net.1"}, optCPUs: {"1.5"}, optMemory: {"2g"},
			optVolume: {"/srv/cache:/cache:ro", "cache:/c"}, optPrivileged: {"false"}, optPublish: {"true"}, optGPUs: {"device=0,GPU-1"},
			optDNS: {"10.0.0.2", "fd00::2"}, optLabel: {"team=ci", "flag"},
		}, ""},
		"tcp":                   {abi.Options{optHost: {"tcp://10.0.0.7:2375"}}, ""},
		"ssh":                   {abi.Options{optHost: {"ssh://build"}}, "`ssh://build` is not allowed; use unix:///path/of/docker.sock or tcp://host:port"},
		"relative socket":       {abi.Options{optHost: {"unix://docker.sock"}}, "docker-host"},
		"host without port":     {abi.Options{optHost: {"http://build"}}, "docker-host"},
		"host with a path":      {abi.Options{optHost: {"http://build/x:1"}}, "docker-host"},
		"image with a space":    {abi.Options{optImage: {"a b"}}, "the name of an image"},
		"network by no name":    {abi.Options{optNetwork: {"-x"}}, "beginning with a letter or digit"},
		"the host's network":    {abi.Options{optNetwork: {"host"}}, "an address of its own"},
		"no CPU":                {abi.Options{optCPUs: {"0"}}, "a number from 0.01 on"},
		"CPUs by no number":     {abi.Options{optCPUs: {"NaN"}}, "docker-cpus"},
		"memory without digits": {abi.Options{optMemory: {"g"}}, "such as 2g"},
		"too little memory":     {abi.Options{optMemory: {"4m"}}, "at least 6m"},
		"memory out of range":   {abi.Options{optMemory: {"99999999999t"}}, "docker-memory"},
		"memory in fractions":   {abi.Options{optMemory: {"1.5g"}}, "docker-memory"},
		"relative volume":       {abi.Options{optVolume: {"/a:b"}}, "/host/path:/path"},
		"privileged by no word": {abi.Options{optPrivileged: {"yes"}}, "use auto, true or false"},
		"no GPU":                {abi.Options{optGPUs: {"-1"}}, "all, a number"},
		"name server by name":   {abi.Options{optDNS: {"dns.example.com"}}, "an IP address"},
		"a label of ours":       {abi.Options{optLabel: {labelOwner + "=me"}}, "the driver's own"},
		"ports of another host": {abi.Options{optHost: {"http://10.0.0.7:2375"}, optPublish: {"true"}}, "published on 127.0.0.1"},
		"ports of this host":    {abi.Options{optHost: {"http://[::1]:2375"}, optPublish: {"true"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			problems := dockerDriver{}.Validate(abi.ValidateRequest{Options: c.options})
			switch {
			case c.want == "" && len(problems) > 0:
				t.Errorf("got %v, want no problem", problems)
			case c.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Option+": "+problems[0].Message, c.want)):
				t.Errorf("got %v, want %q", problems, c.want)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	out, err := driver.Call(driver.Registered(), abi.ExportDescribe, nil)
	if err != nil {
		t.Fatal(err)
	}
	var d abi.Describe
	if err := json.Unmarshal(out, &d); err != nil {
		t.Fatal(err)
	}
	defaults := abi.Options{}
	for _, o := range d.Options {
		if !strings.HasPrefix(o.Name, "docker-") || o.Help == "" {
			t.Errorf("option %+v: the name begins with the driver's, and the help is never empty", o)
		}
		if o.Default != "" {
			defaults[o.Name] = []string{o.Default}
		}
	}
	if problems := (dockerDriver{}).Validate(abi.ValidateRequest{Options: defaults}); len(problems) > 0 {
		t.Errorf("the defaults have problems: %v", problems)
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "10b": 10, "2k": 2048, "512M": 512 << 20, "2gb": 2 << 30, "1t": 1 << 40} {
		if got, ok := parseBytes(text); !ok || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, ok, want)
		}
	}
}
