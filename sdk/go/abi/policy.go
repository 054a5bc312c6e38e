package abi

// Snapshot is the input of decide: the only thing that a policy knows of the world.
type Snapshot struct {
	ABI       int    `json:"abi"`         // the version that the host speaks
	Now       string `json:"now"`         // the instant, RFC 3339 with nanoseconds, UTC
	NowUnixMS int64  `json:"now_unix_ms"` // the same instant, milliseconds since 1970

	Zones    []Zone         `json:"zones,omitempty"`    // UTC, Local, and every time zone that the runner's configuration names or the module's own does, under a key timezone
	Runner   RunnerSettings `json:"runner"`             // the runner's settings
	Fleet    Counts         `json:"fleet"`              // its machines, counted
	Slots    *Slots         `json:"slots,omitempty"`    // the places for jobs on them, counted; only with runner.instances
	Demand   Demand         `json:"demand"`             // its jobs, counted
	Failures []Failure      `json:"failures,omitempty"` // creations that failed in the last hour, by kind

	Machines []MachineView `json:"machines,omitempty"` // its machines one by one, only when describe asked for them
	History  *History      `json:"history,omitempty"`  // its past, only when describe asked for it

	Config       Raw     `json:"config,omitempty"`         // the module's own configuration
	State        string  `json:"state,omitempty"`          // what the module's last proposal gave; empty at first, and whenever the host has lost it
	Observed     Raw     `json:"observed,omitempty"`       // what observe returned last
	ObservedAgeS float64 `json:"observed_age_s,omitempty"` // seconds since then

	Proposal Proposal `json:"proposal"` // what the modules before this one proposed, merged
}

// Zone is a time zone as seen at the snapshot's instant; guests carry no time-zone data. The wall clock there is
// NowUnixMS/1000 + OffsetS, read as if it were UTC.
type Zone struct {
	Name        string `json:"name"`          // IANA name as the configuration writes it; Local is the host's own, which an empty timezone means too
	Local       string `json:"local"`         // the instant in that zone, RFC 3339 with offset
	OffsetS     int    `json:"offset_s"`      // seconds east of UTC now
	NextChange  string `json:"next_change"`   // when the offset changes next, RFC 3339, UTC; empty when it never does
	NextOffsetS int    `json:"next_offset_s"` // seconds east of UTC from then on
}

// RunnerSettings are the runner's settings from config.toml, with GitLab's meaning.
type RunnerSettings struct {
	Name            string            `json:"name"`                  // as people know it
	ShortToken      string            `json:"short_token,omitempty"` // the first characters of its token, as GitLab's logs show them
	Limit           int               `json:"limit"`                 // machines and jobs at most; 0 sets no limit
	Concurrent      int               `json:"concurrent"`            // jobs at most over all runners
	IdleCount       int               `json:"idle_count"`            // IdleCount: machines to hold available
	IdleCountMin    int               `json:"idle_count_min"`        // IdleCountMin: the least of them, with a factor
	IdleScaleFactor float64           `json:"idle_scale_factor"`     // IdleScaleFactor: available machines per used one; 0 is off
	IdleTimeS       int64             `json:"idle_time_s"`           // IdleTime: how long a machine that is too many may be idle
	MaxGrowthRate   int               `json:"max_growth_rate"`       // MaxGrowthRate: machines being created at once; 0 sets no limit
	MaxBuilds       int               `json:"max_builds"`            // MaxBuilds: jobs per machine; 0 sets no limit
	Autoscaling     []PeriodsSettings `json:"autoscaling,omitempty"` // the [[runners.machine.autoscaling]] sections, in order

	// What a runner with [runners.autoscaler] has instead of all that begins with idle_count; absent of docker+machine.
	Instances *InstanceSettings `json:"instances,omitempty"`
}

// PeriodsSettings is one [[runners.machine.autoscaling]] section. It replaces all four values, those it leaves out too.
type PeriodsSettings struct {
	Periods         []string `json:"periods"`           // expressions; it is active while one of them matches
	Timezone        string   `json:"timezone"`          // on whose wall clock; names one of zones, and empty is Local
	IdleCount       int      `json:"idle_count"`        // as in runner
	IdleCountMin    int      `json:"idle_count_min"`    // as in runner
	IdleScaleFactor float64  `json:"idle_scale_factor"` // as in runner
	IdleTimeS       int64    `json:"idle_time_s"`       // as in runner
}

