package docker_test

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/docker"
)

// A directory of the builds volume is emptied while no container runs, with all that a script left in it, and nothing beside it.
func TestEmpty(t *testing.T) {
	t.Run("by the agent, where it may", func(t *testing.T) { testEmpty(t, nil) })
	t.Run("by the engine", func(t *testing.T) {
		testEmpty(t, func(o *docker.Options) { o.Config.Tmpfs = map[string]string{"/scratch": ""} })
	})
}

func testEmpty(t *testing.T, change func(*docker.Options)) {
	t.Parallel()
	j := start(t, change)
	const dir = "/builds/group/project.tmp"
	if err := j.Empty(t.Context(), dir); err == nil {
		t.Error("emptied below a directory that is not there")
	}
	for _, step := range []struct{ name, script string }{
		{"filled", "mkdir -p " + dir + "/deep/er /builds/group/project; cd " + dir + "; echo secret >F; chmod 400 F; echo token >deep/er/.conf; ln -s ../project back; echo kept >../project/f"},
		{"a link in its place", "rm -rf " + dir + "; ln -s project " + dir},
		{"not there", "rm -rf " + dir},
	} {
		if _, errs, err := j.script(t.Context(), executor.Helper, step.script); err != nil {
			t.Fatalf("%s: %v: %s", step.name, err, errs)
		}
		if err := j.Empty(t.Context(), dir); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		const look = "cd /builds/group; ls -A; echo /; ls -A project.tmp; echo /; ls -A project; stat -c %a project.tmp"
		if got, errs, err := j.script(t.Context(), executor.Build, look); err != nil || got != "project\nproject.tmp\n/\n/\nf\n777\n" {
			t.Errorf("%s: %q, %q, %v", step.name, got, errs, err)
		}
	}
}
