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
		"TLS":                   {abi.Options{optHost: {"https://build.example.com:2376"}}, ""},
		"ssh":                   {abi.Options{optHost: {"ssh://build"}}, "`ssh://build` is not allowed; use unix:///path/of/docker.sock, https://host:port or tcp://host:port"},
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

// TestGPUs asks for GPUs as docker run does, and has a machine tell how many must answer.
func TestGPUs(t *testing.T) {
	for text, want := range map[string]struct {
		request string
		least   int
	}{
		"":               {"null", 0},
		"all":            {`[{"Count":-1,"Capabilities":[["gpu"]]}]`, 1},
		"2":              {`[{"Count":2,"Capabilities":[["gpu"]]}]`, 2},
		"device=0,GPU-1": {`[{"DeviceIDs":["0","GPU-1"],"Capabilities":[["gpu"]]}]`, 2},
	} {
		s, err := usable(abi.Options{optGPUs: {text}})
		if err != nil {
			t.Fatal(err)
		}
		c := engine{settings: s}.spec(abi.CreateRequest{Owner: testOwner, Name: "m1"}, true)
		request, err := json.Marshal(c.HostConfig.DeviceRequests)
		if err != nil || string(request) != want.request {
			t.Errorf("%q asks for %s, %v; want %s", text, request, err, want.request)
		}
		if i := (listed{Labels: c.Labels}).instance(); i.GPUs != want.least {
			t.Errorf("%q: %d GPUs must answer, want %d", text, i.GPUs, want.least)
		}
	}
}

// TestStatus has a word for each state of a container. One that nobody knows is not gone.
func TestStatus(t *testing.T) {
	for state, want := range map[string]abi.Status{
		"created": abi.StatusCreating, "running": abi.StatusRunning, "paused": abi.StatusStopped, "restarting": abi.StatusCreating, "removing": abi.StatusStopped,
		"exited": abi.StatusStopped, "dead": abi.StatusStopped, "hibernating": abi.StatusUnknown, "": abi.StatusUnknown,
	} {
		if got := status(state); got != want {
			t.Errorf("%q is %s, want %s", state, got, want)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "10b": 10, "2k": 2048, "512M": 512 << 20, "2gb": 2 << 30, "1t": 1 << 40} {
		if got, ok := parseBytes(text); !ok || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, ok, want)
		}
	}
}
