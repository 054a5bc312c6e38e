package specvectors

// sequence is a vector of the live pool over time.
func sequence(id, what, today string, c Config, want Want) Vector {
	return Vector{ID: id, What: what, Today: today, Config: c, Want: map[Tag]Want{Pool: want}}
}

// sequences are the vectors that take time, and the bounds of a runner's machines.
var sequences = []Vector{
	sequence("S1", "a runner without jobs keeps its idle machines", "",
		Config{IdleCount: 2, IdleTime: 600}, Want{"made": 2, "idle after 2 h": 2}),
	sequence("S2", "on demand: made in the job, removed when idle for longer than IdleTime", "goes at the next poll, however late",
		Config{IdleTime: 600}, Want{"made before the job": 0, "made": 1, "there 600 s after": 1, "there 602 s after": 0}),
	sequence("S3", "a machine was taken and GitLab had no job", "",
		Config{IdleCount: 2, IdleTime: 600}, Want{"idle": 2, "idle clock moved": false}),
	sequence("S4", "a machine for one job", "",
		Config{IdleCount: 1, MaxBuilds: 1, IdleTime: 600}, Want{"removed": "Too many builds", "idle afterwards": 1, "made": 2}),
	sequence("S5", "a machine that was found after a restart serves MaxBuilds jobs", "counts a found machine as used once, so it goes one job early",
		Config{IdleCount: 1, MaxBuilds: 2, IdleTime: 600}, Want{"jobs on it": 2}),
	sequence("S6", "every creation fails", "tries IdleCount creations at each poll, without end: 72,000 in an hour",
		Config{IdleCount: 20}, Want{"tries in the first hour": 27, "tries in the next hour": 4, "machines an hour after it works again": 20}),
	sequence("S7", "every removal fails", "gives up after 30 tries and counts the machine as removed",
		Config{IdleCount: 1, Limit: 2, IdleTime: 60}, Want{"stuck after tries": 3, "tries in the second hour": 12, "there in the end": false}),
	sequence("S8", "concurrent is lowered below the running jobs, then raised", "the second change waits for a job to end",
		Config{Concurrent: 3, IdleCount: 4, IdleTime: 600}, Want{"jobs with 3": 3, "jobs with 2": 3, "jobs with 4": 4}),
	sequence("S9", "the engine of the machine fails while the job is prepared",
		"keeps the broken machine for the whole job, and each try takes another: three machines for one job",
		Config{IdleCount: 2, Limit: 4, IdleTime: 600}, Want{"removed": "machine is unavailable", "machines held by the job": 1, "machines": 3}),
	sequence("S10", "an idle machine has died when a job comes", "holds the dead machine for the whole job and then counts it as idle",
		Config{IdleCount: 2, IdleTime: 600}, Want{"removed": "machine is unavailable", "job runs": true, "dead one there": false}),

	sequence("B1", "concurrent 20 and IdleCount 10 reach 30 machines", "stops at 29: nothing scales while all workers are busy",
		Config{Concurrent: 20, Limit: 40, IdleCount: 10, IdleTime: 600}, Want{"used": 20, "idle": 10, "machines": 30}),
	sequence("B2", "documentation: MaxGrowthRate 1 with five jobs at once", "",
		Config{Limit: 10, MaxGrowthRate: 1, IdleCount: 2, IdleTime: 1800},
		Want{"most being created": 1, "used": 5, "idle": 2, "idle after the jobs": 7, "idle after IdleTime": 2}),
	sequence("B3", "limit bounds machines made for jobs too", "does not count machines that are made inside jobs",
		Config{Limit: 2, IdleTime: 600}, Want{"leases": 2, "most machines": 2}),
	sequence("B4", "limit bounds idle machines and jobs together", "",
		Config{Concurrent: 20, Limit: 25, IdleCount: 10, IdleTime: 600}, Want{"used": 20, "most machines": 25}),
}
