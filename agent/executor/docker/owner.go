package docker

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/millwright-ci/millwright/agent/executor"
)

var ownerForm = regexp.MustCompile(`^\d+:\d+$`)

// owner asks the build image which user its containers run as: the name that is configured is known to the image alone.
func (e *Executor) owner(ctx context.Context) (string, error) {
	host, err := hostConfig(e.o.Config, buildRole, e.image.Name, false)
	if err != nil {
		return "", err
	}
	user, _ := e.user() // checked before
	id, err := e.create(ctx, &container.Config{
		Image:      e.build.ref,
		Entrypoint: []string{"sh", "-c"},
		Cmd:        []string{"echo $(id -u):$(id -g)"},
		User:       user,
		Labels:     e.o.Name.labels(string(buildRole), e.own),
	}, host, e.base+"-owner", e.image.Platform)
	if err != nil {
		return "", err
	}
	var out, complaint bytes.Buffer
	st := &stageRun{e: e, id: id, stdout: &out, stderr: &complaint, grace: time.Second}
	err = st.run(ctx)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	owner := strings.TrimSpace(out.String())
	if err != nil || !ownerForm.MatchString(owner) {
		return "", executor.Errorf(executor.Configuration, "image %s: FF_DISABLE_UMASK_FOR_DOCKER_EXECUTOR asks its program id for the user, which said %q; set the flag to false",
			e.image.Name, clip(strings.TrimSpace(out.String()+complaint.String())))
	}
	return owner, nil
}
