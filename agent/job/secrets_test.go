package job

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/trace"
)

// A secret whose value is here is taken from there; one that is not is named and fails the job, unless the flag says otherwise.
func TestResolveSecrets(t *testing.T) {
	const vault = `{"vault":{"path":"x"},"gcp_secret_manager":null,"file":false}`
	for _, tt := range []struct {
		name, secret string
		variable     coordinator.Variable
		environment  []string
		flag         string
		want         *coordinator.Variable
		fails        bool
	}{
		{name: "masked variable", secret: vault, variable: coordinator.Variable{Key: "S", Value: "pa$$ss", Masked: true, Raw: true},
			want: &coordinator.Variable{Key: "S", Value: "pa$$ss", Masked: true, Raw: true}},
		{name: "a file by default", secret: `{"azure_key_vault":{"name":"x"}}`, variable: coordinator.Variable{Key: "S", Value: "v", Masked: true},
			want: &coordinator.Variable{Key: "S", Value: "v", Masked: true, Raw: true, File: true}},
		{name: "the runner's environment", secret: vault, environment: []string{"S=from-operator"},
			want: &coordinator.Variable{Key: "S", Value: "from-operator", Masked: true, Raw: true}},
		{name: "a placeholder does not count", secret: vault, variable: coordinator.Variable{Key: "S", Value: "to be filled in"}, fails: true},
		{name: "nowhere", secret: vault, fails: true},
		{name: "nowhere, and that is fine", secret: vault, flag: "false"},
		{name: "no object", secret: `7`, fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			payload := &coordinator.Job{ID: 1, Secrets: map[string]json.RawMessage{"S": json.RawMessage(tt.secret)}}
			if tt.variable.Key != "" {
				payload.Variables = append(payload.Variables, tt.variable)
			}
			if tt.flag != "" {
				payload.Variables = append(payload.Variables, coordinator.Variable{Key: "FF_SECRET_RESOLVING_FAILS_IF_MISSING", Value: tt.flag})
			}
			r := newRun(Params{Job: payload, Runner: &config.Runner{Environment: tt.environment}, Client: &desk{}})
			tr, err := trace.New(trace.Options{Job: r.p.Job, Client: r.p.Client, Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			r.trace = tr
			err = r.resolveSecrets()
			if reason, _, _ := classify(err); (err != nil) != tt.fails || tt.fails && reason != coordinator.ConfigurationError {
				t.Errorf("got %v, want an error: %v", err, tt.fails)
			}
			last := r.vars.list[len(r.vars.list)-1]
			if tt.want != nil {
				if diff := cmp.Diff(*tt.want, last); diff != "" {
					t.Errorf("the variable (-want +got):\n%s", diff)
				}
			} else if last.Key == "S" {
				t.Errorf("the variable is %+v", last)
			}
		})
	}
}

// What a job asks for and does not get is said in its trace.
func TestUnserved(t *testing.T) {
	payload := &coordinator.Job{ID: 1, Image: &coordinator.Image{Name: "web", Ports: json.RawMessage(`[{"number":80}]`)},
		Services:  []coordinator.Image{{Name: "quiet", Ports: json.RawMessage(`[]`)}},
		Variables: coordinator.Variables{{Key: "CI_DEBUG_TRACE", Value: "true"}, {Key: "FF_CONCRETE", Value: "true"}, {Key: "FF_USE_LEGACY_BASH_EVAL", Value: "1"}}}
	r := newRun(Params{Job: payload, Runner: &config.Runner{DebugTraceDisabled: true}, Client: &desk{}})
	want := []string{
		"feature flag FF_CONCRETE has no effect in this version of Millwright",
		"CI_DEBUG_TRACE: usage is disabled on this runner",
		"the ports of web are not proxied: this runner has no web terminal and no proxy to services",
	}
	if diff := cmp.Diff(want, r.warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r.debug() {
		t.Error("the script is traced all the same")
	}
}
