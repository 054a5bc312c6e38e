package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"strings"
)

// ModuleFile is NAME.toml beside a dropped-in NAME.wasm: what a deployer of modules may say. It grants nothing.
type ModuleFile struct {
	// Runners are the names of the runners that a policy is for, with * and ? as in file names; none means all.
	Runners  []string `toml:"runners"`
	Position int      `toml:"position"` // place in the chain; 0 takes what the module describes
	// Mode is empty, or shadow: the policy is asked and its proposal shown, and nothing comes of it.
	Mode         string         `toml:"mode"`
	Required     bool           `toml:"required"` // its failure stops growth instead of being skipped
	SHA256       string         `toml:"sha256"`   // of NAME.wasm, in hex; another file is refused
	ObserveEvery Duration       `toml:"observe_every"`
	Config       map[string]any `toml:"config"` // the module's own configuration
}

// ModeShadow is the mode of a policy that is tried out.
const ModeShadow = "shadow"

var sha256Pattern = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// ParseModuleFile reads the content of a NAME.toml; path only names it. It lists everything that is wrong with it.
func ParseModuleFile(file string, data []byte) (ModuleFile, []Diagnostic) {
	d := newDecoder(file)
	root, err := parseTree(data)
	if err != nil {
		var syntax *syntaxError
		errors.As(err, &syntax)
		return ModuleFile{}, []Diagnostic{{Severity: SeverityError, File: file, Line: syntax.line, Runner: -1, Message: "not TOML: " + syntax.msg}}
	}
	var m ModuleFile
	d.structure(reflect.ValueOf(&m).Elem(), root, "")
	for i := range d.diagnostics { // so far they are unknown keys; "requird" must not be taken for nothing
		if w := &d.diagnostics[i]; w.Severity == SeverityWarning {
			w.Severity, w.Message = SeverityError, strings.Replace(w.Message, ", ignored", "", 1)
		}
	}
	for _, pattern := range m.Runners {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			d.bad("", "runners", "%q is no pattern; write a runner's name, with * for any letters", pattern)
		}
	}
	if m.Mode != "" && m.Mode != ModeShadow {
		d.bad("", "mode", "%q is not known; write \"shadow\", or leave it out", m.Mode)
	}
	if m.SHA256 != "" && !sha256Pattern.MatchString(m.SHA256) {
		d.bad("", "sha256", "this is no SHA-256; write its 64 hexadecimal digits, as sha256sum prints them")
	}
	if m.Position < 0 {
		d.bad("", "position", "%d is negative; use 1 or more, or leave it out", m.Position)
	}
	if m.ObserveEvery < 0 {
		d.bad("", "observe_every", "is negative; write a time such as \"30s\"")
	}
	sortByLine(d.diagnostics)
	return m, d.diagnostics
}

// ConfigJSON is the module's own configuration as the module gets it; nil when there is none.
func (m ModuleFile) ConfigJSON() ([]byte, error) {
	if len(m.Config) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(m.Config)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return data, nil
}