// InstanceSettings are the settings of [runners.autoscaler], with GitLab's meaning: an instance is a machine with one or several slots,
// each of which takes a job.
type InstanceSettings struct {
	CapacityPerInstance int              `json:"capacity_per_instance"` // slots per machine
	MaxUseCount         int              `json:"max_use_count"`         // jobs per machine; 0 sets no limit
	MaxInstances        int              `json:"max_instances"`         // machines in any state at most; 0 sets no limit
	Policy              []InstancePolicy `json:"policy,omitempty"`      // the [[runners.autoscaler.policy]] sections, in order
}

// InstancePolicy is one [[runners.autoscaler.policy]] section, with what it leaves out filled in.
type InstancePolicy struct {
	Periods          []string `json:"periods"`            // unix cron's five fields; it is active while one of them matches
	Timezone         string   `json:"timezone"`           // on whose wall clock; names one of zones, and empty is Local
	IdleCount        int      `json:"idle_count"`         // free slots to hold
	IdleTimeS        int64    `json:"idle_time_s"`        // how long a machine that is too many may be idle
	ScaleFactor      float64  `json:"scale_factor"`       // free slots per slot in use; 0 is off
	ScaleFactorLimit int      `json:"scale_factor_limit"` // the most that the factor makes of it; 0 sets no limit
	PreemptiveMode   bool     `json:"preemptive_mode"`    // ask for a job only when a slot is free for it
}

// Slots are the places for jobs on machines of [runners.autoscaler], those of machines that are being removed left out.
type Slots struct {
	Creating    int `json:"creating"`    // on machines that are being created
	Free        int `json:"free"`        // on ready machines, and held by nobody
	Reserved    int `json:"reserved"`    // held for a job that is still to come
	Used        int `json:"used"`        // a job runs there
	Unavailable int `json:"unavailable"` // that no job gets any more: max_use_count leaves none over, or the operator keeps the machine
}

// Counts are machines by state. Available is creating, idle and acquired together, but for those that the operator keeps from jobs; Total
// counts all.
type Counts struct {
	Creating  int `json:"creating"`          // being created
	Idle      int `json:"idle"`              // ready, and held by nobody
	Acquired  int `json:"acquired"`          // held for a job that is still to come
	Used      int `json:"used"`              // running a job
	Removing  int `json:"removing"`          // being removed
	Stuck     int `json:"stuck_on_removing"` // being removed, which failed three times or more
	Available int `json:"available"`         // creating, idle and acquired together, but for those that the operator keeps from jobs
	Total     int `json:"total"`             // all
}

// Demand is what jobs ask of the fleet.
type Demand struct {
	Running int      `json:"running"`           // jobs on machines
	Waiting int      `json:"waiting"`           // jobs that hold no machine yet
	Windows []Window `json:"windows,omitempty"` // sums over times that end now, shortest first
}

// Window sums the jobs of the last Seconds seconds.
type Window struct {
	Seconds      int     `json:"seconds"`         // how long the window is
	Arrivals     int     `json:"arrivals"`        // jobs that came
	Finished     int     `json:"finished"`        // jobs that ended
	MeanDuration float64 `json:"mean_duration_s"` // how long those took on average; 0 when none ended
}

// Failure counts creations that failed with one kind of error.
type Failure struct {
	Kind  ErrorKind `json:"kind"`  // of the error
	Count int       `json:"count"` // creations that failed so
	AgeS  float64   `json:"age_s"` // seconds since the last
}

// MachineView is one machine as a policy sees it.
type MachineView struct {
	Name      string  `json:"name"`             // as remove names it
	State     string  `json:"state"`            // creating, idle, acquired, used, removing or stuck-on-removing
	AgeS      float64 `json:"age_s"`            // seconds since it was created
	IdleS     float64 `json:"idle_s,omitempty"` // seconds idle; 0 when it is not
	UsedCount int     `json:"used_count"`       // jobs that it ran or runs
}

