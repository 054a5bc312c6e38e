package fleeting

import (
	"fmt"
	"regexp"
	"strings"
)

// What a secret's name says, and what the name of something that only leads to one ends in.
var (
	secretName  = regexp.MustCompile(`(?i)pass|secret|token|credential|private|api_?key|access_?key|account_?key|^key$|[^a-z]key$`)
	pointerName = regexp.MustCompile(`(?i)(file|path|dir|name|url|uri|_?id|type|ttl|expiry)$`)
)

func looksSecret(name string) bool {
	return secretName.MatchString(name) && !pointerName.MatchString(name)
}

// minSecret is the shortest value that is taken out of texts: shorter ones are words like "yes".
const minSecret = 6

// secretsOf are the texts of a configuration that look secret by the name of their key. In a table of such a name all texts are.
func secretsOf(value any, secret bool) []string {
	var found []string
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			found = append(found, secretsOf(inner, secret || looksSecret(name))...)
		}
	case []map[string]any:
		for _, inner := range v {
			found = append(found, secretsOf(inner, secret)...)
		}
	case []any:
		for _, inner := range v {
			found = append(found, secretsOf(inner, secret)...)
		}
	case string:
		if secret && len(v) >= minSecret {
			found = append(found, v)
		}
	case int64, float64:
		if text := fmt.Sprint(v); secret && len(text) >= minSecret {
			found = append(found, text)
		}
	}
	return found
}

// secretsIn are the values of an environment that look secret by their name.
func secretsIn(environment []string) []string {
	var found []string
	for _, entry := range environment {
		if name, value, _ := strings.Cut(entry, "="); looksSecret(name) && len(value) >= minSecret {
			found = append(found, value)
		}
	}
	return found
}
