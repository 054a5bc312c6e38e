package migrate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/driver/legacy"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Plugin is docker-machine's plug-in of one driver; *legacy.Driver is one.
type Plugin interface {
	Ask(ctx context.Context, name string, config json.RawMessage) (legacy.Facts, error)
}

// Runner is a docker+machine runner of config.toml, whose machines may be taken over.
type Runner struct {
	Key        string // under which its machines are journalled
	Name       string
	ShortToken string // which begins its machines' names
	Driver     string
	MaxBuilds  int
	Options    abi.Options // of its machines; %s in a value is the machine's name
	Err        error       // why there are no options
}

// Importer takes machines over from a store of docker-machine's.
type Importer struct {
	Store   string // docker-machine's storage path
	Journal *journal.Journal
	Runners []Runner
	Only    string // the name of a runner: its machines alone, and those whose name tells no runner; "" is all
	Drain   bool   // they get no jobs: the agent removes them

	Plugin func(driver string) Plugin
	// Jobs tells which jobs run on an engine; provision.Jobs.
	Jobs func(context.Context, fleet.Endpoint) ([]string, error)
}

// Row is a machine with what becomes of it.
type Row struct {
	Name    string    `json:"name"`
	Runner  string    `json:"runner,omitempty"`
	Driver  string    `json:"driver,omitempty"`
	State   string    `json:"state,omitempty"` // docker-machine's word, or ours
	Address string    `json:"address,omitempty"`
	Created time.Time `json:"created_at,omitzero"`
	Take    bool      `json:"take"`
	Why     string    `json:"why"` // what is done with it, or why not

	do func(ctx context.Context) error
}

// Do does what the row says.
func (r Row) Do(ctx context.Context) error {
	if r.do == nil {
		return fmt.Errorf("machine %s: %s", r.Name, r.Why)
	}
	if err := r.do(ctx); err != nil {
		return fmt.Errorf("machine %s: %w", r.Name, err)
	}
	return nil
}

// ErrBusy means that a job runs on the machine.
var ErrBusy = errors.New("busy")

// askParallel is how many machines are looked at at once.
const askParallel = 4

// Plan looks at each machine of the store and says what would become of it, in order of names. It changes nothing.
func (i *Importer) Plan(ctx context.Context) ([]Row, error) {
	if i.Only != "" && !slices.ContainsFunc(i.Runners, func(r Runner) bool { return r.Name == i.Only }) {
		return nil, fmt.Errorf("there is no docker+machine runner %q in the configuration", i.Only)
	}
	ours, err := os.Stat(i.Journal.Store())
	if err != nil {
		return nil, err
	}
	if theirs, err := os.Stat(i.Store); err == nil && os.SameFile(ours, theirs) {
		return nil, fmt.Errorf("%s is the state directory's own store", i.Store)
	}
	machines, err := list(i.Store)
	if err != nil {
		return nil, err
	}
	var rows []Row
	names, err := i.cutOff()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		rows = append(rows, Row{Name: name, Why: "was being taken over when a run was cut off; --yes ends that"})
	}
	given, err := i.Journal.Given()
	if err != nil {
		return nil, err
	}
	looked := make([]Row, len(machines))
	var group errgroup.Group
	group.SetLimit(askParallel)
	for n, f := range machines {
		group.Go(func() error {
			looked[n] = i.row(ctx, f, given)
			return nil
		})
	}
	_ = group.Wait() // each row has its error
	rows = append(rows, looked...)
	rows = slices.DeleteFunc(rows, func(r Row) bool { return i.Only != "" && r.Runner != "" && r.Runner != i.Only })
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Name, b.Name) })
	return rows, ctx.Err()
}

// aside is where a machine's folder is put while it is taken over, hidden from docker-machine. It says by whom.
func (i *Importer) aside(name string) string {
	return filepath.Join(i.Store, "machines", asidePrefix+i.Journal.Owner()+"-"+name)
}