// Settings are the four values that periods choose among.
type Settings struct {
	IdleCount       *int     `json:"idle_count,omitempty"`        // instead of IdleCount
	IdleCountMin    *int     `json:"idle_count_min,omitempty"`    // instead of IdleCountMin
	IdleScaleFactor *float64 `json:"idle_scale_factor,omitempty"` // instead of IdleScaleFactor
	IdleTimeS       *int64   `json:"idle_time_s,omitempty"`       // instead of IdleTime
}

// Proposal is the output of decide. Every field is optional: an absent one inherits from the module before.
type Proposal struct {
	Settings    *Settings `json:"settings,omitempty"`     // what the runner's settings should be now, inherited one by one
	IdleTarget  *int      `json:"idle_target,omitempty"`  // machines to hold available (creating, idle and acquired)
	IdleSlots   *int      `json:"idle_slots,omitempty"`   // with runner.instances: free slots to hold, which count instead of idle_target
	Preemptive  *bool     `json:"preemptive,omitempty"`   // with runner.instances: ask for a job only when a slot is free for it; absent: while the target is above 0
	GrowthLimit *int      `json:"growth_limit,omitempty"` // machines being created at once; tightens MaxGrowthRate, never widens it; 0 sets no limit
	NoGrowth    bool      `json:"no_growth,omitempty"`    // nothing is created, for waiting jobs either; a module that comes later can't take it back
	MaxBuilds   *int      `json:"max_builds,omitempty"`   // jobs per machine; tightens MaxBuilds, never widens it; 0 sets no limit
	Remove      []Removal `json:"remove,omitempty"`       // idle machines to remove now
	NextMachine Options   `json:"next_machine,omitempty"` // driver options for the next machine, from an allowed list
	AskAgainS   *float64  `json:"ask_again_s,omitempty"`  // time until the next call at the latest; 0 is the next tick

	Metrics map[string]float64 `json:"metrics,omitempty"` // numbers by name, for people; not handed on to the next module
	State   *string            `json:"state,omitempty"`   // the module's own, kept for its next call; absent leaves what there is
	Reason  string             `json:"reason,omitempty"`  // why, in words and numbers, one line; what is longer is cut
}

// Removal names an idle machine to remove, and why.
type Removal struct {
	Name   string `json:"name"`   // of the machine; one that is not idle, or is not there, is left alone
	Reason string `json:"reason"` // why, one line; what is longer is cut
}

// ObserveRequest is the input of observe: what a policy needs to know before it looks at the world. It has no more, so that what is
// observed never depends on a decision.
type ObserveRequest struct {
	ABI       int    `json:"abi"`                // the version that the host speaks
	Now       string `json:"now"`                // the instant, RFC 3339 with nanoseconds, UTC
	NowUnixMS int64  `json:"now_unix_ms"`        // the same instant, milliseconds since 1970
	Config    Raw    `json:"config,omitempty"`   // the module's own configuration
	Observed  Raw    `json:"observed,omitempty"` // what observe returned last: a Retry-After to mind, an ETag; lost when the agent starts
}

// HistoryWish is how much of the past a policy wants: the last Points steps of StepS seconds each. The host keeps a week of minutes.
type HistoryWish struct {
	Points int `json:"points"` // how many steps; points times step is a week at most
	StepS  int `json:"step_s"` // how long each is: a multiple of 60
}

// History is a runner's past, oldest step first. All lists have the same length. The step that is under way is not in it.
type History struct {
	FromUnixMS int64 `json:"from_unix_ms"` // when the first step began, milliseconds since 1970; a multiple of the step
	StepS      int   `json:"step_s"`       // how long each step is

	Minutes    []int     `json:"minutes"`     // of the step that the agent saw; with 0 nothing is known of it, and all else is 0
	Arrivals   []int     `json:"arrivals"`    // jobs that came
	Finished   []int     `json:"finished"`    // jobs that ended
	Running    []float64 `json:"running"`     // jobs on machines, mean
	RunningMax []int     `json:"running_max"` // the most at once
	WaitingMax []int     `json:"waiting_max"` // jobs without a machine, the most at once
	Available  []float64 `json:"available"`   // machines creating, idle or acquired, mean
	Total      []float64 `json:"total"`       // machines in any state, mean
}
