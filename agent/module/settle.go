package module

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// codePrefix begins the names of files that have one only for a moment.
const codePrefix = ".code-"

// removeLeftCode removes what a process left that ended in that moment. One that is in it now doesn't mind.
func removeLeftCode(dir string) {
	entries, _ := os.ReadDir(dir) // what can't be read can't be used either, which is said then
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), codePrefix) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// settleAfter is how long after the last module was loaded the native code of all goes into files: not while somebody waits for them.
const settleAfter = 2 * time.Second

// settleLater makes settle run when no module has been loaded for a while.
func (h *Host) settleLater() {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.cacheDir == "" || h.isClosed:
	case h.settling == nil:
		h.settling = time.AfterFunc(settleAfter, h.settle)
	default:
		h.settling.Reset(settleAfter)
	}
}

// settle puts the native code of modules that have it in memory into files of the cache's folder; see native.toFile. A module may be in use.
func (h *Host) settle() {
	h.mu.Lock()
	code := map[*Module][]native{}
	for m := range h.modules {
		if len(m.native) > 0 && m.enter() { // it is not freed meanwhile
			code[m], m.native = m.native, nil
		}
	}
	h.mu.Unlock()
	for m, parts := range code {
		for _, n := range parts {
			if err := n.toFile(h.cacheDir); err != nil {
				m.logger.Debug("native code stays in memory", "reason", err)
			}
		}
		m.calls.Done()
	}
}
