package embedded

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

var dotEnvName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parseDotEnv reads lines NAME=value. With lenient, empty lines and those that begin with # are passed over. An error never holds a
// value: the file may be one of secrets.
func parseDotEnv(text string, lenient bool) ([][2]string, error) {
	var out [][2]string
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" && (lenient || text == "") || lenient && strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || !dotEnvName.MatchString(name) {
			return nil, fmt.Errorf("line %d is not NAME=value", i+1)
		}
		out = append(out, [2]string{name, strings.TrimSpace(value)})
	}
	return out, nil
}

// ParseSecrets reads a file of secrets: lines NAME=value; empty lines and those that begin with # are passed over. The variables are
// as Secret makes them.
func ParseSecrets(text string) ([]coordinator.Variable, error) {
	pairs, err := parseDotEnv(text, true)
	if err != nil {
		return nil, err
	}
	var out []coordinator.Variable
	for _, p := range pairs {
		out = append(out, Secret(p[0], p[1]))
	}
	return out, nil
}
