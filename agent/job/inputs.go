package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

var inputExpression = regexp.MustCompile(`\$\{\{\s*job\.inputs\.([A-Za-z0-9_-]+)\s*\}\}`)

// interpolate replaces ${{ job.inputs.NAME }} in the places of the payload where GitLab allows it. It changes job, but
// none of the slices that it came with: who else holds the payload does not see it. An unknown or a sensitive input is an error.
// Source: GitLab's documentation, "CI/CD inputs", and the runner API's field inputs.
func interpolate(job *coordinator.Job) error {
	in := inputs{values: map[string]coordinator.Input{}}
	for _, one := range job.Inputs {
		in.values[one.Key] = one
	}
	steps := append([]coordinator.Step(nil), job.Steps...)
	for i := range steps {
		if steps[i].Name == "script" || steps[i].Name == "after_script" {
			steps[i].Script = in.list(steps[i].Script)
		}
	}
	job.Steps = steps
	if job.Image != nil {
		image := *job.Image
		in.image(&image)
		job.Image = &image
	}
	services := append([]coordinator.Image(nil), job.Services...)
	for i := range services {
		in.image(&services[i])
	}
	job.Services = services
	artifacts := append([]coordinator.Artifact(nil), job.Artifacts...)
	for i := range artifacts {
		a := &artifacts[i]
		a.Name, a.When, a.ExpireIn = in.text(a.Name), in.text(a.When), in.text(a.ExpireIn)
		a.Paths, a.Exclude = in.list(a.Paths), in.list(a.Exclude)
	}
	job.Artifacts = artifacts
	caches := append([]coordinator.Cache(nil), job.Cache...)
	for i := range caches {
		c := &caches[i]
		c.Key, c.Policy, c.When = in.text(c.Key), in.text(c.Policy), in.text(c.When)
		c.Paths, c.FallbackKeys = in.list(c.Paths), in.list(c.FallbackKeys)
	}
	job.Cache = caches
	return errors.Join(in.errs...)
}

// inputs are a job's inputs, and what went wrong with them.
type inputs struct {
	values map[string]coordinator.Input
	errs   []error
}

func (in *inputs) image(image *coordinator.Image) {
	image.Name = in.text(image.Name)
	image.Command, image.Entrypoint, image.PullPolicy = in.list(image.Command), in.list(image.Entrypoint), in.list(image.PullPolicy)
	if len(image.ExecutorOpts) > 0 {
		image.ExecutorOpts = json.RawMessage(in.text(string(image.ExecutorOpts)))
	}
}

func (in *inputs) list(texts []string) []string {
	if texts == nil {
		return nil
	}
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = in.text(t)
	}
	return out
}

func (in *inputs) text(text string) string {
	if !strings.Contains(text, "${{") {
		return text
	}
	return inputExpression.ReplaceAllStringFunc(text, func(match string) string {
		name := inputExpression.FindStringSubmatch(match)[1]
		input, ok := in.values[name]
		switch {
		case !ok:
			in.errs = append(in.errs, fmt.Errorf("%w %q", errUnknownInput, name))
		case input.Value.Sensitive:
			in.errs = append(in.errs, fmt.Errorf("%w %q can't be used here", errSensitiveInput, name))
		default:
			return inputText(input.Value.Content)
		}
		return match
	})
}

var (
	errUnknownInput   = errors.New("unknown input")
	errSensitiveInput = errors.New("sensitive input")
)

// inputFailure names what went wrong in one word: unknown or sensitive; "" is nothing.
func inputFailure(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errUnknownInput):
		return "unknown"
	}
	return "sensitive"
}

// inputText is a JSON value as text: strings without their quotes, all else as JSON.
func inputText(content json.RawMessage) string {
	var s string
	if json.Unmarshal(content, &s) == nil {
		return s
	}
	return string(content)
}
