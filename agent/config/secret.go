package config

import "log/slog"

const redacted = "[redacted]"

// Secret is a string that never shows itself: it prints as [redacted] in %v, %#v, JSON and slog.
type Secret string

// Reveal returns the value. Call it only where the value leaves for the party that it belongs to.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalJSON hides the value.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(s.GoString()), nil }

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
