package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/incumbent"
	"github.com/millwright-ci/millwright/agent/migrate"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// mover is an import or an export.
type mover interface {
	Recover() error
	Plan(context.Context) ([]migrate.Row, error)
}

// move is one call of import or export.
type move struct {
	app                         *app
	configPath, stateDir, store string
	yes, json                   bool
	verb                        string                                                   // taken over, given
	pick                        func(*supervisor.Offline, *config.Config) (mover, error) // nil configuration: there is none
}

func (a *app) machineImport() *cobra.Command {
	c := &cobra.Command{
		Use: "import", Short: "Take over machines of a docker-machine store", Args: noArgs,
		Long: "Takes over the machines that gitlab-runner made with docker-machine: they serve the jobs of the runners of config.toml that they were\n" +
			"made for, and are removed by docker-machine's drivers, so docker-machine must stay installed until they are gone. A machine that a job\n" +
			"runs on is left alone. No agent may run on the state directory. It only prints what it would do, unless --yes is given; it may be\n" +
			"called again at any time.",
		Example: "  millwright machine import\n  millwright machine import --yes\n  millwright machine import --runner build --drain --yes",
	}
	m := a.moveFlags(c, "taken over")
	runner := c.Flags().String("runner", "", "the machines of this runner alone, and those whose names tell no runner")
	drain := c.Flags().Bool("drain", false, "give them no jobs: the agent removes them when it starts")
	m.pick = func(store *supervisor.Offline, cfg *config.Config) (mover, error) {
		if cfg == nil {
			return nil, errors.New("machines are taken over for the runners of config.toml; name it with --config")
		}
		i := store.Importer(cfg, m.store)
		i.Only, i.Drain = *runner, *drain
		if pids := incumbent.Running(); len(pids) > 0 {
			fmt.Fprintf(a.err, "millwright: gitlab-runner runs (process %s): have it stop first (SIGQUIT lets its jobs end), or it makes new machines in the place of those that it misses\n", strings.Trim(fmt.Sprint(pids), "[]"))
		}
		return i, nil
	}
	return c
}

func (a *app) machineExport() *cobra.Command {
	c := &cobra.Command{
		Use: "export", Short: "Give machines to a docker-machine store", Args: noArgs,
		Long: "Writes machines into a docker-machine store, where docker-machine and gitlab-runner find them, as far as docker-machine has their\n" +
			"driver. Those that run a job are left alone. No agent may run on the state directory. The machines are the agent's no more; `millwright\n" +
			"machine import` takes them back. It only prints what it would do, unless --yes is given; it may be called again at any time.",
		Example: "  millwright machine export\n  millwright machine export --driver google --storage-path /root/.docker/machine --yes",
	}
	m := a.moveFlags(c, "given to docker-machine")
	drivers := c.Flags().StringSlice("driver", nil, "the machines of this driver alone; may be repeated")
	m.pick = func(store *supervisor.Offline, cfg *config.Config) (mover, error) {
		if cfg != nil {
			store.AddSecrets(cfg)
		}
		e := store.Exporter(m.store)
		e.Drivers = *drivers
		return e, nil
	}
	return c
}

// moveFlags adds what both have, and runs them.
func (a *app) moveFlags(c *cobra.Command, verb string) *move {
	m := &move{app: a, verb: verb}
	stateDir := stateDirFlag(c)
	c.Flags().StringVarP(&m.store, "storage-path", "s", "", "docker-machine's store (MACHINE_STORAGE_PATH, else .docker/machine in the home folder)")
	c.Flags().BoolVar(&m.yes, "yes", false, "do it")
	c.Flags().BoolVar(&m.json, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if m.configPath, err = c.Flags().GetString("config"); err != nil {
			return err
		}
		m.stateDir = *stateDir
		if m.store == "" {
			m.store = incumbent.DefaultStore()
		}
		if m.store, err = filepath.Abs(m.store); err != nil {
			return fmt.Errorf("--storage-path: %w", err)
		}
		return m.run(c.Context())
	}
	return m
}

func (m *move) run(ctx context.Context) (err error) {
	store, err := supervisor.OpenOffline(m.stateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.UseFolder(ctx, m.app.operator(m.configPath, m.app.quietLogger()), m.app.quietLogger()); err != nil {
		return err
	}
	cfg, err := m.app.loadConfig(m.configPath, nil, func(config.Diagnostic) {})
	if errors.Is(err, os.ErrNotExist) {
		cfg, err = nil, nil
	}
	if err != nil {
		return err
	}
	work, err := m.pick(store, cfg)
	if err != nil {
		return err
	}
	if m.yes {
		if err := work.Recover(); err != nil {
			return err
		}
	}
	rows, err := work.Plan(ctx)
	if err != nil {
		return err
	}
	if err := m.print(rows); err != nil || !m.yes {
		return err
	}
	return m.do(ctx, rows)
}

// print shows what becomes of each machine.
func (m *move) print(rows []migrate.Row) error {
	if m.json {
		return m.app.printJSON(append([]migrate.Row{}, rows...)) // never null
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(m.app.out, "no machines")
		return err
	}
	w := tabwriter.NewWriter(m.app.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tRUNNER\tDRIVER\tSTATE\tADDRESS\tTAKE\tWHY")
	take := 0
	for _, r := range rows {
		word := "no"
		if r.Take {
			word = "yes"
			take++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, dash(r.Runner), dash(r.Driver), dash(r.State), dash(r.Address), word, r.Why)
	}
	if err := w.Flush(); err != nil || m.yes {
		return err
	}
	_, err := fmt.Fprintf(m.app.out, "%d of %d would be %s; nothing is without --yes\n", take, len(rows), m.verb)
	return err
}

// do does what the rows say, one after the other; what fails leaves the rest.
func (m *move) do(ctx context.Context, rows []migrate.Row) error {
	var errs []error
	for _, r := range rows {
		if !r.Take {
			continue
		}
		err := ctx.Err()
		if err == nil {
			err = r.Do(ctx)
		}
		if err == nil && !m.json {
			fmt.Fprintln(m.app.out, m.verb+":", r.Name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// tellOfMachines says at the start that docker-machine's store has machines of the configuration's runners. None is taken over for that.
func tellOfMachines(ctx context.Context, c *config.Config, stateDir string, log *slog.Logger) {
	store := incumbent.DefaultStore()
	if ours, err := filepath.Abs(filepath.Join(stateDir, "store")); err != nil || ours == filepath.Clean(store) {
		return
	}
	i := incumbent.New(incumbent.Options{Store: store})
	for _, r := range c.Runners {
		if r.Machine == nil {
			continue
		}
		machines, err := i.Machines(ctx, incumbent.Runner{Key: r.Key(), ShortToken: config.ShortToken(r.Token), Driver: r.Machine.MachineDriver}, nil)
		if err != nil || len(machines) == 0 {
			continue
		}
		log.Info("docker-machine's store has machines of this runner; they are left alone. `millwright machine import` shows what can be taken over",
			"runner", r.Name, "machines", len(machines), "store", store)
	}
}
