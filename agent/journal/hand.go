package journal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	handFile      = "by-hand.json"
	handOwnerFile = "owner-by-hand"
	handLockFile  = ".lock"
	newPrefix     = ".new-" // hides a folder that is being made
)

// The kinds of error that Hand's methods return.
var (
	// ErrNoMachine means that the store has no machine of that name.
	ErrNoMachine = errors.New("there is no such machine")
	// ErrExists means that the store has one.
	ErrExists = errors.New("there is such a machine already")
)

// Hand is a machine store as people use it by hand, with docker-machine's command line. It makes and changes only machines that were made so:
// they bear an owner tag of their own and a record that an agent passes over, so that no agent takes one for its jobs, counts it, or removes it
// as an orphan, also when it works in the same store, with the same account. What else is in the store it shows.
//
// It needs no lock on the store: an agent may hold that. Each machine has a lock of its own. It is safe for concurrent use, by processes too.
type Hand struct{ root string }

// OpenHand returns the store at root, docker-machine's storage path. It changes nothing yet; the store need not exist.
func OpenHand(root string) (*Hand, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("machine store: %w", err)
	}
	return &Hand{root: root}, nil
}

// Root returns the absolute path of the store.
func (h *Hand) Root() string { return h.root }

func (h *Hand) machines() string { return filepath.Join(h.root, "machines") }

// Dir returns the folder of a machine.
func (h *Hand) Dir(name string) string { return filepath.Join(h.machines(), name) }

// Kind says whose a machine of a store is.
type Kind string

// The kinds of machine.
const (
	KindByHand  Kind = "by hand"        // made with the command line
	KindAgent   Kind = "agent"          // an agent's
	KindForeign Kind = "docker-machine" // made by docker-machine itself
)

// Entry is a machine of a store.
type Entry struct {
	Machine fleet.Machine // of a foreign one what every driver writes
	Kind    Kind
	Owner   string            // the id that it is tagged with; "" of a foreign one
	Secrets map[string]string // values of secret options, by the credential's key; of machines by hand
	Written bool              // whether the secrets were options, not found in the environment
	KeyFile string            // of a foreign one: the key that logs in
	Phase   string            // of one that is being made by hand: how far that is
	Err     error             // why the rest is not known; nil when it is
}

// handRecord is by-hand.json. It holds secrets in clear, as docker-machine's own store does: who removes the machine needs them.
type handRecord struct {
	Version int               `json:"version"`
	ReadsAs int               `json:"reads_as"`
	Owner   string            `json:"owner"`
	Driver  string            `json:"driver"`
	Options abi.Options       `json:"options,omitempty"`
	Secrets map[string]string `json:"secrets,omitempty"`
	Written bool              `json:"secrets_were_options,omitempty"`

	State     fleet.State   `json:"state"`
	Phase     string        `json:"phase,omitempty"`
	CreatedAt time.Time     `json:"created_at"`
	ReadyAt   time.Time     `json:"ready_at,omitzero"`
	SSHUser   string        `json:"ssh_user,omitempty"`
	Instance  *abi.Instance `json:"instance,omitempty"`
}

// Owner returns the id that machines made by hand are tagged with. It is made when there is none.
func (h *Hand) Owner() (string, error) {
	path := filepath.Join(h.root, handOwnerFile)
	if err := os.MkdirAll(h.machines(), 0o700); err != nil {
		return "", fmt.Errorf("machine store: %w", err)
	}
	for range 2 {
		data, err := os.ReadFile(path)
		if err == nil {
			if id := strings.TrimSpace(string(data)); ownerID.MatchString(id) {
				return id, nil
			}
			return "", fmt.Errorf("%s does not hold 16 characters of 0-9 and a-z; put back the id that tags the machines at their providers", path)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err := h.makeOwner(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("owner id: %w", err)
		}
	}
	return "", fmt.Errorf("%s vanishes when it is made", path)
}

// makeOwner writes a new id, unless somebody else is faster.
func (h *Hand) makeOwner(path string) error {
	tmp := filepath.Join(h.root, tempPrefix+rand.Text())
	if err := writeFile(tmp, []byte(newOwner()+"\n")); err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); err != nil {
		return err
	}
	return SyncDir(h.root)
}

