//go:build !linux || (!amd64 && !arm64)

package module

import extism "github.com/extism/go-sdk"

// native is not to be had here: code stays where the engine puts it.
type native struct{}

func nativeCode(*extism.CompiledPlugin) []native { return nil }

func (native) toFile(string) error { return nil }
