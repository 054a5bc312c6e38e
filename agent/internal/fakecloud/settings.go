package fakecloud

import (
	"cmp"
	"slices"
	"time"
)

// Settings are how the cloud behaves when no fault hits. The zero value boots and removes at once, has no limits and takes any zone.
type Settings struct {
	BootMS    int      `json:"boot_ms"`     // from a creation until the machine runs
	RemoveMS  int      `json:"remove_ms"`   // from the removal until the machine is gone; it is deleting meanwhile
	LagMS     int      `json:"lag_ms"`      // lists show how things stood so long ago
	Quota     int      `json:"quota"`       // machines in the account at most; 0 = no limit
	CallsPerS int      `json:"calls_per_s"` // of the account; more are refused with Retry-After; 0 = no limit
	PageSize  int      `json:"page_size"`   // instances of a list's page; 0 = 100
	Zones     []string `json:"zones"`       // zones there are; empty: any
	Token     string   `json:"token"`       // what callers must bear; empty: nothing
}

func (s Settings) pageSize() int { return cmp.Or(max(s.PageSize, 0), 100) }

func (s Settings) hasZone(zone string) bool {
	return len(s.Zones) == 0 || slices.Contains(s.Zones, zone)
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// Settings returns the present settings.
func (c *Cloud) Settings() Settings {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settings
}

// Configure replaces the settings. Machines that are booting or going already keep their times.
func (c *Cloud) Configure(s Settings) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settings = s
}
