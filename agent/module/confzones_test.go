package module_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestConfigZones(t *testing.T) {
	for name, tt := range map[string]struct {
		config string
		zones  []string
		err    string
	}{
		"none":                  {``, nil, ""},
		"a cloud's zone":        {`{"zone":"europe-west1-b","zones":["a"]}`, nil, ""},
		"one":                   {`{"timezone":"Europe/Berlin"}`, []string{"Europe/Berlin"}, ""},
		"the host's own":        {`{"timezone":""}`, []string{"Local"}, ""},
		"any spelling, deep":    {`{"sites":[{"TimeZone":"Asia/Kolkata"},{"time_zone":["UTC","Asia/Kolkata"]}]}`, []string{"Asia/Kolkata", "UTC"}, ""},
		"no text":               {`{"timezone":5}`, nil, ""},
		"unknown, beside known": {`{"timezone":["Mars/Olympus","UTC"]}`, []string{"UTC"}, `config.timezone[0]: time zone "Mars/Olympus"`},
	} {
		t.Run(name, func(t *testing.T) {
			zones, err := module.ConfigZones(abi.Raw(tt.config))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			var names []string
			for _, z := range zones.At(time.Now()) {
				names = append(names, z.Name)
			}
			if diff := cmp.Diff(tt.zones, names); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPolicySeesItsZones has two policies, one of which names a zone: its snapshots have it beside the runner's, the other's don't.
func TestPolicySeesItsZones(t *testing.T) {
	m := theProbe(t)
	c := chain(t,
		module.Link{Name: "plain", Module: m, Position: 1, Config: abi.Raw(`{"do":"see"}`)},
		module.Link{Name: "zoned", Module: m, Position: 2, Config: abi.Raw(`{"do":"see","timezone":["America/New_York","UTC"]}`)})
	now := time.Date(2024, 1, 15, 12, 0, 0, 0, time.UTC)
	runners, err := module.NewZones("UTC")
	if err != nil {
		t.Fatal(err)
	}
	d := c.Decide(t.Context(), abi.Snapshot{NowUnixMS: now.UnixMilli(), Zones: runners.At(now)})
	const utc = `{"name":"UTC","local":"2024-01-15T12:00:00Z","offset_s":0,"next_change":"","next_offset_s":0}`
	const newYork = `{"name":"America/New_York","local":"2024-01-15T07:00:00-05:00","offset_s":-18000,"next_change":"2024-03-10T07:00:00Z","next_offset_s":-14400}`
	for i, want := range []string{`"zones":[` + utc + `]`, `"zones":[` + newYork + "," + utc + `]`} {
		if saw := d.Steps[i].Proposal.Reason; !strings.Contains(saw, want) {
			t.Errorf("%s saw %s\nwant %s", d.Steps[i].Module, saw, want)
		}
	}
}
