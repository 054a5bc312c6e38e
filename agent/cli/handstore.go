package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/millwright-ci/millwright/agent/dockermachine"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/supervisor"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// handStore is where the commands of docker-machine's find their machines: the store of a state directory for `millwright machine`, and
// docker-machine's own place by that name.
type handStore struct {
	app    *app
	byName bool // docker-machine

	path, caCert, caKey, clientCert, clientKey string
	debug                                      bool
}

// flags adds docker-machine's global flags to the command that holds the others. Those that mean nothing here are taken all the same:
// gitlab-runner gives one with every call.
func (h *handStore) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	where := "the machine store (MACHINE_STORAGE_PATH)"
	fallback := os.Getenv("MACHINE_STORAGE_PATH")
	if !h.byName {
		where, fallback = "another machine store than the state directory's, such as docker-machine's", ""
	}
	f.StringVarP(&h.path, "storage-path", "s", fallback, where)
	f.StringVar(&h.caCert, "tls-ca-cert", os.Getenv("MACHINE_TLS_CA_CERT"), "certificate of the CA of new machines (MACHINE_TLS_CA_CERT)")
	f.StringVar(&h.caKey, "tls-ca-key", os.Getenv("MACHINE_TLS_CA_KEY"), "its private key (MACHINE_TLS_CA_KEY)")
	f.StringVar(&h.clientCert, "tls-client-cert", os.Getenv("MACHINE_TLS_CLIENT_CERT"), "client certificate towards engines (MACHINE_TLS_CLIENT_CERT)")
	f.StringVar(&h.clientKey, "tls-client-key", os.Getenv("MACHINE_TLS_CLIENT_KEY"), "its private key (MACHINE_TLS_CLIENT_KEY)")
	if !h.byName {
		return
	}
	f.BoolVarP(&h.debug, "debug", "D", false, "show all that happens (MACHINE_DEBUG)")
	for _, name := range []string{"github-api-token", "bugsnag-api-token"} {
		f.String(name, "", "accepted and ignored")
	}
	f.Bool("native-ssh", false, "accepted and ignored: the SSH client is always our own")
}

// errDebug is what MACHINE_DEBUG holds when it is no bool.
var errDebug = errors.New("MACHINE_DEBUG is neither true nor false")

// verbose tells whether all that happens is to be shown.
func (h *handStore) verbose() (bool, error) {
	text := os.Getenv("MACHINE_DEBUG")
	if h.debug || text == "" {
		return h.debug, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, errDebug
	}
	return on, nil
}

// root returns the store, and the state directory that it belongs to; "" when it is none's.
func (h *handStore) root(c *cobra.Command) (store, stateDir string, err error) {
	store = h.path
	if f := c.Flags().Lookup("state-dir"); store == "" && f != nil {
		return filepath.Join(f.Value.String(), "store"), f.Value.String(), nil
	}
	if store == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", "", err
		}
		store = filepath.Join(home, ".docker", "machine")
	}
	if store, err = filepath.Abs(store); err != nil {
		return "", "", err
	}
	parent := filepath.Dir(store)
	if _, err := os.Stat(filepath.Join(parent, "owner")); err == nil && filepath.Base(store) == "store" {
		stateDir = parent
	}
	return store, stateDir, nil
}

// with opens the store for one command.
func (h *handStore) with(c *cobra.Command, do func(*dockermachine.Machines) error) (err error) {
	verbose, err := h.verbose()
	if err != nil {
		return err
	}
	root, stateDir, err := h.root(c)
	if err != nil {
		return err
	}
	store, err := journal.OpenHand(root)
	if err != nil {
		return err
	}
	o := dockermachine.Options{
		Store: store, Command: "millwright machine", Line: h.app.line, In: os.Stdin, Out: h.app.out, Err: h.app.err, Log: h.app.quietLogger(),
		Certs: dockermachine.CertFiles{CACert: h.caCert, CAKey: h.caKey, ClientCert: h.clientCert, ClientKey: h.clientKey},
	}
	if verbose {
		o.Debug = h.app.err
	}
	if stateDir != "" {
		o.Agent = agentSide{h.app, c.Flag("config"), stateDir}
	}
	drivers := &handDrivers{app: h.app, store: store, stateDir: stateDir, config: defaultConfig()}
	if f := c.Flag("config"); f != nil {
		drivers.config = f.Value.String()
	}
	o.Drivers = func() (dockermachine.Drivers, error) { return drivers.open(c.Context()) }
	defer func() { err = errors.Join(err, drivers.close()) }()
	switch f, ok := h.app.out.(*os.File); {
	case h.byName:
		o.Command, o.Words = dockerMachineName, dockermachine.DockerMachine(h.app.out)
	case ok && term.IsTerminal(int(f.Fd())):
		live := dockermachine.Live(h.app.out)
		defer live.Close()
		o.Words = live
	}
	return do(dockermachine.New(o))
}

// handDrivers are the drivers for one command, opened when it needs them.
type handDrivers struct {
	app      *app
	store    *journal.Hand
	stateDir string
	config   string
	*supervisor.HandDrivers
}

func (d *handDrivers) open(ctx context.Context) (*handDrivers, error) {
	cache := filepath.Join(d.stateDir, supervisor.ModuleCache)
	if d.stateDir == "" {
		cache = filepath.Join(d.store.Root(), "cache", supervisor.ModuleCache)
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		cache = "" // whoever may only look at the store waits a little longer
	}
	log := d.app.quietLogger()
	made, err := supervisor.OpenHandDrivers(d.store.Root(), existing(cache), log)
	if err != nil {
		return nil, err
	}
	d.HandDrivers = made
	if _, err := os.Stat(filepath.Dir(d.config)); err != nil {
		return d, nil // there is no millwright.toml, and no folder
	}
	return d, made.UseFolder(ctx, d.app.operator(d.config, log), log)
}

func (d *handDrivers) close() error {
	if d.HandDrivers == nil {
		return nil
	}
	return d.HandDrivers.Close(context.Background())
}

// Read implements dockermachine.Drivers.
func (d *handDrivers) Read(ctx context.Context, name string, list []string) (abi.Options, dockermachine.Secrets, []abi.Problem, error) {
	options, secrets, written, problems, err := d.HandDrivers.Read(ctx, name, list)
	return options, dockermachine.Secrets{Values: secrets, Written: written}, problems, err
}

// For implements dockermachine.Drivers.
func (d *handDrivers) For(name string, s dockermachine.Secrets) driver.Driver {
	return d.HandDrivers.For(name, s.Values, s.Written)
}

// Logs implements dockermachine.Drivers.
func (d *handDrivers) Logs(ctx context.Context, m fleet.Machine, owner abi.Owner, s dockermachine.Secrets) (string, error) {
	d.For(m.Driver, s)
	return d.HandDrivers.Logs(ctx, m, owner)
}

// Switch implements dockermachine.Drivers.
func (d *handDrivers) Switch(ctx context.Context, op string, m fleet.Machine, owner abi.Owner, s dockermachine.Secrets) error {
	d.For(m.Driver, s)
	return d.HandDrivers.Switch(ctx, op, m, owner)
}
