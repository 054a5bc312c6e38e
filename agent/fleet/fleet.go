// Package fleet holds the plain values that the pool, the plan, the journal and the command line share: machines and their
// states, the decision of the policy chain, the actions of the plan, and the events that tell people what happened. It does
// nothing by itself.
package fleet

import (
	"slices"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// State is a machine's state, in the words of GitLab's metric gitlab_runner_autoscaling_machine_states.
type State string

// The states of a machine. Stuck is a label of Removing after three failed tries, not a state of its own.
const (
	Creating State = "creating" // from the decision to create until it has an engine that answers
	Idle     State = "idle"     // usable, nobody holds it
	Acquired State = "acquired" // held by a lease that has no job yet
	Used     State = "used"     // a job runs on it
	Removing State = "removing" // removal requested
)

// StuckAfter is the number of failed removals after which a machine counts as stuck-on-removing.
const StuckAfter = 3

// Machine is one machine that Millwright owns. It is a value: the pool holds the only live copy.
type Machine struct {
	Name    string
	Runner  string // the runner's stable key, see config.Runner.Key
	Driver  string
	Options abi.Options // as they were at creation, defaults filled in
	State   State

	CreatedAt  time.Time // when its creation was decided
	ExpiresAt  time.Time // when it ends by itself, whatever becomes of the agent; zero: never
	ReadyAt    time.Time // when it became usable first; zero before
	IdleSince  time.Time // start of the idle clock; zero unless idle or acquired
	StateSince time.Time

	Slots     int     // jobs that it takes at once; 0 counts as 1
	Taken     int     // slots that leases hold, with a job or without; not journalled
	Closed    bool    // nobody gets its free slots for now: it is on its way out, or not well; not journalled
	UsedCount int     // jobs that ran on it, those that run included
	JobID     int64   // the job that runs on it, of several the one that began first; 0 when none
	OtherJobs []int64 // those that run beside JobID, in the order in which they began; replaced, never changed

	RemoveReason string // why it is being removed
	RemoveTries  int    // failed removals so far
	RemoveErr    string // why the last of them failed

	Silent int // probes in a row that its engine did not answer; not journalled

	Cordoned bool // the operator wants no more jobs on it
	Hold     Hold // the operator has it kept; zero: not

	SSHUser  string       // who the provisioner logs in as; "" before its keys were made
	Instance abi.Instance // the provider's record, as last seen
}

// Stuck tells whether the machine's removal has failed so often that it counts as stuck-on-removing.
func (m *Machine) Stuck() bool { return m.State == Removing && m.RemoveTries >= StuckAfter }

// Capacity returns how many jobs the machine takes at once.
func (m *Machine) Capacity() int { return max(m.Slots, 1) }

// Jobs returns the jobs that run on the machine, in the order in which they began.
func (m *Machine) Jobs() []int64 {
	if m.JobID == 0 {
		return nil
	}
	return append([]int64{m.JobID}, m.OtherJobs...)
}

// SetJobs replaces the jobs that run on the machine.
func (m *Machine) SetJobs(jobs []int64) {
	m.JobID, m.OtherJobs = 0, nil
	if len(jobs) > 0 {
		m.JobID = jobs[0]
	}
	if len(jobs) > 1 {
		m.OtherJobs = slices.Clone(jobs[1:])
	}
}

// Endpoint is where a machine's engine answers.
type Endpoint struct {
	Host     string // tcp://10.0.0.7:2376
	CertPath string // folder with ca.pem, cert.pem and key.pem
}

// Fleet is a runner's machines as the plan sees them. Whoever gets one only reads it, and keeps nothing of it.
type Fleet []*Machine

// Counts sums the fleet by state.
func (f Fleet) Counts() abi.Counts {
	var c abi.Counts
	kept := 0
	for _, m := range f {
		if m.Kept() && (m.State == Creating || m.State == Idle) {
			kept++
		}
		switch m.State {
		case Creating:
			c.Creating++
		case Idle:
			c.Idle++
		case Acquired:
			c.Acquired++
		case Used:
			c.Used++
		case Removing:
			if m.Stuck() {
				c.Stuck++
			} else {
				c.Removing++
			}
		}
	}
	c.Available = c.Creating + c.Idle + c.Acquired - kept
	c.Total = len(f)
	return c
}

// Limits are the guard rails of one runner. They hold whatever a policy says.
type Limits struct {
	Limit         int // machines in any state at most; 0 or less = none
	MaxGrowthRate int // machines being created at once at most; 0 or less = none
	MaxBuilds     int // jobs per machine at most; 0 or less = none
	MaxInstances  int // as Limit, which with [runners.autoscaler] counts jobs alone; 0 or less = none
	Slots         int // jobs that a new machine takes at once; 0 counts as 1

	Throttle Throttle // of creations; the zero value is none
	Bucket   Bucket   // what Throttle leaves now, refilled

	Own, All Ceilings // the operator's, of the runner alone and of the agent as a whole
	Agent    Agent    // what All and creations are counted with
	Frozen   bool     // nothing is created or removed
	Paused   bool     // creations failed: nothing is created for now
	Trial    bool     // creations failed: machines are created one at a time until one succeeds
}

// LimitsOf returns the guard rails that a runner's settings set.
func LimitsOf(r abi.RunnerSettings) Limits {
	if i := r.Instances; i != nil {
		return Limits{MaxInstances: i.MaxInstances, MaxBuilds: i.MaxUseCount, Slots: i.CapacityPerInstance}
	}
	return Limits{Limit: r.Limit, MaxGrowthRate: r.MaxGrowthRate, MaxBuilds: r.MaxBuilds}
}

// Decision is what the policy chain as a whole decided, with its reasons.
type Decision struct {
	At         time.Time
	IdleTarget int           // machines to hold available (creating, idle, acquired); with [runners.autoscaler] slots
	IdleTime   time.Duration // how long a machine beyond the target may stay idle
	// GrowthLimit and MaxBuilds tighten the guard rails of the same name; 0 leaves them.
	GrowthLimit int
	MaxBuilds   int
	Remove      []abi.Removal
	NextMachine abi.Options
	AskAgain    time.Duration // ask again at the latest after this; 0 = at the next tick
	Reason      string        // in words, for people: the last module's, or what became of the chain
	Steps       []Step
	// Preemptive is set when jobs are asked for only while a slot is free now, false when an instance may be made for a job that came; nil: it
	// is so exactly when IdleTarget is more than 0.
	Preemptive *bool
	// NoGrowth is set when a policy wants none, or a required one failed.
	NoGrowth bool
}

// AsksAhead tells whether jobs are asked for only while a slot is free now.
func (d *Decision) AsksAhead() bool {
	if d.Preemptive != nil {
		return *d.Preemptive
	}
	return d.IdleTarget > 0
}

// Step is what one module of the chain made of the snapshot.
type Step struct {
	Module   string
	Proposal abi.Proposal
	Err      string // why it was skipped; "" when it was not
	Duration time.Duration
	Fuel     int64 // that its call used; see package meter
}

// ActionKind is what the plan wants done.
type ActionKind string

// The kinds of action.
const (
	Create ActionKind = "create"
	Remove ActionKind = "remove"
)

// Action is one thing that the plan wants done. The pool does it.
type Action struct {
	Kind    ActionKind
	Machine string // of Remove; the pool names the machines that it creates
	Reason  string // GitLab's reason text where there is one
}

// Event tells people what happened; nothing depends on it. Exactly one of Machine and Decision is set.
type Event struct {
	At       time.Time
	Runner   string // the runner's name
	Executor string // the runner's; "" counts as docker+machine
	Machine  *MachineEvent
	// Decision is sent when its target or its reason changed.
	Decision *Decision
	// Actions are what the plan made of the decision.
	Actions []Action
	Rails   []Rail // what the guard rails changed of the decision
}

// Rail is a number of a decision that a guard rail changed.
type Rail struct {
	Name   string `json:"name"`  // create (machines at once), keep (machines), remove (machines), growth_limit, max_builds, next_machine (options)
	Cause  string `json:"cause"` // which guard rail: the setting's name, or a word of package plan
	Wanted int    `json:"wanted"`
	Got    int    `json:"got"`
	Reason string `json:"reason"`
}

// MachineEvent is a machine that changed.
type MachineEvent struct {
	Name     string
	From     State         // the state before; "" when it is new
	State    State         // the new state; the same as From when only the phase changed
	Gone     bool          // it exists no more
	JobID    int64         // the job that runs on it; 0 when none
	Phase    string        // of creation: insert, boot, ssh, gpu, engine, image; "" otherwise
	Reason   string        // why, in words
	Err      string        // what failed, if something did
	Duration time.Duration // how long the state or the phase before took
	Age      time.Duration // with Gone: how long it is since its creation was decided
	Phases   []PhaseTime   // of a machine that has just been created: where the time went
	Target   Target        // where the machine is

	Cause string        // of a removal: its reason as one of a few words, for metrics
	Op    string        // with Err: what failed, one of the Ops below; "" otherwise
	Kind  abi.ErrorKind // with Op
	// Overdue is what it has been in for too long: creating, provisioning, acquired, removing; Err says what is done about it.
	Overdue     string
	Interrupted bool // its provider takes it back; Err has the provider's words
}

// What fails about a machine.
const (
	OpCreate = "create" // until its engine answers
	OpProbe  = "probe"  // of an engine that answered before
	OpRemove = "remove"
)

// The causes of removals, for metrics.
const (
	CauseFailed      = "creation-failed"
	CauseBuilds      = "max-builds"
	CauseIdle        = "idle"        // more than the policies want, for long enough
	CauseLimit       = "limit"       // more than the guard rails allow
	CauseCeiling     = "ceiling"     // more or older than the operator allows
	CausePolicy      = "policy"      // a policy named it
	CauseUnavailable = "unavailable" // its engine does not answer, or failed a job
	CauseInterrupted = "interrupted" // the provider takes it back
	CauseLost        = "lost"        // the provider has it no more, or has it switched off
	CauseLeft        = "left-behind" // half-made or in use when an agent ended
	CauseRetired     = "retired"     // its runner or its driver is no more what it was
	CauseOrphan      = "orphan"
	CauseAsked       = "asked-for"
	CauseDrain       = "drain"
)

// PhaseTime is how long one phase of a machine's creation took.
type PhaseTime struct {
	Phase    string
	Duration time.Duration
}
