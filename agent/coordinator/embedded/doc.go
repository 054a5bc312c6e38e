// Package embedded is a small real coordinator: the other side of GitLab's runner API, version 4, for the demo, for
// `millwright exec` and for end-to-end tests.
//
// It serves, over real HTTP, job requests with long polling and the two-phase commit, traces, updates, artifacts, and a folder's
// content as a git repository. It runs pipelines that package ciyaml has read, and single jobs that tests enqueue. It is as strict
// as GitLab with what reaches it, keeps a list of what a runner did against the rules (Server.Violations), and fails on demand
// (Server.Fail).
//
// State is behind one mutex, held for lines and never while anything blocks: an HTTP server's many short requests are the one place
// where a lock reads better than a loop. Two goroutines belong to the server: one gives events to their receiver in order, one
// drops jobs that no runner speaks for any more. Close ends both.
//
// Source: GitLab's runner API as the runner and Rails implement it.
package embedded
