package legacy

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Facts are what a plug-in says of a machine that docker-machine made with it.
type Facts struct {
	State   string // docker-machine's word, such as Running
	Running bool

	// What follows is known of machines that run.
	Address    string
	SSHPort    int
	SSHUser    string
	SSHKey     string // path of the private key; "" is the user's own
	EnginePort int
}

// Ask has the plug-in say how a machine is that docker-machine made. config is the driver's part of its config.json. It changes nothing, and
// takes as long as one look at a state may at most.
func (d *Driver) Ask(ctx context.Context, name string, config json.RawMessage) (Facts, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.opts.InspectLimit, fmt.Errorf("no answer within %s", d.opts.InspectLimit))
	defer cancel()
	r := record{Config: config, Secrets: secretsIn(config)}
	s, err := d.session(ctx, name, r)
	if err != nil {
		return Facts{}, fmt.Errorf("driver %s: %w", d.opts.Name, err)
	}
	defer s.close()
	state, err := get[int](ctx, s, "GetState")
	if err == nil && state == stateRunning {
		err = r.connection(ctx, s)
	}
	if err != nil {
		return Facts{}, fmt.Errorf("driver %s: %w", d.opts.Name, err)
	}
	return Facts{
		State: stateWord(state), Running: state == stateRunning,
		Address: r.Address, SSHPort: r.SSHPort, SSHUser: r.SSHUser, SSHKey: r.SSHKey, EnginePort: r.EnginePort,
	}, nil
}

// Adopted returns what is to be in the machine's folder, in the file machinefile.File, of a machine that docker-machine made with the plug-in, and
// its instance: with that it is this driver's. config is the driver's part of its config.json, with paths of the store that it is in now.
func Adopted(driver, owner string, config json.RawMessage, f Facts, created time.Time) ([]byte, abi.Instance, error) {
	r := record{
		Driver: driver, Owner: owner, ID: idPrefix + strings.ToLower(rand.Text())[:16], Phase: phaseMade,
		CreatedAt: created.UTC().Format(time.RFC3339), Config: config, Secrets: secretsIn(config),
		Address: f.Address, SSHPort: f.SSHPort, SSHUser: f.SSHUser, SSHKey: f.SSHKey, EnginePort: f.EnginePort,
	}
	var base struct{ MachineName string }
	if err := json.Unmarshal(config, &base); err != nil {
		return nil, abi.Instance{}, err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	return append(data, '\n'), r.instance(base.MachineName, sighting{status: abi.StatusRunning}), err
}

// secretField is which fields of a driver's configuration are taken to hold secrets.
var secretField = regexp.MustCompile(`(?i)token|password|passwd|secret|credential|accesskey`)

// secretsIn returns the secrets in a driver's configuration, longest first, so that one within another hides nothing of it.
func secretsIn(config json.RawMessage) []string {
	var fields map[string]any
	if json.Unmarshal(config, &fields) != nil {
		return nil
	}
	var secrets []string
	for name, value := range fields {
		if text, ok := value.(string); ok && len(text) >= 4 && secretField.MatchString(name) {
			secrets = append(secrets, text)
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return secrets
}
