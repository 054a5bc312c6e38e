package module

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// timezoneKey is the key under which a module's own configuration names time zones, whatever its case and however its words are parted.
const timezoneKey = "timezone"

// ConfigZones returns the time zones that a module's own configuration names: the text, or each text of the list, under every key
// "timezone" at any depth. So the guest, which has no time-zone data, finds them in its snapshots. The error names each value that is
// no zone, with its place.
func ConfigZones(config abi.Raw) (Zones, error) {
	if len(config) == 0 {
		return Zones{}, nil
	}
	var tree any
	if err := json.Unmarshal(config, &tree); err != nil {
		return Zones{}, err
	}
	var found []string
	var errs []error
	namedZones(tree, "config", func(place, name string) {
		if _, err := NewZones(name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", place, err))
			return
		}
		found = append(found, name)
	})
	zones, err := NewZones(found...)
	return zones, errors.Join(append(errs, err)...)
}

// namedZones visits what stands under the keys for zones, in order.
func namedZones(v any, place string, visit func(place, name string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			at := place + "." + key
			if strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(key)) == timezoneKey {
				zonesOf(v[key], at, visit)
			}
			namedZones(v[key], at, visit)
		}
	case []any:
		for i, element := range v {
			namedZones(element, fmt.Sprintf("%s[%d]", place, i), visit)
		}
	}
}

// zonesOf visits a text, or the texts of a list.
func zonesOf(v any, place string, visit func(place, name string)) {
	switch v := v.(type) {
	case string:
		visit(place, v)
	case []any:
		for i, element := range v {
			if name, ok := element.(string); ok {
				visit(fmt.Sprintf("%s[%d]", place, i), name)
			}
		}
	}
}

// add returns zones with those of z as they are at now that are not among them, by name.
func (z Zones) add(zones []abi.Zone, now time.Time) []abi.Zone {
	have := map[string]bool{}
	for _, zone := range zones {
		have[zone.Name] = true
	}
	var more []abi.Zone
	for _, zone := range z.At(now) {
		if !have[zone.Name] {
			more = append(more, zone)
		}
	}
	if len(more) == 0 {
		return zones
	}
	more = append(more, zones...)
	slices.SortStableFunc(more, func(a, b abi.Zone) int { return strings.Compare(a.Name, b.Name) })
	return more
}
