package module

import (
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // so that a machine without time-zone files decides alike

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// localZone is how a configuration names the host's own zone; an empty name means the same.
const localZone = "Local"

// maxTransitions bounds the search for the next change of an offset: a zone may change its abbreviation many times and keep it.
const maxTransitions = 200

// Zones are the time zones that a runner's configuration names, ready to be put into snapshots.
type Zones struct {
	locations map[string]*time.Location
	names     []string
}

// NewZones loads the zones with the given IANA names; "" and "Local" are the host's own. A name twice counts once. An unknown name
// is an error.
func NewZones(names ...string) (Zones, error) {
	z := Zones{locations: map[string]*time.Location{}}
	for _, name := range names {
		if name == "" {
			name = localZone
		}
		if _, ok := z.locations[name]; ok {
			continue
		}
		loc, err := time.LoadLocation(name)
		if err != nil {
			return Zones{}, fmt.Errorf("time zone %q: it is not known; use an IANA name such as Europe/Berlin, UTC or Local", name)
		}
		z.locations[name] = loc
		z.names = append(z.names, name)
	}
	slices.Sort(z.names)
	return z, nil
}

// At returns the zones as seen at now, sorted by name.
func (z Zones) At(now time.Time) []abi.Zone {
	out := make([]abi.Zone, 0, len(z.names))
	for _, name := range z.names {
		out = append(out, zoneAt(name, now.In(z.locations[name])))
	}
	return out
}

func zoneAt(name string, local time.Time) abi.Zone {
	_, offset := local.Zone()
	zone := abi.Zone{Name: name, Local: local.Format(time.RFC3339Nano), OffsetS: offset, NextOffsetS: offset}
	at := local
	for range maxTransitions {
		_, at = at.ZoneBounds()
		if at.IsZero() { // the zone never changes again
			break
		}
		if _, next := at.Zone(); next != offset {
			zone.NextChange, zone.NextOffsetS = at.UTC().Format(time.RFC3339), next
			break
		}
	}
	return zone
}
