// Package conformance holds the test that the docker executor runs jobs as GitLab Runner does: a table with a row for each of the 100
// numbered examples of what a job's payload brings about (rows in table_test.go), run with a real engine, real git and the
// embedded coordinator.
//
//	go test -v -run TestConformance ./agent/job/conformance
//
// (or `go tool task conformance`) prints a line `N passed, N failed` and names the numbers that are not covered, of which there are none: a
// number that no row has run fails the test. Where the behaviour of today is a known flaw, the row wants the better one, and
// docs/differences.md says so.
//
// MILLWRIGHT_HELPER_IMAGE=NAME runs it with another helper image that lies on the engine, such as GitLab's own.
//
// To add a row, put it into the file of its subject. A row is a payload and what can be seen of it; one that needs more, such as two
// jobs or a coordinator that answers badly, brings a function of its own. Each row has a coordinator, a runner and names of its own, so
// all of them can run at the same time.
package conformance
