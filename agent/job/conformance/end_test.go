package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// endRows are about secrets and inputs, and an agent that is told to stop.
func endRows() []row {
	vault := script([]string{`echo "<${DB_PASSWORD-unset}>"`})
	vault.Secrets = map[string]json.RawMessage{"DB_PASSWORD": json.RawMessage(`{"vault":{"server":{"url":"https://vault.example.test","auth":{"name":"jwt","path":"jwt","data":{"jwt":"$VAULT_ID_TOKEN","role":"ci"}}},
		"engine":{"name":"kv-v2","path":"ops"},"path":"db","field":"password"},"file":false}`)}
	const named = "WARNING: Secret DB_PASSWORD: this version of Millwright resolves no secrets of stores; the variable stays unset"
	known := script([]string{`test "$DB_PASSWORD" = 'pa$C$$' && echo "<$DB_PASSWORD>"`}) // what a secret becomes, wherever it comes from
	known.Variables = coordinator.Variables{{Key: "DB_PASSWORD", Value: "pa$C$$", Masked: true, Raw: true}}
	here := known
	here.Secrets = vault.Secrets
	return []row{
		{n: 98, name: "a secret of a store", payload: vault, want: []string{"Resolving secrets", named, "ERROR: Job failed: secrets can't be resolved: DB_PASSWORD"}, not: []string{"Preparing the"}, reason: coordinator.ConfigurationError},
		{n: 98, name: "a secret that may be missing", payload: with(vault, "FF_SECRET_RESOLVING_FAILS_IF_MISSING", "false"), want: []string{"Resolving secrets", named, "\n<unset>\n", "Job succeeded"}},
		{n: 98, name: "a secret of a store that is known", payload: here, want: []string{"Resolving secrets", "Secret DB_PASSWORD: taken from the variable of that name; vault is not asked", "\n<[MASKED]>\n", "Job succeeded"}, not: []string{"pa$C$$"}},
		{n: 98, name: "a secret that is known", payload: known, want: []string{"\n<[MASKED]>\n", "Job succeeded"}, not: []string{"pa$C$$"}},
		{n: 99, name: "inputs", payload: inputs("go test -race=${{ job.inputs.race }}"), want: []string{"$ echo go test -race=true"}},
		{n: 99, name: "unknown input", payload: inputs("${{ job.inputs.other }}"), want: []string{`unknown input "other"`}, not: []string{"Preparing the"}, reason: coordinator.ConfigurationError},
		{n: 100, name: "the job is told to stop", run: interrupted},
		{n: 100, name: "SIGTERM to the agent", run: terminated},
	}
}

func inputs(line string) coordinator.Job {
	j := script([]string{"echo " + line})
	in := coordinator.Input{Key: "race"}
	in.Value.Type, in.Value.Content = "boolean", []byte("true")
	j.Inputs = []coordinator.Input{in}
	return j
}

func interrupted(t *testing.T, b *jobtest.Bench) {
	ctx, stop := context.WithCancelCause(t.Context())
	url := b.Signal(t, func() { stop(errors.New("terminated")) })
	e := b.Run(t, ctx, script([]string{jobtest.Ticking(url)}, "echo after ran"), nil)
	jobtest.CheckTrace(t, e, []string{"tick", "ERROR: Job failed: aborted: terminated"}, []string{"after ran"})
	jobtest.CheckEnd(t, e, coordinator.RunnerInterrupted, 0)
}

// terminated runs an agent as a process of its own and ends it as an operating system does.
func terminated(t *testing.T, b *jobtest.Bench) {
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, fmt.Appendf(nil, agentConfig, b.Runner.URL, b.Runner.Token.Reveal(), b.Image), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	agent := exec.Command(os.Args[0], "run", "--config", file, "--state-dir", t.TempDir())
	agent.Env = append(os.Environ(), actAsAgent+"=1", "MILLWRIGHT_HELPER_DIR="+b.HelperDir(), "RUNTIME_DIRECTORY="+t.TempDir(), "LOG_FORMAT=text", "LOG_LEVEL=")
	agent.Stdout, agent.Stderr = &out, &out
	running := make(chan struct{}, 1)
	payload := script([]string{jobtest.Ticking(b.Signal(t, func() { running <- struct{}{} }))}, "echo after ran")
	payload.Image = &coordinator.Image{Name: b.Image}
	id := b.Server.Enqueue(payload)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = agent.Process.Kill() // it has ended where all went well
		_ = agent.Wait()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	select {
	case <-running:
	case <-ctx.Done():
		t.Fatal("the job does not run")
	}
	if err := agent.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	result, err := b.Server.WaitJob(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Wait(); err != nil {
		t.Logf("the agent: %v", err)
	}
	raw, err := b.Server.Trace(id)
	if err != nil {
		t.Fatal(err)
	}
	e := jobtest.Ended{Coordinator: result, Trace: jobtest.Plain(string(raw))}
	jobtest.CheckTrace(t, e, []string{"tick", "ERROR: Job failed: aborted: terminated"}, []string{"after ran"})
	if result.State != "failed" || result.FailureReason != coordinator.RunnerInterrupted {
		t.Errorf("the coordinator has %s %s; the agent said:\n%s", result.State, result.FailureReason, out.String())
	}
}

const agentConfig = `concurrent = 1
check_interval = 1
[[runners]]
  name = "conformance"
  url = %q
  token = %q
  executor = "docker"
  [runners.docker]
    image = %q
    pull_policy = "never"
    wait_for_services_timeout = -1
`
