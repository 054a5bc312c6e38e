package config

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Every flag of an entry that `register --help` of GitLab Runner 17.5 has is here, with its variable; those of the executors that are not
// served (kubernetes, parallels, virtualbox) are left out.
func TestFlagsOfRegister(t *testing.T) {
	fields := map[string]Field{}
	for _, f := range Fields() {
		fields[f.Flag] = f
	}
	data, err := os.ReadFile("testdata/register-flags.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		flag, variable, _ := strings.Cut(strings.TrimSpace(line), " ")
		f, ok := fields[flag]
		if !ok {
			t.Errorf("--%s is missing", flag)
		} else if variable != "" && !slices.Contains(f.Env, variable) {
			t.Errorf("--%s has the variables %v, not %s", flag, f.Env, variable)
		}
		n++
	}
	if n < 140 {
		t.Errorf("%d flags only", n)
	}
}
