package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// unsupportedCode is the exit code of a job that asks for what the runner does not know.
const unsupportedCode = 3

func unsupported(format string, args ...any) error {
	return &failure{reason: coordinator.RunnerSystemFailure, code: unsupportedCode, err: fmt.Errorf(format, args...)}
}

// executorOpts is the part of executor_opts that is known. Its fields for other executors are checked and not used.
type executorOpts struct {
	Docker struct {
		Platform string   `json:"platform"`
		User     userName `json:"user"`
	} `json:"docker"`
	Kubernetes struct {
		User userName `json:"user"`
	} `json:"kubernetes"`
}

// userName is a user's name or number.
type userName string

// UnmarshalJSON takes a string or a number.
func (u *userName) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if text != "null" {
		*u = userName(text)
	}
	return nil
}

// readOpts decodes executor_opts strictly: a key that is not known means that the job wants something that it would not get.
func readOpts(raw coordinator.ExecutorOpts) (executorOpts, error) {
	var o executorOpts
	if len(raw) == 0 {
		return o, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		return o, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return o, nil
}

// checkPayload refuses what can't be done before anything is done.
func (r *run) checkPayload() error {
	job := r.p.Job
	if len(job.Inputs) > 0 && r.flags["FF_ENABLE_JOB_INPUTS_INTERPOLATION"] {
		err := interpolate(job)
		if r.p.OnInputs != nil {
			r.p.OnInputs(inputFailure(err))
		}
		if err != nil {
			return configurationError("job inputs: %w", err)
		}
	}
	if job.Image != nil {
		if _, err := readOpts(job.Image.ExecutorOpts); err != nil {
			return unsupported("unsupported executor_opts of image %s: %w", job.Image.Name, err)
		}
	}
	for _, s := range job.Services {
		if _, err := readOpts(s.ExecutorOpts); err != nil {
			return unsupported("unsupported executor_opts of service %s: %w", s.Name, err)
		}
	}
	return r.checkRun()
}

// checkRun turns a job of CI steps into one that hands them to the image's step runner.
func (r *run) checkRun() error {
	job := r.p.Job
	if job.Run == "" {
		return nil
	}
	if slices.ContainsFunc(job.Steps, func(s coordinator.Step) bool { return s.Name != "run" && len(s.Script) > 0 }) {
		return unsupported("the job has both run and script; keep one")
	}
	if slices.ContainsFunc(job.Variables, func(v coordinator.Variable) bool { return v.Key == "STEPS" }) {
		return unsupported("the job has run and a variable STEPS, which run needs for itself; rename the variable")
	}
	job.Steps = []coordinator.Step{{Name: "run", Script: []string{"step-runner ci"}}}
	return nil
}
