package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// limit is what the type of a field does not say: its unit and range. A zero member sets none.
type limit struct {
	least, most float64 // of a number, when bounded says so
	bounded     bound
	bytes       int      // of a string at most; a schema counts characters, which are no more
	pattern     string   // of a string
	values      []string // of a string, all that there are
	items       int      // of a list or a map at most
	required    bool     // a guest must give it; what the host writes is always there unless the table says otherwise
	unit        string
	note        string // what else there is to say of the range, for ABI.md
}

// bound says which ends a range of numbers has.
type bound int

const (
	unbounded bound = iota
	from            // least
	between         // least and most
)

const (
	namePattern    = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`
	machinePattern = `^[A-Za-z0-9._-]{1,63}$`
	base64Pattern  = `^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`
	ownerPattern   = `^[0-9a-z]{16}$`
)

func count() limit { return limit{bounded: from} }

func to(least, most float64) limit { return limit{bounded: between, least: least, most: most} }

func capped(note string) limit { return limit{bounded: from, note: note} }

// limits are those of single fields, by struct and wire name. The host's code holds to them: agent/module, agent/driver/wasm,
// hostfuncs/httpsend and hostfuncs/logs.
var limits = map[string]limit{
	"Describe.abi":         {bounded: between, least: 1, most: 1, required: true},
	"Describe.kind":        {values: []string{"policy", "driver"}, required: true},
	"Describe.name":        {pattern: namePattern, required: true, note: "1 to 63 characters"},
	"Option.name":          {pattern: `^.+$`, required: true},
	"Option.type":          {required: true},
	"HistoryWish.points":   {bounded: between, least: 1, most: 1000, required: true},
	"HistoryWish.step_s":   {bounded: between, least: 60, most: 604800, required: true},
	"Error.kind":           {required: true},
	"Error.message":        {note: "what is beyond 2 KB is cut"},
	"Error.code":           {note: "what is beyond 2 KB is cut"},
	"Error.retry_after_s":  capped("more than 3600 counts as that"),
	"Owner.id":             {pattern: ownerPattern},
	"CreateRequest.name":   {pattern: machinePattern},
	"RemoveRequest.name":   {pattern: machinePattern},
	"ListResult.complete":  {required: true},
	"Instance.name":        {pattern: machinePattern, required: true},
	"Instance.id":          {bytes: 2 << 10},
	"Instance.status":      {required: true},
	"Instance.message":     {note: "what is beyond 2 KB is cut"},
	"Instance.address":     {bytes: 2 << 10, pattern: `^[A-Za-z0-9._:%-]*$`},
	"Instance.ssh_port":    to(0, 65535),
	"Instance.engine_port": to(0, 65535),
	"Instance.state":       {note: "16 KB at most"},
	"Problem.message":      {required: true},

	"CheckResult.permissions": {items: 256, required: true},
	"Permission.name":         {pattern: `^.+$`, required: true, note: "what is beyond 2 KB is cut"},
	"Permission.result":       {required: true},
	"Permission.purpose":      {note: "what is beyond 2 KB is cut"},
	"Permission.without":      {note: "what is beyond 2 KB is cut"},
	"Permission.fix":          {note: "what is beyond 2 KB is cut"},
	"Permission.message":      {note: "what is beyond 2 KB is cut"},

	"GroupRequest.max_instances":     count(),
	"GroupInfo.id":                   {bytes: 2 << 10, pattern: `^.+$`, required: true},
	"GroupInfo.max_size":             {bounded: from, note: "more than 1,000,000 is refused"},
	"GroupInfo.version":              {note: "what is beyond 2 KB is cut"},
	"GroupInfo.problems":             {items: 256, required: true},
	"IncreaseRequest.count":          {bounded: from, least: 1},
	"IncreaseResult.count":           {bounded: from, note: "more than was asked for counts as that", required: true},
	"DecreaseRequest.instances":      {items: 100},
	"DecreaseResult.instances":       {note: "what was not asked for is ignored", required: true},
	"ConnectRequest.instance":        {pattern: machinePattern},
	"ConnectInfo.os":                 {values: []string{"", "linux", "windows", "darwin", "freebsd"}},
	"ConnectInfo.arch":               {pattern: `^[a-z0-9]{0,16}$`},
	"ConnectInfo.protocol":           {values: []string{"", "ssh", "winrm", "winrm+https"}},
	"ConnectInfo.port":               to(0, 65535),
	"ConnectInfo.username":           {bytes: 2 << 10},
	"ConnectInfo.internal_addr":      {bytes: 2 << 10, pattern: `^[A-Za-z0-9._:%-]*$`},
	"ConnectInfo.external_addr":      {bytes: 2 << 10, pattern: `^[A-Za-z0-9._:%-]*$`},
	"ConnectInfo.password":           {bytes: 2 << 10},
	"ConnectInfo.encrypted_password": {bytes: 2 << 10, pattern: base64Pattern},
	"ConnectInfo.ttl_s":              count(),

	"InstanceSettings.capacity_per_instance": {bounded: from, least: 1},
	"InstanceSettings.max_use_count":         count(),
	"InstanceSettings.max_instances":         count(),

	"Snapshot.now_unix_ms":       count(),
	"Snapshot.state":             {bytes: 64 << 10},
	"Snapshot.observed_age_s":    count(),
	"Zone.offset_s":              to(-86400, 86400),
	"Zone.next_offset_s":         to(-86400, 86400),
	"RunnerSettings.limit":       count(),
	"RunnerSettings.concurrent":  count(),
	"Slots.creating":             count(),
	"Slots.free":                 count(),
	"Slots.reserved":             count(),
	"Slots.used":                 count(),
	"Slots.unavailable":          count(),
	"Counts.creating":            count(),
	"Counts.idle":                count(),
	"Counts.acquired":            count(),
	"Counts.used":                count(),
	"Counts.removing":            count(),
	"Counts.stuck_on_removing":   count(),
	"Counts.available":           count(),
	"Counts.total":               count(),
	"Demand.running":             count(),
	"Demand.waiting":             count(),
	"Window.seconds":             {bounded: from, unit: "seconds"},
	"Window.arrivals":            count(),
	"Window.finished":            count(),
	"Window.mean_duration_s":     count(),
	"Failure.count":              count(),
	"Failure.age_s":              count(),
	"MachineView.state":          {values: []string{"creating", "idle", "acquired", "used", "removing", "stuck-on-removing"}},
	"MachineView.age_s":          count(),
	"MachineView.idle_s":         count(),
	"MachineView.used_count":     count(),
	"History.from_unix_ms":       count(),
	"History.step_s":             to(60, 604800),
	"History.minutes":            {items: 1000},
	"History.arrivals":           {items: 1000},
	"History.finished":           {items: 1000},
	"History.running":            {items: 1000},
	"History.running_max":        {items: 1000},
	"History.waiting_max":        {items: 1000},
	"History.available":          {items: 1000},
	"History.total":              {items: 1000},
	"ObserveRequest.now_unix_ms": count(),
	"Settings.idle_count":        capped("more than 1,000,000 counts as that"),
	"Settings.idle_count_min":    capped("more than 1,000,000 counts as that"),
	"Settings.idle_scale_factor": count(),
	"Settings.idle_time_s":       count(),
	"Proposal.idle_target":       capped("more than 1,000,000 counts as that"),
	"Proposal.idle_slots":        capped("more than 1,000,000 counts as that"),
	"Proposal.growth_limit":      capped("more than 1,000,000 counts as that"),
	"Proposal.max_builds":        capped("more than 1,000,000 counts as that"),
	"Proposal.ask_again_s":       count(),
	"Proposal.remove":            {items: 1000},
	"Proposal.next_machine":      {items: 64},
	"Proposal.metrics":           {items: 64},
	"Proposal.state":             {bytes: 64 << 10},
	"Proposal.reason":            {note: "what is beyond 512 bytes is cut"},
	"Removal.name":               {required: true},
	"Removal.reason":             {note: "what is beyond 512 bytes is cut"},
	"LogRecord.message":          {note: "what is beyond 4 KB is cut"},
	"LogRecord.fields":           {note: "those beyond 32 are left out"},
	"HTTPRequest.url":            {required: true},
	"HTTPRequest.body":           {pattern: base64Pattern, note: "2 MB at most"},
	"HTTPRequest.deadline_ms":    to(0, 60000),
	"HTTPResponse.status":        to(0, 999),
	"HTTPResponse.body":          {pattern: base64Pattern, note: "4 MB at most"},
	"HTTPError.kind":             {values: []string{"denied", "credential", "dns", "connect", "tls", "timeout", "too_large", "invalid", "closed"}},
}

// limitOf returns the limit of a field, and its unit by the ending of its name.
func limitOf(o *object, f field) limit {
	l := limits[o.name+"."+f.wire]
	switch {
	case l.unit != "":
	case strings.HasSuffix(f.wire, "_unix_ms"):
		l.unit = "milliseconds since 1970"
	case strings.HasSuffix(f.wire, "_ms"):
		l.unit = "milliseconds"
	case strings.HasSuffix(f.wire, "_s"):
		l.unit = "seconds"
	}
	return l
}

// unknownLimits names the limits of fields that there are not.
func unknownLimits(s *shapes) error {
	known := map[string]bool{}
	for _, o := range s.objects {
		for _, f := range o.fields {
			known[o.name+"."+f.wire] = true
		}
	}
	for name, l := range limits {
		if !known[name] {
			return fmt.Errorf("limits.go: abi has no field %s", name)
		}
		if _, err := regexp.Compile(l.pattern); err != nil {
			return fmt.Errorf("limits.go: %s: %w", name, err)
		}
	}
	return nil
}

// words says the range for people, "" when there is none.
func (l limit) words() string {
	var parts []string
	switch {
	case l.bounded == from:
		parts = append(parts, grouped(l.least)+" or more")
	case l.bounded == between && l.least == l.most:
		parts = append(parts, grouped(l.least))
	case l.bounded == between:
		parts = append(parts, grouped(l.least)+" to "+grouped(l.most))
	}
	if l.unit != "" {
		if len(parts) == 0 {
			parts = append(parts, l.unit)
		} else {
			parts[0] += " " + l.unit
		}
	}
	if l.bytes > 0 {
		parts = append(parts, fmt.Sprintf("%d KB at most", l.bytes>>10))
	}
	if l.items > 0 {
		parts = append(parts, grouped(float64(l.items))+" at most")
	}
	if len(l.values) > 0 {
		parts = append(parts, "`"+strings.Join(l.values, "`, `")+"`")
	}
	if l.note != "" {
		parts = append(parts, l.note)
	}
	return strings.Join(parts, "; ")
}

// grouped writes a whole number with commas.
func grouped(f float64) string {
	text := strconv.FormatFloat(f, 'f', -1, 64)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
