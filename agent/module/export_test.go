package module

// Inspect is inspect, for the fuzz test.
func Inspect(wasm []byte) { _, _ = inspect(wasm) }

// Settle does now what the host does some time after the last module was loaded.
func (h *Host) Settle() { h.settle() }

// Handles returns how many exports the module's waiting instances are called by directly, -1 when one of them is called through Extism.
func (m *Module) Handles() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, i := range m.idle {
		if i.exports == nil {
			return -1
		}
		n += len(i.exports)
	}
	return n
}
