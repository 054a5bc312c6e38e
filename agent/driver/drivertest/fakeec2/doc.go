// Package fakeec2 is Amazon EC2 for tests: moto, a well-known model of it, behind a front of our own that holds every request against the
// description of the API in AWS's SDK for Go, records it, and makes things go wrong on demand.
//
// What moto lacks the front adds: client tokens, dry runs, refusals for want of a right, spot notices.
package fakeec2
