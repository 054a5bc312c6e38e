//go:build !unix

package dropin

// private accepts every file: who can write one is a matter of access control lists here, which nobody checks.
func private(string) error { return nil }
