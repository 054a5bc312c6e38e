// Package cloudtrial runs one job on one machine of a cloud with the whole agent, removes the machine, and looks afterwards what is left in the
// account. `task e2e:cloud-google` and `task e2e:cloud-aws` do so in a user's own account; the tests do the same in fake clouds, so that only the
// endpoint differs.
//
// What it may cost is bounded thrice: the agent makes one machine at a time and three in an hour, of the smallest type, and waits for the job for twenty
// minutes; each machine ends by itself after an hour, whatever becomes of the agent; and what is left is a failure that names it.
package cloudtrial
