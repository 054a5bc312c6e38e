// Package pool owns the machines of one runner. One goroutine per runner, the loop of pool.go, holds all state; everything reaches
// it as an event and leaves it as a call that is made elsewhere, whose answer is an event again:
//
//	tick, lease asked for and returned, ──► loop ──► plan.Plan ──► journal, then driver.Create ──► list ──► provision ──► idle
//	driver answered, machine provisioned,    │                └──► journal, then driver.Remove ──► journal
//	listed, config changed, stop             └──► snapshot ──► Decider ──► decision
//
// There is no lock: a function of this package runs on the loop's goroutine unless its comment says otherwise.
//
// A machine is written to the journal before the provider hears of it and leaves the journal after the provider let it go, so that
// a crash at any point loses none: the next Start takes up what is idle, removes what is half-made, and goes on removing. What a
// crash hides even from the journal bears our owner tag: list finds it.
//
// The files: pool.go (the loop, start and stop), step.go (decision to actions), create.go, remove.go, list.go (polling and what it
// tells), lease.go and assign.go (machines for jobs), save.go (order of journal writes), backoff.go, demand.go, snapshot.go,
// status.go, events.go, name.go, options.go (what a pool needs), and what keeps it sound: health.go (probes), overdue.go (watchdogs),
// interrupted.go (machines that are taken back), orphans.go (instances that nobody knows), and what holds it back: rails.go, breaker.go,
// ladder.go (alternatives for stock-outs), hand.go (the operator's), shared.go (what the agent's pools share), account.go and budget.go
// (calls to providers).
package pool
