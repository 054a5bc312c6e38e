// Package fakerest is what the fakes of clouds with JSON APIs share: a server that takes requests strictly, counts them, holds callers to a rate
// limit and fails on demand. What there is in a cloud is its own package's. Only tests import it.
package fakerest
