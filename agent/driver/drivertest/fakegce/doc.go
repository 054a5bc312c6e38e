// Package fakegce is Google Compute Engine for tests: as much of its API as the drivers google and googlecompute speak, over HTTP, with projects,
// zones, disks, firewall rules, managed instance groups and operations that take their time.
//
// Every request is held against Google's own discovery document, which lies in the Go module google.golang.org/api: method, path,
// parameters, and the names and types of all that is in a body. What the document does not know is refused, and counted: Wrong lists it.
// Answers hold the fields that were asked for and no more, as Google's do.
//
// Faults come on demand (Fail, Put), and Record tells which methods were called, for the list of permissions that a role needs.
package fakegce
