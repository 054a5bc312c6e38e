package module

// Inspect is inspect, for the fuzz test.
func Inspect(wasm []byte) { _, _ = inspect(wasm) }

// Settle does now what the host does some time after the last module was loaded.
func (h *Host) Settle() { h.settle() }
