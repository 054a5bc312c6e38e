package module

// Inspect is inspect, for the fuzz test.
func Inspect(wasm []byte) { _, _ = inspect(wasm) }
