package migrate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/agent/driver/machinefile"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Exporter gives machines to a store of docker-machine's.
type Exporter struct {
	Store   string // docker-machine's storage path
	Journal *journal.Journal
	Drivers []string // the machines of these alone; none is all
	// Reveal returns a machine's options with the values of secrets.
	Reveal func(fleet.Machine) (abi.Options, error)
}

// Plan says of each machine of the agent's what would become of it, in order of names. It changes nothing.
func (e *Exporter) Plan(context.Context) ([]Row, error) {
	machines, problems, err := e.Journal.Load()
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, m := range machines {
		if len(e.Drivers) == 0 || slices.Contains(e.Drivers, m.Driver) {
			rows = append(rows, e.row(m))
		}
	}
	for _, p := range problems {
		rows = append(rows, Row{Name: p.Machine, Why: p.Err.Error()})
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Name, b.Name) })
	return rows, nil
}

func (e *Exporter) row(m fleet.Machine) Row {
	runner, _, _ := strings.Cut(m.Runner, "/")
	row := Row{Name: m.Name, Runner: runner, Driver: m.Driver, State: string(m.State), Address: m.Instance.Address, Created: m.CreatedAt}
	var err error
	switch m.State {
	case fleet.Idle, fleet.Acquired:
	case fleet.Used:
		err = fmt.Errorf("%w: job %d runs on it; a next run of the agent, and of this after it, has it free", ErrBusy, m.JobID)
	case fleet.Creating:
		err = errors.New("it is half made; the agent removes it when it starts, and `millwright machine rm` does now")
	default:
		err = errors.New("it is being removed; `millwright machine rm` ends that now")
	}
	if err == nil && fileExists(e.dir(m.Name)) {
		err = fmt.Errorf("%s is there already", e.dir(m.Name))
	}
	var config object
	if err == nil {
		config, err = e.config(m)
	}
	if err != nil {
		row.Why = err.Error()
		return row
	}
	row.Take, row.Why = true, "is docker-machine's"
	row.do = func(context.Context) error { return e.give(m.Name, config) }
	return row
}

func (e *Exporter) dir(name string) string { return filepath.Join(e.Store, "machines", name) }

// coming is where a machine's folder is written, hidden from docker-machine. It says by whom.
func (e *Exporter) coming(name string) string {
	return filepath.Join(e.Store, "machines", comingPrefix+e.Journal.Owner()+"-"+name)
}

// config is the machine's config.json in docker-machine's store.
func (e *Exporter) config(m fleet.Machine) (object, error) {
	config, err := e.Journal.Config(e.Store, m)
	if err != nil {
		return nil, err
	}
	driver, _ := config["Driver"].(object) // Config always has one
	plugins, err := e.isPlugins(m.Name)
	if err != nil {
		return nil, err
	}
	if plugins {
		moveDriver(driver, e.Store, e.Journal.Folder(m.Name), e.dir(m.Name))
	} else {
		own, err := e.native(m)
		if err != nil {
			return nil, err
		}
		maps.Copy(driver, own)
	}
	if e.otherCA(m.Name) {
		e.ownCertificates(config, m.Name)
	}
	return config, nil
}

// isPlugins tells whether one of docker-machine's plug-ins made the machine: then Config has the driver's part.
func (e *Exporter) isPlugins(name string) (bool, error) {
	data, err := os.ReadFile(filepath.Join(e.Journal.Folder(name), machinefile.File))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var record struct {
		Config object `json:"config"`
	}
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	return record.Config != nil, err
}

// native is the driver's part for a machine that a driver of ours made.
func (e *Exporter) native(m fleet.Machine) (object, error) {
	write, ok := native[m.Driver]
	if !ok {
		return nil, fmt.Errorf("docker-machine has no driver %s; it has %s", m.Driver, strings.Join(nativeDrivers(), ", "))
	}
	revealed, err := e.Reveal(m)
	if err != nil {
		return nil, err
	}
	return write(m, options{m.Driver, revealed})
}

