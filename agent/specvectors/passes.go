package specvectors

import "github.com/millwright-ci/millwright/agent/fleet"

// The reasons of removals, as users search for them.
const (
	idle   = "too many idle machines"
	many   = "too many machines"
	builds = "too many builds"
)

// age is how GitLab Runner differs where only the choice of machines does.
const age = "removes the newest instead of those idle for longest; the number is the same"

// scaled is what is expected of a pass: the machines to hold available, which are removed and why, how many are created, and what a
// worker without a job does then: it takes a machine, asks for a job and has one created ("ask+create"), or does not ask ("hold").
func scaled(target int, removed, reason string, created int, then string) map[Tag]Want {
	done := Want{"removed": removed, "reason": reason, "created": created, "then": then}
	return map[Tag]Want{Policy: {"target": target}, Plan: done, Pool: done}
}

func used(n int) Group            { return Group{State: fleet.Used, N: n} }
func idling(n, seconds int) Group { return Group{State: fleet.Idle, N: n, Idle: seconds} }
func worn(n, jobs int) Group      { return Group{State: fleet.Idle, N: n, Used: jobs} }
func acquired(n int) Group        { return Group{State: fleet.Acquired, N: n} }
func creating(n int) Group        { return Group{State: fleet.Creating, N: n} }
func removing(n int) Group        { return Group{State: fleet.Removing, N: n} }

