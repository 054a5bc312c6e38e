// Package fleeting is a group.Group over a fleeting plug-in: an existing fleeting-plugin-* binary, such as GitLab's for AWS, Google Compute and
// Azure and those of the community. It runs as a process of its own and is spoken to by gRPC, as hashicorp/go-plugin has it.
//
// A plug-in has all the rights of the agent and may do anything: die, hang, lie. So each call has a limit, after which the process is killed with
// its children; one that is gone is started anew with a back-off, and calls fail as transient until then; what it answers is checked.
//
//	config.go      what it is started with, from config.toml
//	group.go       the group: one process at a time, started, watched and replaced
//	change.go      what a reload changes of it
//	calls.go       its verbs, and what is believed of their answers
//	session.go     a process that was started, spoken to and initialised
//	process.go     the process itself
//	environment.go what it sees of the agent's environment, and which texts are secret
//	output.go      what it prints, as log lines
//	wire.go        the protocol's messages
//
// Below lies artifact, which finds and installs plug-ins.
package fleeting