// cutOff returns the names of the machines that a run before had put aside when it was cut off.
func (i *Importer) cutOff() (names []string, err error) {
	entries, err := os.ReadDir(filepath.Join(i.Store, "machines"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("docker-machine's store: %w; run as the user of gitlab-runner, or as root", err)
	}
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), filepath.Base(i.aside(""))); ok && e.IsDir() && machineName.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// Recover ends what a run before had begun when it was cut off: a machine that is in the agent's store is taken over, and any other one is put back
// where it was, to be looked at anew. Call it before Plan when its rows are to be done.
func (i *Importer) Recover() error {
	names, err := i.cutOff()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if fileExists(i.Journal.Folder(name)) {
			errs = append(errs, os.RemoveAll(i.aside(name)))
			continue
		}
		errs = append(errs, rename(i.aside(name), filepath.Join(i.Store, "machines", name)), i.Journal.Unstage(name))
	}
	return errors.Join(errs...)
}

// row judges one machine.
func (i *Importer) row(ctx context.Context, f found, given []fleet.Machine) Row {
	row := Row{Name: f.name, Driver: f.driver, Address: f.base.IPAddress, Created: f.created}
	runner, err := i.runnerOf(f)
	row.Runner = runner.Name
	if f.err != nil {
		err = f.err
	}
	if err == nil && fileExists(i.Journal.Folder(f.name)) {
		err = errors.New("the state directory has a machine of that name")
	}
	if err == nil && runner.Driver != f.driver && !i.Drain {
		err = fmt.Errorf("the runner's MachineDriver is %s, so that it would be removed; --drain takes it over for that", runner.Driver)
	}
	if err == nil {
		err = runner.Err
	}
	var facts legacy.Facts
	if err == nil {
		facts, err = i.ask(ctx, &row, f)
	}
	if err != nil {
		row.Why = err.Error()
		return row
	}
	row.Take, row.Why = true, "serves jobs of the runner"
	if i.Drain {
		row.Why = "is removed by the agent"
	}
	c := candidate{f, runner, facts}
	row.do = func(ctx context.Context) error { return i.take(ctx, c) }
	if n := slices.IndexFunc(given, func(m fleet.Machine) bool { return m.Name == f.name }); n >= 0 {
		row.Why = "comes back: it was exported; " + row.Why
		row.do = func(ctx context.Context) error { return i.takeBack(ctx, c, given[n]) }
	}
	return row
}

// ask has the machine's plug-in and its engine tell how it is.
func (i *Importer) ask(ctx context.Context, row *Row, f found) (legacy.Facts, error) {
	facts, err := i.Plugin(f.driver).Ask(ctx, f.name, f.raw)
	if errors.Is(err, legacy.ErrNone) {
		return facts, fmt.Errorf("%w, and no docker-machine that has it; put it there, since what made a machine removes it", err)
	}
	if err != nil {
		return facts, err
	}
	row.State = facts.State
	if !facts.Running {
		return facts, fmt.Errorf("docker-machine says %s; `docker-machine rm %s` if it is gone", cmp.Or(facts.State, "nothing"), f.name)
	}
	row.Address = facts.Address
	return facts, i.idle(ctx, f.dir, facts)
}

// idle is an error when a job runs on the machine, or when that can't be known. dir has the certificates.
func (i *Importer) idle(ctx context.Context, dir string, facts legacy.Facts) error {
	jobs, err := i.Jobs(ctx, endpoint(facts, i.certDir(dir)))
	switch {
	case err != nil:
		return fmt.Errorf("whether a job runs on it can't be known: %w", err)
	case len(jobs) > 0:
		return fmt.Errorf("%w: job %s of gitlab-runner runs on it", ErrBusy, strings.Join(jobs, ", "))
	}
	return nil
}

// runnerOf finds the runner by the machine's name, as gitlab-runner does.
func (i *Importer) runnerOf(f found) (Runner, error) {
	var best Runner
	for _, r := range i.Runners {
		prefix := "runner-" + strings.ToLower(r.ShortToken) + "-"
		if r.ShortToken == "" || !strings.HasPrefix(strings.ToLower(f.name), prefix) {
			continue
		}
		if best.Key == "" || r.Driver == f.driver && best.Driver != f.driver {
			best = r
		}
	}
	switch {
	case best.Key != "":
		return best, nil
	case i.Only == "":
		return Runner{}, errors.New("its name is of none of the configuration's runners; --runner NAME gives it to one")
	}
	for _, r := range i.Runners {
		if r.Name == i.Only {
			return r, nil
		}
	}
	return Runner{}, errors.New("no such runner") // Plan has looked
}
