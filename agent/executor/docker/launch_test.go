package docker_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/executor/packed"
)

// Where millwright-init is not, as with GitLab's helper image, scripts run without it, and see nothing of it.
func TestWithoutInit(t *testing.T) {
	t.Parallel()
	j := start(t, func(o *docker.Options) {
		o.Init = docker.Init{Path: "/builds/it's not there/.millwright-init", Word: "\x1eword"}
	})
	stdout, stderr, err := j.script(t.Context(), executor.Build, "env; echo err >&2; exit 3")
	var exit *executor.ExitError
	if !errors.As(err, &exit) || exit.Code != 3 || stderr != "err\n" || !strings.Contains(stdout, "PATH=") || strings.Contains(stdout, packed.WordVariable) || strings.Contains(stdout, "millwright_init") {
		t.Errorf("%q, %q, %v", stdout, stderr, err)
	}
}
