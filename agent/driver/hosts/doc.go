// Package hosts has the drivers of what is there before the agent: generic, for hosts that are reached over SSH, of which it leases one to
// each machine; and none, for an engine that somebody else looks after.
//
// They call no provider and run in the agent itself: what they do is to remember who has which host, and to name the operator's SSH key, and
// neither is a guest's to have. A lease is a file in the machine's folder of the store, which goes when the host has been cleaned.
package hosts
