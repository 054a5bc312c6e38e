package module

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestZones(t *testing.T) {
	for name, tc := range map[string]struct {
		now  string
		want abi.Zone
	}{
		"winter in Berlin":           {"2024-01-15T12:00:00Z", abi.Zone{Name: "Europe/Berlin", Local: "2024-01-15T13:00:00+01:00", OffsetS: 3600, NextChange: "2024-03-31T01:00:00Z", NextOffsetS: 7200}},
		"a second before the change": {"2024-03-31T00:59:59Z", abi.Zone{Name: "Europe/Berlin", Local: "2024-03-31T01:59:59+01:00", OffsetS: 3600, NextChange: "2024-03-31T01:00:00Z", NextOffsetS: 7200}},
		"at the change":              {"2024-03-31T01:00:00Z", abi.Zone{Name: "Europe/Berlin", Local: "2024-03-31T03:00:00+02:00", OffsetS: 7200, NextChange: "2024-10-27T01:00:00Z", NextOffsetS: 3600}},
		"by the rule of a far year":  {"2061-01-15T12:00:00Z", abi.Zone{Name: "Europe/Berlin", Local: "2061-01-15T13:00:00+01:00", OffsetS: 3600, NextChange: "2061-03-27T01:00:00Z", NextOffsetS: 7200}},
		"half an hour":               {"2024-01-15T12:00:00.5Z", abi.Zone{Name: "Australia/Lord_Howe", Local: "2024-01-15T23:00:00.5+11:00", OffsetS: 39600, NextChange: "2024-04-06T15:00:00Z", NextOffsetS: 37800}},
		"never again":                {"2024-01-15T12:00:00Z", abi.Zone{Name: "Asia/Tokyo", Local: "2024-01-15T21:00:00+09:00", OffsetS: 32400, NextOffsetS: 32400}},
		"UTC":                        {"2024-01-15T12:00:00Z", abi.Zone{Name: "UTC", Local: "2024-01-15T12:00:00Z"}},
		"a day left out":             {"2011-12-30T00:00:00Z", abi.Zone{Name: "Pacific/Apia", Local: "2011-12-29T14:00:00-10:00", OffsetS: -36000, NextChange: "2011-12-30T10:00:00Z", NextOffsetS: 50400}},
	} {
		t.Run(name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339Nano, tc.now)
			if err != nil {
				t.Fatal(err)
			}
			zones, err := NewZones(tc.want.Name, tc.want.Name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]abi.Zone{tc.want}, zones.At(now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestZonesNames(t *testing.T) {
	zones, err := NewZones("", "UTC", "Local", "Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, z := range zones.At(time.Now()) {
		names = append(names, z.Name)
	}
	if diff := cmp.Diff([]string{"Europe/Paris", "Local", "UTC"}, names); diff != "" {
		t.Error(diff)
	}
	if _, err := NewZones("Europe/Atlantis"); err == nil || !strings.Contains(err.Error(), `time zone "Europe/Atlantis"`) {
		t.Errorf("an unknown zone: %v", err)
	}
}