// otherCA tells whether docker-machine's store has another CA than the one that signed the machine's certificate.
func (e *Exporter) otherCA(name string) bool {
	theirs, err := os.ReadFile(filepath.Join(e.Store, "certs", "ca.pem"))
	if errors.Is(err, fs.ErrNotExist) { // it gets ours
		theirs, err = os.ReadFile(filepath.Join(e.Journal.Store(), "certs", "ca.pem"))
	}
	own, ownErr := os.ReadFile(filepath.Join(e.Journal.Folder(name), "ca.pem"))
	return err != nil || ownErr != nil || !bytes.Equal(theirs, own)
}

// ownCertificates has docker-machine speak to the machine with the certificates in its own folder.
func (e *Exporter) ownCertificates(config object, name string) {
	host, _ := config["HostOptions"].(object)
	auth, ok := host["AuthOptions"].(object)
	if !ok {
		return
	}
	auth["CaCertPath"] = filepath.Join(e.dir(name), "ca.pem")
	auth["ClientCertPath"] = filepath.Join(e.dir(name), "cert.pem")
	auth["ClientKeyPath"] = filepath.Join(e.dir(name), "key.pem")
}

// ours are the files of a machine's folder that docker-machine has no use for.
var ours = []string{"millwright.json", machinefile.File, configFile, "known_hosts", "host_ed25519", "host_ed25519.pub", "server-name"}

// give moves a machine into docker-machine's store: it is written there where nobody sees it, put aside here, and put in place there.
func (e *Exporter) give(name string, config object) error {
	data, err := json.MarshalIndent(config, "", "    ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(e.Store, "machines"), 0o700); err != nil {
		return err
	}
	if err := e.certificates(); err != nil {
		return err
	}
	coming := e.coming(name)
	if err := os.RemoveAll(coming); err != nil {
		return err
	}
	if err := os.Mkdir(coming, 0o700); err != nil {
		return err
	}
	err = copyFolder(e.Journal.Folder(name), coming, func(file string) bool { return !slices.Contains(ours, file) && !isLitter(file) })
	if err == nil {
		err = writeFile(filepath.Join(coming, configFile), data)
	}
	if err == nil {
		err = journal.SyncDir(coming)
	}
	if err == nil {
		err = e.Journal.Give(name)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(coming))
	}
	return rename(coming, e.dir(name))
}

// certificates gives a store that has none the agent's CA and client certificate.
func (e *Exporter) certificates() error {
	to := filepath.Join(e.Store, "certs")
	if fileExists(filepath.Join(to, "ca.pem")) {
		return nil
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"key.pem", "cert.pem", "ca-key.pem", "ca.pem"} { // the CA's last: with it the set is whole
		data, err := os.ReadFile(filepath.Join(e.Journal.Store(), "certs", name))
		if errors.Is(err, fs.ErrNotExist) { // all machines are plug-ins', and docker-machine makes its own
			return nil
		}
		if err == nil {
			err = writeFile(filepath.Join(to, name), data)
		}
		if err != nil {
			return err
		}
	}
	return journal.SyncDir(to)
}

// Recover ends what a run before had begun when it was cut off: a machine that was given is put in place, and what was written of any other one is
// removed, to be written anew. Call it before Plan when its rows are to be done.
func (e *Exporter) Recover() error {
	entries, err := os.ReadDir(filepath.Join(e.Store, "machines"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, entry := range entries {
		name, ok := strings.CutPrefix(entry.Name(), filepath.Base(e.coming("")))
		switch {
		case !ok || !machineName.MatchString(name):
		case fileExists(e.Journal.Folder(name)):
			errs = append(errs, os.RemoveAll(e.coming(name)))
		default:
			errs = append(errs, rename(e.coming(name), e.dir(name)))
		}
	}
	return errors.Join(errs...)
}
