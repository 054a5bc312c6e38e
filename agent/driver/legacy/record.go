package legacy

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// phase is how far a machine is.
type phase string

const (
	phaseAsked    phase = "asked"    // nothing was made yet
	phaseCreating phase = "creating" // the plug-in makes it, or did when its agent died
	phaseMade     phase = "made"
	phaseFailed   phase = "failed" // something of it may be there
)

// record is what is kept of a machine.
type record struct {
	Driver    string          `json:"driver"`
	Owner     string          `json:"owner"`
	ID        string          `json:"id"` // ours: plug-ins have none that all understand
	Phase     phase           `json:"phase"`
	CreatedAt string          `json:"created_at"`
	Config    json.RawMessage `json:"config"`            // the plug-in's own, with its secrets
	Secrets   []string        `json:"secrets,omitempty"` // values of options that no log may show
	Error     *abi.Error      `json:"error,omitempty"`

	Address    string `json:"address,omitempty"`
	SSHPort    int    `json:"ssh_port,omitempty"`
	SSHUser    string `json:"ssh_user,omitempty"`
	SSHKey     string `json:"ssh_key,omitempty"` // path of the key that logs in; "" is the user's own
	EnginePort int    `json:"engine_port,omitempty"`
}

// instance is the record in the host's terms, with the status that was seen last.
func (r record) instance(name string, seen sighting) abi.Instance {
	i := abi.Instance{
		Name: name, ID: r.ID, CreatedAt: r.CreatedAt, Address: r.Address, SSHPort: r.SSHPort, SSHUser: r.SSHUser, EnginePort: r.EnginePort,
	}
	switch r.Phase {
	case phaseMade:
		i.Status, i.Message = seen.status, seen.message
	case phaseFailed:
		i.Status, i.Error, i.Message = abi.StatusGone, r.Error, r.Error.Message
	default:
		i.Status = abi.StatusCreating
	}
	return i
}

// connection asks the plug-in how its machine is reached.
func (r *record) connection(ctx context.Context, s *session) (err error) {
	if r.Address, err = get[string](ctx, s, "GetSSHHostname"); err != nil || r.Address == "" {
		if r.Address, err = get[string](ctx, s, "GetIP"); err != nil {
			return err
		}
	}
	if host, _, err := net.SplitHostPort(r.Address); err == nil { // the driver none has the engine's port with it
		r.Address = host
	}
	if r.Address == "" {
		return errors.New("the plug-in says that the machine runs, and has no address for it")
	}
	if r.SSHPort, err = get[int](ctx, s, "GetSSHPort"); err != nil {
		return err
	}
	if r.SSHUser, err = get[string](ctx, s, "GetSSHUsername"); err != nil {
		return err
	}
	if r.SSHKey, err = get[string](ctx, s, "GetSSHKeyPath"); err != nil {
		return err
	}
	if link, err := get[string](ctx, s, "GetURL"); err == nil { // some have none before there is an engine
		if u, err := url.Parse(link); err == nil {
			r.EnginePort, _ = strconv.Atoi(u.Port()) // 0 is the usual one
		}
	}
	return nil
}

// keep takes the plug-in's configuration over, if it is one.
func (r *record) keep(ctx context.Context, s *session) error {
	config, err := get[[]byte](ctx, s, "GetConfigRaw")
	switch {
	case err != nil:
		return err
	case !json.Valid(config) || !strings.HasPrefix(strings.TrimSpace(string(config)), "{"):
		return errors.New("GetConfigRaw: the plug-in's answer makes no sense: it is no JSON object")
	}
	r.Config = config
	return nil
}
