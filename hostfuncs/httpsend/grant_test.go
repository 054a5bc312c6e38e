package httpsend

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestGrantsAllow(t *testing.T) {
	for name, tc := range map[string]struct {
		pattern, url string
		want         bool
	}{
		"the host itself":                {"api.example.com", "https://api.example.com/v1", true},
		"its port written out":           {"api.example.com", "https://api.example.com:443/", true},
		"another port":                   {"api.example.com", "https://api.example.com:8443/", false},
		"http when only https is":        {"api.example.com", "http://api.example.com/", false},
		"http on the port of https":      {"api.example.com", "http://api.example.com:443/", false},
		"another case":                   {"API.example.com", "https://api.EXAMPLE.com/", true},
		"a dot at the end":               {"api.example.com", "https://api.example.com./", true},
		"a longer name":                  {"api.example.com", "https://api.example.com.evil.net/", false},
		"a name before":                  {"api.example.com", "https://evilapi.example.com/", false},
		"a user that looks like a host":  {"api.example.com", "https://api.example.com@evil.net/", false},
		"a star, one label":              {"*.example.com", "https://a.example.com/", true},
		"a star, two labels":             {"*.example.com", "https://a.b.example.com/", true},
		"a star is not the domain":       {"*.example.com", "https://example.com/", false},
		"a star is not another domain":   {"*.example.com", "https://anexample.com/", false},
		"a star inside":                  {"ec2.*.example.com", "https://ec2.eu-west-1.example.com/", true},
		"a star inside is one label":     {"ec2.*.example.com", "https://ec2.a.b.example.com/", false},
		"a star in a label":              {"ec2-*.example.com", "https://ec2-a.example.com/", true},
		"any port":                       {"http://10.0.0.7:*", "http://10.0.0.7:2375/", true},
		"an address":                     {"http://10.0.0.7:2375", "http://10.0.0.8:2375/", false},
		"an IPv6 address":                {"https://[2001:db8::1]", "https://[2001:db8::1]/", true},
		"another IPv6 address":           {"https://[2001:db8::1]", "https://[2001:db8::2]/", false},
		"an IPv6 address with a port":    {"https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443/", true},
		"nothing granted to a socket":    {"unix:///run/a.sock", "http://localhost/", false},
		"a hostname granted, not a glob": {"example.com", "https://*.com/", false},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := ParseGrants([]string{tc.pattern})
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			if got := g.Allows(u); got != tc.want {
				t.Errorf("%s allows %s: %v, want %v", tc.pattern, tc.url, got, tc.want)
			}
			if (Grants{}).Allows(u) {
				t.Error("the zero value allows it")
			}
		})
	}
}

func TestGrantsAllowSocket(t *testing.T) {
	g, err := ParseGrants([]string{"unix:///var/run/docker.sock"})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"/var/run/docker.sock": true, "/var/run/../run/docker.sock": false, "/var/run/containerd.sock": false, "": false,
	} {
		if got := g.AllowsSocket(path); got != want {
			t.Errorf("%q allowed: %v, want %v", path, got, want)
		}
	}
}

func TestParseGrantsRefuses(t *testing.T) {
	for pattern, want := range map[string]string{
		"*":                       "names no host",
		"https://":                "names no host",
		"ftp://example.com":       "the scheme",
		"https://example.com/api": "more than scheme, host and port",
		"https://u@example.com":   "more than scheme, host and port",
		"example.com:http":        "the port",
		"exam[ple.com":            "a label",
		"a..b":                    "a label",
		"unix://run/a.sock":       "absolute",
		"unix:///run/../a.sock":   "absolute",
	} {
		if _, err := ParseGrants([]string{pattern}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", pattern, err, want)
		}
	}
}

func TestGrantsAllowAddress(t *testing.T) {
	g, err := ParseGrants([]string{"https://api.example.com", "http://10.0.0.7:2375", "http://localhost:*", "https://[fd00::7]"})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800::1": true, // public
		"10.0.0.7": true, "127.0.0.1": true, "::1": true, "fd00::7": true, // granted themselves
		"10.0.0.8": false, "192.168.1.1": false, "fd00::8": false, "0.0.0.0": false, "100.64.0.1": false,
	} {
		if got := g.allowsAddress(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s allowed: %v, want %v", address, got, want)
		}
	}
	wider := g.WithPrivate(netip.MustParsePrefix("192.168.0.0/16"))
	if ip := netip.MustParseAddr("192.168.1.1"); !wider.allowsAddress(ip) || g.allowsAddress(ip) {
		t.Error("a range is not granted, or granted to others too")
	}
}

func TestGrantsMissing(t *testing.T) {
	for name, tc := range map[string]struct {
		granted []string
		wanted  string
		missing bool
	}{
		"nothing granted":             {nil, "api.example.com", true},
		"the same":                    {[]string{"api.example.com"}, "https://api.example.com", false},
		"another":                     {[]string{"api.example.com"}, "https://www.example.com", true},
		"another scheme":              {[]string{"api.example.com"}, "http://api.example.com", true},
		"another port":                {[]string{"api.example.com"}, "https://api.example.com:8443", true},
		"a wider grant":               {[]string{"*.example.com"}, "api.example.com", false},
		"a narrower grant":            {[]string{"ec2.eu-west-1.example.com"}, "*.example.com", false},
		"a template, filled in":       {[]string{"http://10.0.0.7:2375"}, "{docker-host}", false},
		"a template in a name":        {[]string{"ec2.eu.example.com"}, "https://ec2.{region}.example.com", false},
		"a template, nothing granted": {nil, "{docker-host}", true},
		"a socket":                    {[]string{"unix:///run/a.sock"}, "unix:///run/a.sock", false},
		"another socket":              {[]string{"unix:///run/a.sock"}, "unix:///run/b.sock", true},
		"a template of a socket":      {[]string{"unix:///run/a.sock"}, "unix://{socket}", false},
		"junk":                        {[]string{"api.example.com"}, "ftp://x", true},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := ParseGrants(tc.granted)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(g.Missing([]string{tc.wanted})) > 0; got != tc.missing {
				t.Errorf("missing: %v, want %v", got, tc.missing)
			}
		})
	}
}
