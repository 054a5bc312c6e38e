// Package nestd gives tests a nesting daemon: the server of the daemon's own library in a process of its own, in front of a hypervisor whose
// virtual machines are SSH servers on loopback ports that run commands for real, each in a home of its own. As with a real hypervisor, they are
// there until they are deleted, also when the daemon is started anew. It is for Linux alone.
package nestd
