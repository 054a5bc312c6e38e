// Package drivers carries the example driver inside the binary, for `millwright driver new`.
package drivers

import "embed"

// Example is the driver that others are made of, in the folder fakecloud.
//
//go:embed fakecloud/*.go
var Example embed.FS
