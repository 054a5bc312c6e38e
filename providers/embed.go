// Package providers embeds the built-in drivers, compiled to Wasm and compressed by `task guests`. One folder below it holds the
// source of each.
package providers

import "embed"

// Dist holds NAME.wasm.gz for each built-in driver, and nothing but a README when the guests have not been built.
//
//go:embed dist
var Dist embed.FS
