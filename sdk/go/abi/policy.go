package abi

// Snapshot is the input of decide: the only thing that a policy knows of the world.
type Snapshot struct {
	ABI       int    `json:"abi"`
	Now       string `json:"now"`         // RFC 3339 with nanoseconds, UTC
	NowUnixMS int64  `json:"now_unix_ms"` // the same instant, milliseconds since 1970

	Zones    []Zone         `json:"zones,omitempty"` // every zone named in the runner's configuration
	Runner   RunnerSettings `json:"runner"`
	Fleet    Counts         `json:"fleet"`
	Demand   Demand         `json:"demand"`
	Failures []Failure      `json:"failures,omitempty"` // of the last hour, by kind

	Machines []MachineView `json:"machines,omitempty"` // only when describe asked for them
	History  *History      `json:"history,omitempty"`  // only when describe asked for it

	Config       Raw     `json:"config,omitempty"`         // the module's own configuration
	State        string  `json:"state,omitempty"`          // what the module's last proposal gave, at most 64 KB
	Observed     Raw     `json:"observed,omitempty"`       // what observe returned last
	ObservedAgeS float64 `json:"observed_age_s,omitempty"` // seconds since then

	Proposal Proposal `json:"proposal"` // what the modules before this one proposed, merged
}

// Zone is a time zone as seen at the snapshot's instant; guests carry no time-zone data. The wall clock there is
// NowUnixMS/1000 + OffsetS, read as if it were UTC.
type Zone struct {
	Name        string `json:"name"`          // IANA name as the configuration writes it; "Local" for the host's own
	Local       string `json:"local"`         // the instant in that zone, RFC 3339 with offset
	OffsetS     int    `json:"offset_s"`      // seconds east of UTC now
	NextChange  string `json:"next_change"`   // when the offset changes next, RFC 3339 UTC; "" when never
	NextOffsetS int    `json:"next_offset_s"` // seconds east of UTC from then on
}

// RunnerSettings are the runner's settings from config.toml, with GitLab's meaning.
type RunnerSettings struct {
	Name            string            `json:"name"`
	ShortToken      string            `json:"short_token,omitempty"`
	Limit           int               `json:"limit"`      // machines and jobs at most; 0 = none
	Concurrent      int               `json:"concurrent"` // jobs at most over all runners
	IdleCount       int               `json:"idle_count"`
	IdleCountMin    int               `json:"idle_count_min"`
	IdleScaleFactor float64           `json:"idle_scale_factor"` // 0 = off
	IdleTimeS       int64             `json:"idle_time_s"`       // seconds
	MaxGrowthRate   int               `json:"max_growth_rate"`   // 0 = no limit
	MaxBuilds       int               `json:"max_builds"`        // 0 = no limit
	Autoscaling     []PeriodsSettings `json:"autoscaling,omitempty"`
}

// PeriodsSettings is one [[runners.machine.autoscaling]] section. It replaces all four values, those it leaves out too.
type PeriodsSettings struct {
	Periods         []string `json:"periods"`
	Timezone        string   `json:"timezone"` // "" and "Local" are the host's zone; names a Zone of the snapshot
	IdleCount       int      `json:"idle_count"`
	IdleCountMin    int      `json:"idle_count_min"`
	IdleScaleFactor float64  `json:"idle_scale_factor"`
	IdleTimeS       int64    `json:"idle_time_s"`
}

// Counts are machines by state. Available is creating, idle and acquired together; Total counts all.
type Counts struct {
	Creating  int `json:"creating"`
	Idle      int `json:"idle"`
	Acquired  int `json:"acquired"`
	Used      int `json:"used"`
	Removing  int `json:"removing"`
	Stuck     int `json:"stuck_on_removing"`
	Available int `json:"available"`
	Total     int `json:"total"`
}

// Demand is what jobs ask of the fleet.
type Demand struct {
	Running int      `json:"running"` // jobs on machines
	Waiting int      `json:"waiting"` // jobs that hold no machine yet
	Windows []Window `json:"windows,omitempty"`
}