// passes are the vectors of one pass.
var passes = []Vector{
	{ID: "V1", What: "the growth rate holds creation back", Config: Config{Limit: 10, IdleCount: 2, MaxGrowthRate: 1, IdleTime: 1800},
		Want: scaled(2, "", "", 1, "hold")},
	{ID: "V2", What: "without a growth rate", Config: Config{Limit: 10, IdleCount: 2, IdleTime: 1800},
		Want: scaled(2, "", "", 2, "hold")},
	{ID: "V3", What: "used machines are no supply", Config: Config{Limit: 10, IdleCount: 2, MaxGrowthRate: 1, IdleTime: 1800}, Machines: []Group{used(2)},
		Want: scaled(2, "", "", 1, "hold")},
	{ID: "V4", What: "one idle", Config: Config{Limit: 10, IdleCount: 2, MaxGrowthRate: 1, IdleTime: 1800}, Machines: []Group{used(5), idling(1, 0)},
		Want: scaled(2, "", "", 1, "take m005")},
	{ID: "V5", What: "the supply is full", Config: Config{Concurrent: 20, Limit: 40, IdleCount: 10}, Machines: []Group{used(19), idling(10, 0)},
		Want: scaled(10, "", "", 0, "take m028"), Today: "stops at 29 machines once the twentieth job runs, since nothing scales without a free worker: see B1"},
	{ID: "V6", What: "half the supply", Config: Config{Concurrent: 20, Limit: 40, IdleCount: 10}, Machines: []Group{used(19), idling(5, 0)},
		Want: scaled(10, "", "", 5, "take m023")},
	{ID: "V7", What: "limit binds", Config: Config{Limit: 25, IdleCount: 10}, Machines: []Group{used(20)},
		Want: scaled(10, "", "", 5, "hold")},
	{ID: "V8", What: "a factor", Config: Config{Limit: 200, IdleCount: 100, IdleCountMin: 10, IdleScaleFactor: 1.1}, Machines: []Group{used(10), idling(5, 0)},
		Want: scaled(11, "", "", 6, "take m014")},
	{ID: "V9", What: "IdleCount and limit bind", Config: Config{Limit: 200, IdleCount: 100, IdleCountMin: 10, IdleScaleFactor: 1.1}, Machines: []Group{used(100), idling(90, 0)},
		Want: scaled(100, "", "", 10, "take m189")},
	{ID: "V10", What: "IdleCount binds", Config: Config{IdleCount: 100, IdleCountMin: 10, IdleScaleFactor: 1.1}, Machines: []Group{used(100), idling(90, 0)},
		Want: scaled(100, "", "", 10, "take m189")},
	{ID: "V11", What: "shrink to the factor", Config: Config{Limit: 200, IdleCount: 100, IdleCountMin: 10, IdleScaleFactor: 1.1, IdleTime: 60}, Machines: []Group{used(20), idling(100, 100)},
		Want: scaled(22, "m020-m097", idle, 0, "take m119"), Today: age},
	{ID: "V12", What: "idle machines that sort before the used ones", Config: Config{Limit: 200, IdleCount: 100, IdleCountMin: 10, IdleScaleFactor: 1.1, IdleTime: 60}, Machines: []Group{idling(100, 100), used(20)},
		Want: scaled(22, "m000-m077", idle, 0, "take m099"), Today: "judges by the machines before it in name order: removes 90 and creates 12"},
	{ID: "V13", What: "not aged yet", Config: Config{Limit: 200, IdleCount: 100, IdleCountMin: 10, IdleScaleFactor: 1.1, IdleTime: 600}, Machines: []Group{used(20), idling(100, 100)},
		Want: scaled(22, "", "", 0, "take m119")},
	{ID: "V14", What: "shrink to IdleCountMin", Config: Config{Limit: 200, IdleCount: 100, IdleCountMin: 10, IdleScaleFactor: 1.1, IdleTime: 60}, Machines: []Group{idling(22, 100)},
		Want: scaled(10, "m000-m011", idle, 0, "take m021"), Today: age},
	{ID: "V15", What: "grow to IdleCountMin", Config: Config{Limit: 200, IdleCount: 100, IdleCountMin: 10, IdleScaleFactor: 1.1, IdleTime: 60}, Machines: []Group{idling(9, 0)},
		Want: scaled(10, "", "", 1, "take m008")},
	{ID: "V16", What: "with a factor IdleCountMin is 1 at least", Config: Config{IdleCount: 100, IdleScaleFactor: 1.1, IdleTime: 60}, Machines: []Group{idling(5, 100)},
		Want: scaled(1, "m000-m003", idle, 0, "take m004"), Today: age},
	{ID: "V17", What: "the same, from nothing", Config: Config{IdleCount: 100, IdleScaleFactor: 1.1, IdleTime: 60},
		Want: scaled(1, "", "", 1, "hold")},
	{ID: "V18", What: "4.5 is rounded down", Config: Config{IdleCount: 50, IdleCountMin: 1, IdleScaleFactor: 1.5}, Machines: []Group{used(3)},
		Want: scaled(4, "", "", 4, "hold")},
	{ID: "V19", What: "a product of 28.999", Config: Config{IdleCount: 100, IdleScaleFactor: 0.29}, Machines: []Group{used(100)},
		Want: scaled(29, "", "", 29, "hold"), Today: "cuts it to 28"},
	{ID: "V20", What: "an even product", Config: Config{IdleCount: 100, IdleScaleFactor: 0.2}, Machines: []Group{used(200)},
		Want: scaled(40, "", "", 40, "hold")},
	{ID: "V21", What: "the oldest are aged, the newest are not", Config: Config{IdleCount: 2, IdleTime: 60}, Machines: []Group{idling(2, 100), idling(2, 10)},
		Want: scaled(2, "m000-m001", idle, 0, "take m003"), Today: "removes none: what sorts first stays whatever its age"},
	{ID: "V22", What: "an aged one among the newest", Config: Config{IdleCount: 2, IdleTime: 60}, Machines: []Group{idling(2, 100), idling(1, 10), idling(1, 100)},
		Want: scaled(2, "m000-m001", idle, 0, "take m003"), Today: "removes the fourth alone, by its rank"},
	{ID: "V23", What: "three idle, then three used", Config: Config{IdleCount: 10, IdleScaleFactor: 1.0, IdleTime: 12}, Machines: []Group{idling(3, 13), used(3)},
		Want: scaled(3, "", "", 0, "take m002"), Today: "removes 2 and creates 2: the used ones sort later and do not count"},
	{ID: "V24", What: "three used, then three idle", Config: Config{IdleCount: 10, IdleScaleFactor: 1.0, IdleTime: 12}, Machines: []Group{used(3), idling(3, 13)},
		Want: scaled(3, "", "", 0, "take m005")},
	{ID: "V25", What: "documentation: weekday, from nothing", Config: Config{Limit: 10, IdleCount: 50, IdleCountMin: 5, IdleScaleFactor: 1.5, IdleTime: 3600, MaxBuilds: 100},
		Want: scaled(5, "", "", 5, "hold")},
	{ID: "V26", What: "documentation: weekday, limit binds", Config: Config{Limit: 10, IdleCount: 50, IdleCountMin: 5, IdleScaleFactor: 1.5, IdleTime: 3600, MaxBuilds: 100}, Machines: []Group{used(4), idling(1, 0)},
		Want: scaled(6, "", "", 5, "take m004")},
	{ID: "V27", What: "documentation: weekend", Config: Config{Limit: 10, IdleCount: 5, IdleTime: 60}, Machines: []Group{used(3)},
		Want: scaled(5, "", "", 5, "hold")},
	{ID: "V28", What: "documentation: weekend after the week", Config: Config{Limit: 50, IdleCount: 5, IdleTime: 60}, Machines: []Group{idling(22, 61)},
		Want: scaled(5, "m000-m016", idle, 0, "take m021"), Today: age},
	{ID: "V29", What: "documentation: a period has just begun", Config: Config{IdleCount: 50, IdleTime: 3600}, Machines: []Group{idling(10, 100)},
		Want: scaled(50, "", "", 40, "take m009")},
	{ID: "V30", What: "on demand", Config: Config{Limit: 2},
		Want: scaled(0, "", "", 0, "ask+create")},
	{ID: "V31", What: "on demand, limit reached", Config: Config{Limit: 2}, Machines: []Group{used(2)},
		Want: scaled(0, "", "", 0, "hold")},
	{ID: "V32", What: "machines being removed count for limit", Config: Config{Limit: 2}, Machines: []Group{removing(2)},
		Want: scaled(0, "", "", 0, "hold")},
	{ID: "V33", What: "on demand, one idle", Config: Config{Limit: 2, IdleTime: 600}, Machines: []Group{used(1), idling(1, 10)},
		Want: scaled(0, "", "", 0, "take m001")},
	{ID: "V34", What: "on demand, aged", Config: Config{IdleTime: 600}, Machines: []Group{idling(2, 601)},
		Want: scaled(0, "m000-m001", idle, 0, "ask+create")},
	{ID: "V35", What: "on demand, growth rate reached", Config: Config{MaxGrowthRate: 1}, Machines: []Group{creating(1)},
		Want: scaled(0, "", "", 0, "hold")},
	{ID: "V36", What: "IdleCount 0 makes a factor meaningless", Config: Config{IdleCountMin: 5, IdleScaleFactor: 2.0}, Machines: []Group{used(4)},
		Want: scaled(0, "", "", 0, "ask+create")},
	{ID: "V37", What: "limit was lowered", Config: Config{Limit: 2, IdleCount: 10}, Machines: []Group{idling(5, 0)},
		Want: scaled(10, "m000-m002", many, 0, "take m004"), Today: age},
	{ID: "V38", What: "limit was lowered below the used ones", Config: Config{Limit: 2, IdleCount: 10}, Machines: []Group{used(3), idling(2, 0)},
		Want: scaled(10, "m003-m004", many, 0, "hold")},
	{ID: "V39", What: "the same, the idle ones sort first", Config: Config{Limit: 2, IdleCount: 10}, Machines: []Group{idling(2, 0), used(3)},
		Want: scaled(10, "m000-m001", many, 0, "hold"), Today: "keeps both: their rank protects them"},
	{ID: "V40", What: "worn out", Config: Config{IdleCount: 1, MaxBuilds: 2}, Machines: []Group{worn(1, 2)},
		Want: scaled(1, "m000", builds, 1, "hold")},
	{ID: "V41", What: "worn out, found after a restart", Config: Config{Limit: 4, IdleCount: 2, MaxBuilds: 1}, Machines: []Group{worn(2, 1)},
		Want: scaled(2, "m000-m001", builds, 2, "hold")},
	{ID: "V42", What: "machines being removed count for the total", Config: Config{Limit: 5, IdleCount: 5}, Machines: []Group{removing(2), idling(1, 0)},
		Want: scaled(5, "", "", 2, "take m002")},
	{ID: "V43", What: "acquired machines are supply", Config: Config{IdleCount: 2}, Machines: []Group{acquired(2)},
		Want: scaled(2, "", "", 0, "hold")},
	{ID: "V44", What: "machines being created are supply", Config: Config{IdleCount: 5}, Machines: []Group{idling(1, 0), creating(2)},
		Want: scaled(5, "", "", 2, "take m000")},
	{ID: "V45", What: "the growth rate counts those being created", Config: Config{IdleCount: 10, MaxGrowthRate: 3}, Machines: []Group{creating(1)},
		Want: scaled(10, "", "", 2, "hold")},
	{ID: "V46", What: "IdleCount beats IdleCountMin", Config: Config{IdleCount: 5, IdleCountMin: 10, IdleScaleFactor: 1.0, IdleTime: 10}, Machines: []Group{idling(8, 60)},
		Want: scaled(5, "m000-m002", idle, 0, "take m007"), Today: age},
	{ID: "V47", What: "IdleCountMin means nothing without a factor", Config: Config{IdleCount: 10, IdleCountMin: 3}, Machines: []Group{idling(3, 0)},
		Want: scaled(10, "", "", 7, "take m002")},
	{ID: "V48", What: "a section with IdleCount alone has IdleTime 0", Config: Config{IdleCount: 2}, Machines: []Group{idling(5, 1)},
		Want: scaled(2, "m000-m002", idle, 0, "take m004"), Today: age},
	{ID: "V49", What: "limit binds beside idle ones", Config: Config{Limit: 30, IdleCount: 10}, Machines: []Group{used(25), idling(2, 0)},
		Want: scaled(10, "", "", 3, "take m026")},
	{ID: "V50", What: "a negative limit is none", Config: Config{Limit: -1, IdleCount: 2},
		Want: scaled(2, "", "", 2, "hold")},
	{ID: "V51", What: "the store holds a folder without a record", Config: Config{IdleCount: 2},
		Want: scaled(2, "", "", 2, "hold"), Today: "counts it as an idle machine for ever, and creates 1"},
}
