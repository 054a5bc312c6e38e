// Package jobbench holds the bench of how quick a job is: what a job that does nothing takes in time, containers and processor, how many of
// them an agent runs in a minute, how soon a log begins, how fast it flows, and how soon a cancel is noticed. Agent, engine, git and
// coordinator are the real ones; beside each time stands that of a bare container of the same image in the same run, since the machine that a bench
// runs on says little about another.
//
//	go tool task bench:job
//
// The tests run a short one, which must come to its end with every figure above zero; how large the figures are is not tested.
package jobbench