// Window sums the jobs of the last Seconds seconds.
type Window struct {
	Seconds      int     `json:"seconds"`
	Arrivals     int     `json:"arrivals"`
	Finished     int     `json:"finished"`
	MeanDuration float64 `json:"mean_duration_s"` // of those finished; 0 when none
}

// Failure counts creations that failed with one kind of error.
type Failure struct {
	Kind  ErrorKind `json:"kind"`
	Count int       `json:"count"`
	AgeS  float64   `json:"age_s"` // seconds since the last
}

// MachineView is one machine as a policy sees it.
type MachineView struct {
	Name      string  `json:"name"`
	State     string  `json:"state"`
	AgeS      float64 `json:"age_s"`
	IdleS     float64 `json:"idle_s,omitempty"` // seconds idle, 0 when it is not
	UsedCount int     `json:"used_count"`
}

// Settings are the four values that periods choose among.
type Settings struct {
	IdleCount       *int     `json:"idle_count,omitempty"`
	IdleCountMin    *int     `json:"idle_count_min,omitempty"`
	IdleScaleFactor *float64 `json:"idle_scale_factor,omitempty"`
	IdleTimeS       *int64   `json:"idle_time_s,omitempty"` // seconds
}

// Proposal is the output of decide. Every field is optional: an absent one inherits from the module before.
type Proposal struct {
	Settings    *Settings `json:"settings,omitempty"`
	IdleTarget  *int      `json:"idle_target,omitempty"`  // machines to hold available, 0 or more
	GrowthLimit *int      `json:"growth_limit,omitempty"` // machines being created at once; may only tighten MaxGrowthRate
	MaxBuilds   *int      `json:"max_builds,omitempty"`   // jobs per machine; may only tighten MaxBuilds
	Remove      []Removal `json:"remove,omitempty"`       // idle machines to remove now
	NextMachine Options   `json:"next_machine,omitempty"` // option overrides for the next machine, from an allowed list
	AskAgainS   *float64  `json:"ask_again_s,omitempty"`  // seconds until the next call at the latest

	Metrics map[string]float64 `json:"metrics,omitempty"`
	State   *string            `json:"state,omitempty"` // kept for the module's next call
	Reason  string             `json:"reason,omitempty"`
}

// Removal names an idle machine to remove, and why.
type Removal struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// ObserveRequest is the input of observe: what a policy needs to know before it looks at the world. It has no more, so that what is
// observed never depends on a decision.
type ObserveRequest struct {
	ABI       int    `json:"abi"`
	Now       string `json:"now"`         // RFC 3339 with nanoseconds, UTC
	NowUnixMS int64  `json:"now_unix_ms"` // the same instant, milliseconds since 1970
	Config    Raw    `json:"config,omitempty"`
}

// HistoryWish is how much of the past a policy wants: the last Points steps of StepS seconds each. The host keeps a week of minutes.
type HistoryWish struct {
	Points int `json:"points"` // 1 to 1000
	StepS  int `json:"step_s"` // seconds, a multiple of 60; points times step is a week at most
}

// History is a runner's past, oldest step first. All lists have the same length. The step that is under way is not in it.
type History struct {
	FromUnixMS int64 `json:"from_unix_ms"` // when the first step began, milliseconds since 1970; a multiple of the step
	StepS      int   `json:"step_s"`

	Minutes    []int     `json:"minutes"`     // of the step that the agent saw; with 0 nothing is known of it, and all else is 0
	Arrivals   []int     `json:"arrivals"`    // jobs that came
	Finished   []int     `json:"finished"`    // jobs that ended
	Running    []float64 `json:"running"`     // jobs on machines, mean
	RunningMax []int     `json:"running_max"` // the most at once
	WaitingMax []int     `json:"waiting_max"` // jobs without a machine, the most at once
	Available  []float64 `json:"available"`   // machines creating, idle or acquired, mean
	Total      []float64 `json:"total"`       // machines in any state, mean
}
