// Package faults holds the tests of what jobs do when the coordinator, the engine or a machine fails them: a coordinator that goes wrong
// gets every byte of a job's output all the same, and a job whose engine fails ends in the right reason, soon, with a trace that says what
// happened and what to do. All parts are real: engines of the tests' own are restarted, silenced, filled up and removed.
package faults