// Names returns the names of the store's machines, in order. A store that does not exist has none.
func (h *Hand) Names() ([]string, error) {
	entries, err := os.ReadDir(h.machines())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("machine store: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Entry returns a machine. It is ErrNoMachine when there is none; one that can't be read is an entry with its Err.
func (h *Hand) Entry(name string) (Entry, error) {
	missing := fmt.Errorf("machine %s: %w", name, ErrNoMachine)
	if checkName(name) != nil {
		return Entry{}, missing
	}
	dir := h.Dir(name)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return Entry{}, missing
	}
	if data, err := os.ReadFile(filepath.Join(dir, handFile)); !errors.Is(err, fs.ErrNotExist) {
		return readHand(name, data, err), nil
	}
	if data, err := os.ReadFile(filepath.Join(dir, recordFile)); !errors.Is(err, fs.ErrNotExist) {
		e := Entry{Kind: KindAgent, Err: err, Machine: fleet.Machine{Name: name}}
		if err == nil {
			if e.Machine, e.Owner, e.Err = decodeRecord(name, data); e.Err != nil {
				e.Machine = fleet.Machine{Name: name}
			}
		}
		return e, nil
	}
	return readForeign(dir, name), nil
}

func readHand(name string, data []byte, err error) Entry {
	e := Entry{Kind: KindByHand, Machine: fleet.Machine{Name: name}}
	var r handRecord
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	switch {
	case err != nil:
	case r.Version < 1 || r.Version > schemaVersion && r.ReadsAs > schemaVersion:
		err = fmt.Errorf("version %d; this Millwright reads 1 to %d", r.Version, schemaVersion)
	case r.Driver == "" || !ownerID.MatchString(r.Owner) || !knownState(r.State):
		err = errors.New("it lacks a driver, an owner or a state")
	}
	if err != nil {
		e.Err = fmt.Errorf("%w %s: %w", ErrCorrupt, handFile, err)
		return e
	}
	e.Owner, e.Secrets, e.Written, e.Phase = r.Owner, r.Secrets, r.Written, r.Phase
	e.Machine = fleet.Machine{
		Name: name, Driver: r.Driver, Options: r.Options, State: r.State, CreatedAt: r.CreatedAt, ReadyAt: r.ReadyAt, SSHUser: r.SSHUser,
	}
	if r.Instance != nil {
		e.Machine.Instance = *r.Instance
	}
	return e
}

// readForeign reads what docker-machine writes for every driver.
func readForeign(dir, name string) Entry {
	e := Entry{Kind: KindForeign, Machine: fleet.Machine{Name: name, State: fleet.Idle}}
	var c struct {
		DriverName string
		Driver     struct {
			IPAddress  string
			SSHUser    string
			SSHPort    int
			SSHKeyPath string
			URL        string
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, configFile))
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		e.Err = fmt.Errorf("%w %s: %w", ErrCorrupt, configFile, err)
		return e
	}
	d := c.Driver
	e.Machine.Driver, e.KeyFile, e.Machine.SSHUser = c.DriverName, d.SSHKeyPath, d.SSHUser
	e.Machine.Instance = abi.Instance{Name: name, Status: abi.StatusUnknown, Address: d.IPAddress, SSHUser: d.SSHUser, SSHPort: d.SSHPort}
	return e
}

// Add writes down a new machine, before anything is asked of a provider. It is ErrExists when the name is taken.
func (h *Hand) Add(e Entry) error {
	name := e.Machine.Name
	if err := checkName(name); err != nil {
		return err
	}
	if exists(h.Dir(name)) {
		return fmt.Errorf("machine %s: %w", name, ErrExists)
	}
	// The folder appears with its record: one without would be nobody's.
	tmp := filepath.Join(h.machines(), newPrefix+name+"-"+rand.Text())
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return fmt.Errorf("machine store: %w", advise(err))
	}
	err := h.write(tmp, e)
	if err == nil {
		if err = os.Rename(tmp, h.Dir(name)); err != nil && exists(h.Dir(name)) {
			err = ErrExists
		}
	}
	if err != nil {
		os.RemoveAll(tmp)
		return fmt.Errorf("machine %s: %w", name, err)
	}
	return SyncDir(h.machines())
}

// Save writes down what has become of a machine that was made by hand. One that is gone meanwhile is ErrNoMachine.
func (h *Hand) Save(e Entry) error {
	name := e.Machine.Name
	if checkName(name) != nil || !exists(filepath.Join(h.Dir(name), handFile)) {
		return fmt.Errorf("machine %s: %w", name, ErrNoMachine)
	}
	if err := h.write(h.Dir(name), e); err != nil {
		return fmt.Errorf("machine %s: journal: %w", name, err)
	}
	return nil
}

// write writes the files of a machine into a folder.
func (h *Hand) write(dir string, e Entry) error {
	m := e.Machine
	r := handRecord{
		Version: schemaVersion, ReadsAs: schemaVersion, Owner: e.Owner, Driver: m.Driver, Options: m.Options, Secrets: e.Secrets, Written: e.Written,
		State: m.State, Phase: e.Phase, CreatedAt: m.CreatedAt, ReadyAt: m.ReadyAt, SSHUser: m.SSHUser,
	}
	if m.Instance.Name != "" || m.Instance.ID != "" {
		r.Instance = &m.Instance
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, handFile), append(data, '\n')); err != nil {
		return err
	}
	c := machineConfig(h.root, h.Dir(m.Name), m)
	if e.KeyFile != "" {
		c["Driver"].(object)["SSHKeyPath"] = e.KeyFile
	}
	return writeConfig(dir, c, func(string) {})
}

// Remove forgets a machine with all its files. One of an agent's is refused: it is the agent's to forget.
func (h *Hand) Remove(name string) error {
	e, err := h.Entry(name)
	if err != nil {
		return err
	}
	if e.Kind == KindAgent {
		return fmt.Errorf("machine %s: it is an agent's", name)
	}
	return forget(h.machines(), h.Dir(name), filepath.Join(h.machines(), removedPrefix+name), func(string) {})
}

// lockPause is between two tries to lock a machine.
const lockPause = 50 * time.Millisecond

// Lock keeps other commands from a machine that was made by hand. It waits until ctx ends, and then names who has it.
func (h *Hand) Lock(ctx context.Context, name string) (release func(), err error) {
	path := filepath.Join(h.Dir(name), handLockFile)
	for {
		if checkName(name) != nil || !exists(h.Dir(name)) {
			return nil, fmt.Errorf("machine %s: %w", name, ErrNoMachine)
		}
		f, err := takeLock(path)
		if err == nil {
			if mine, err := f.Stat(); err == nil { // the folder may have been removed, and made anew, since
				if there, err := os.Stat(path); err == nil && os.SameFile(mine, there) {
					return func() { f.Close() }, nil
				}
			}
			f.Close()
		} else if !errors.Is(err, ErrLocked) && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("machine %s: %w", name, err)
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("machine %s: another command is at it (%s); wait for its end", name, holder(path))
		}
	}
}
