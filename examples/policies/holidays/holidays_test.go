package main

import (
	"cmp"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy"
)

// berlin is Europe/Berlin as a snapshot of that instant has it.
func berlin(t *testing.T, now time.Time) abi.Zone {
	t.Helper()
	location, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("this machine has no time zones")
	}
	_, offset := now.In(location).Zone()
	z := abi.Zone{Name: "Europe/Berlin", OffsetS: offset}
	if _, end := now.In(location).ZoneBounds(); !end.IsZero() {
		_, z.NextOffsetS = end.In(location).Zone()
		z.NextChange = end.UTC().Format(time.RFC3339)
	}
	return z
}

func TestWorkingHours(t *testing.T) {
	const plain = `{"timezone":"Europe/Berlin","from":"08:00","to":"18:00","prewarm_s":1200,"holidays":["12-25","2026-08-21"],"working":{"idle_count":10},"off":{"idle_count":1}}`
	const night = `{"timezone":"Europe/Berlin","days":["fri"],"from":"22:00","to":"06:00","prewarm_s":0,"holidays":["2026-08-28"],"working":{"idle_count":10},"off":{"idle_count":1}}`
	const change = `{"timezone":"Europe/Berlin","days":["sun"],"from":"04:00","to":"05:00","prewarm_s":3600,"working":{"idle_count":10},"off":{"idle_count":1}}`
	const short = `{"timezone":"Europe/Berlin","from":"08:00","to":"08:30","prewarm_s":7200,"working":{"idle_count":10},"off":{"idle_count":1}}`
	for name, tc := range map[string]struct {
		config, now string
		want        int
	}{
		"in the middle of a working day": {plain, "2026-08-20T10:00:00Z", 10},
		"the first minute":               {plain, "2026-08-20T06:00:00Z", 10},
		"the last second":                {plain, "2026-08-20T15:59:59Z", 10},
		"the end":                        {plain, "2026-08-20T16:00:00Z", 1},
		"twenty minutes before":          {plain, "2026-08-20T05:40:00Z", 10},
		"twenty-one minutes before":      {plain, "2026-08-20T05:39:00Z", 1},
		"a holiday of this year":         {plain, "2026-08-21T10:00:00Z", 1},
		"a holiday of every year":        {plain, "2026-12-25T10:00:00Z", 1},
		"no warming up for a holiday":    {plain, "2026-08-21T05:50:00Z", 1},
		"a Saturday":                     {plain, "2026-08-22T10:00:00Z", 1},
		"in winter the hour is another":  {plain, "2026-11-19T06:30:00Z", 1},
		"an hour and a half before by the clock, which is set back": {change, "2026-10-25T00:30:00Z", 1},
		"an hour before":                      {change, "2026-10-25T02:00:00Z", 10},
		"after midnight it is still Friday's": {night, "2026-08-22T03:59:00Z", 10},
		"and ends in the morning":             {night, "2026-08-22T04:00:00Z", 1},
		"Saturday night is another":           {night, "2026-08-22T21:00:00Z", 1},
		"a Friday that is a holiday":          {night, "2026-08-29T01:00:00Z", 1},
		"hours shorter than the warming up":   {short, "2026-08-20T05:15:00Z", 10},
	} {
		t.Run(name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, tc.now)
			if err != nil {
				t.Fatal(err)
			}
			p, err := holidays{}.Decide(abi.Snapshot{NowUnixMS: now.UnixMilli(), Zones: []abi.Zone{berlin(t, now)}, Config: abi.Raw(tc.config)})
			if err != nil || p.Settings == nil || p.Settings.IdleCount == nil || *p.Settings.IdleCount != tc.want {
				t.Errorf("got %+v, %v; want IdleCount %d", p, err, tc.want)
			}
		})
	}
}

// TestWasm runs the cases natively and as the module: the answers are the same to the byte.
func TestWasm(t *testing.T) {
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "examples/policies/holidays")
	data, err := os.ReadFile("cases/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Export string
		Input  json.RawMessage
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		moduletest.SameBytes(t, m, cmp.Or(c.Export, abi.ExportDecide), c.Input, func(export string, input []byte) ([]byte, error) {
			return policy.Call(policy.Registered(), export, input)
		})
	}
}
