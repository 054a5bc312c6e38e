// Package scale measures what an agent costs: memory and processor time by the number of its machines and jobs, how long its pool's
// ticks take, and how soon it picks up a job. The agent is a process alone; the cloud with its machines' engines (agent/internal/fakecloud)
// and the coordinator (agent/coordinator/embedded, with a steady load of jobs) are processes of their own. `go tool task bench:scale`
// runs the command below it, bench, which writes docs/scale.md.
//
// It reads /proc, so it wants Linux.
package scale
