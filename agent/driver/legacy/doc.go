// Package legacy is a driver.Driver over a docker-machine plug-in: a binary docker-machine-driver-NAME on the PATH, which is started and
// spoken to over docker-machine's RPC protocol (net/rpc over loopback TCP, gob). It serves fleets whose cloud has no module yet.
//
// A plug-in's create blocks for minutes and its cloud knows no owner. So here a creation is begun and goes on by itself, list tells what
// became of it, and what the plug-in knows of its machine (its configuration, in docker-machine's JSON) is kept in the machine's folder of
// the store, while the creation runs too: a plug-in started anew with that removes the machine, whoever died before.
//
//	find.go    which binary serves a name
//	process.go its process: start, output, end
//	session.go its connection: version, heartbeat, calls
//	flags.go   its flags as options, and back
//	record.go  what is kept of a machine
//	driver.go  the driver; create.go, list.go and remove.go its verbs
package legacy
