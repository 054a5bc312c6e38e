package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// cloudMark stands for the fake cloud's address in an option.
const cloudMark = "{cloud}"

func (a *app) driverTest() *cobra.Command {
	c := &cobra.Command{
		Use: "test FILE [--option NAME=VALUE ...]", Short: "Hold a driver to the contract of drivers", Args: oneArg("a .wasm file"),
		Long: "Looks at what a driver says of itself and of its options, then makes, lists and removes machines with it and holds it to the\n" +
			"contract of drivers: one machine however often it is asked for, nothing of others touched, every failure with its kind.\n" +
			"Of a driver of groups it has the group that the options name grow and shrink, which must be empty.\n\n" +
			"--option is as in MachineOptions. " + cloudMark + " in a value is the address of a small cloud that the command starts for the time of\n" +
			"the test, and that then fails in all the ways that clouds do. Without it the driver is tested against the provider that the\n" +
			"options name: the machines that it makes there are real, and are removed at the end.\n\n" +
			"The driver may reach what its options name. With --config it gets instead what the millwright.toml beside that config.toml grants it\n" +
			"by [grants.NAME], NAME being the file's: hostnames, the credentials that its requests are signed with, ca_file of a private endpoint.",
	}
	list := c.Flags().StringArray("option", nil, "NAME=VALUE, as in MachineOptions; may be repeated")
	invalid := c.Flags().StringArray("invalid", nil, "NAME=VALUE over the options, which create must refuse; may be repeated")
	path := c.Flags().StringP("config", "c", "", "a config.toml, whose millwright.toml grants the driver what it may do (default: what the options name)")
	settle := c.Flags().Duration("settle", time.Minute, "how long the provider may take to show what was done")
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt) // what was made is removed all the same
		defer stop()
		t := &driverTrial{a: a, settle: *settle}
		defer t.end()
		if err := t.start(args[0], *path, *list, *invalid); err != nil {
			return err
		}
		return t.run(ctx)
	}
	return c
}

// rowFormat is a row of the table: result, time, check, and what there is to say of it.
const rowFormat = "%-7v  %8v  %s%s\n"

// driverTrial is one run of driver test.
type driverTrial struct {
	a      *app
	settle time.Duration
	host   *module.Host
	cloud  *fakecloud.Cloud // nil when no option asks for it
	source module.Source
	grants *trialGrants    // nil: what the options name
	ear    *drivertest.Ear // at what the driver logs

	list, invalid []string // NAME=VALUE
	failed        int
}

func (t *driverTrial) start(path, configPath string, list, invalid []string) (err error) {
	t.source.Name = path
	if t.source.Wasm, err = os.ReadFile(path); err != nil {
		return err
	}
	t.ear = drivertest.NewEar(t.a.quietLogger().Handler())
	if t.host, err = module.NewHost(module.Options{Logger: slog.New(t.ear)}); err != nil {
		return err
	}
	if configPath != "" {
		if t.grants, err = t.a.trialGrants(t.host, configPath, path); err != nil {
			return err
		}
	}
	if strings.Contains(strings.Join(append(list, invalid...), "\n"), cloudMark) {
		// Machines boot while the test looks, and a list of a few has pages.
		settings := fakecloud.Settings{BootMS: 300, PageSize: 2}
		if t.cloud, err = fakecloud.Start(fakecloud.Options{Settings: settings}); err != nil {
			return err
		}
	}
	for _, o := range list {
		t.list = append(t.list, t.mention(o))
	}
	for _, o := range invalid {
		t.invalid = append(t.invalid, t.mention(o))
	}
	return nil
}

func (t *driverTrial) mention(option string) string {
	if t.cloud == nil {
		return option
	}
	return strings.ReplaceAll(option, cloudMark, t.cloud.URL())
}

func (t *driverTrial) end() {
	if t.cloud != nil {
		t.cloud.Close()
	}
	if t.grants != nil {
		t.grants.end()
	}
	if t.host != nil {
		t.host.Close(context.Background())
	}
}

// run prints a table of the checks. Its error is errSilent when one failed.
func (t *driverTrial) run(ctx context.Context) error {
	m, err := t.host.Load(ctx, t.source) // with nothing granted
	if err != nil {
		return err
	}
	if err := wantKind(m, abi.KindDriver); err != nil {
		return err
	}
	d := m.Describe()
	options, err := readOptions(d, t.list)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.a.out, rowFormat, "RESULT", "TIME", "CHECK", "")
	for _, f := range wasm.Examine(ctx, m, options) {
		t.row(f.Check, f.Problems, "", f.Detail, f.Took)
	}
	if err := t.suite(ctx, d, options); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return errors.New("interrupted; the machines that the test made are removed")
	}
	if t.failed > 0 {
		fmt.Fprintf(t.a.out, "%d checks failed\n", t.failed)
		return errSilent
	}
	return nil
}

// suite runs the suite of the driver's contract, with what is granted.
func (t *driverTrial) suite(ctx context.Context, d abi.Describe, options abi.Options) error {
	if err := t.grant(d, options); err != nil {
		return err
	}
	m, err := t.host.Load(ctx, t.source)
	if err != nil {
		return err
	}
	driver, err := wasm.New(m)
	if err != nil {
		return err
	}
	if driver.IsGroup() {
		return t.groupSuite(ctx, driver, options)
	}
	subject := drivertest.Subject{Driver: driver, Options: options, Settle: t.settle, Heard: t.ear.Heard}
	if t.grants != nil {
		subject.Secrets = t.grants.secrets
	}
	if len(t.invalid) > 0 {
		if subject.Invalid, err = readOptions(d, append(t.list, t.invalid...)); err != nil {
			return err
		}
	}
	if t.cloud != nil {
		subject.Leftovers = t.leftovers
		subject.Inject = func(f drivertest.Fault) error { return t.cloud.Fail(string(f)) }
		subject.Faults = []drivertest.Fault{drivertest.LostRemove, drivertest.HalfMade, drivertest.Junk, drivertest.Silent}
		subject.Says = drivertest.Sayings(fakecloud.Says)
		subject.Put = func(name string, s abi.Status) error { return t.cloud.Put(name, string(s)) }
		subject.States = []abi.Status{abi.StatusStopped, abi.StatusInterrupted, abi.StatusGone}
		subject.Calls = t.cloud.Calls
	}
	began := time.Now()
	if _, err := driver.List(ctx, abi.ListRequest{Owner: abi.Owner{ID: "examination00000"}, Options: options}); err != nil {
		t.row("the provider answers", []string{err.Error(), "nothing else is tried"}, "", "", time.Since(began))
		return nil
	}
	drivertest.Examine(ctx, func() drivertest.Subject { return subject }, func(o drivertest.Outcome) {
		t.row(o.Check, o.Problems, o.Skipped, "", o.Took)
	})
	return nil
}

// groupSuite runs the suite of groups on the group that the options name, which must be empty.
func (t *driverTrial) groupSuite(ctx context.Context, d *wasm.Driver, options abi.Options) error {
	g := wasm.NewGroup(wasm.GroupOptions{
		Name: d.Describe().Name, Owner: abi.Owner{ID: "examination00000", Runner: "examination"}, Log: t.a.quietLogger(),
		Connector: func() config.Connector { return config.Connector{} },
		Use: func(context.Context) (wasm.Serving, error) {
			return wasm.Serving{Driver: d, Options: options, Done: func() {}}, nil
		},
	})
	began := time.Now()
	_, err := g.Info(ctx)
	all, listErr := g.List(ctx)
	if err = cmp.Or(err, listErr); err == nil && len(all) > 0 {
		err = fmt.Errorf("the group has %d instances, which the test would remove; name one that is empty", len(all))
	}
	if err != nil {
		t.row("the group answers and is empty", []string{err.Error(), "nothing else is tried"}, "", "", time.Since(began))
		return nil
	}
	drivertest.ExamineGroup(ctx, func() drivertest.GroupSubject { return drivertest.GroupSubject{Group: g, Settle: t.settle} }, func(o drivertest.Outcome) {
		t.row(o.Check, o.Problems, o.Skipped, "", o.Took)
	})
	return nil
}

// grant grants the driver what it may reach and sign with.
func (t *driverTrial) grant(d abi.Describe, options abi.Options) error {
	if t.grants == nil {
		return wasm.Grant(&t.source, d, options)
	}
	cloud := ""
	if t.cloud != nil {
		cloud = t.cloud.URL()
	}
	t.grants.give(&t.source, cloud)
	return nil
}

// row prints what became of a check, and below it what is wrong.
func (t *driverTrial) row(check string, problems []string, skipped, detail string, took time.Duration) {
	result := "ok"
	switch {
	case len(problems) > 0:
		result = "FAIL"
		t.failed++
	case skipped != "":
		result, detail = "skipped", skipped
	}
	fmt.Fprintf(t.a.out, rowFormat, result, took.Round(time.Millisecond), check, because(detail))
	for _, p := range problems {
		fmt.Fprintf(t.a.out, rowFormat, "", "", "  ", p)
	}
}

// readOptions reads options as MachineOptions are read, without the environment.
func readOptions(d abi.Describe, list []string) (abi.Options, error) {
	options, problems := wasm.ParseOptions(d, list, nil)
	var errs []error
	for _, p := range problems {
		errs = append(errs, fmt.Errorf("--option %s: %s", cmp.Or(p.Option, "?"), p.Message))
	}
	return options, errors.Join(errs...)
}

// leftovers are the machines that bear an owner's id in a tag, whatever the driver calls that.
func (t *driverTrial) leftovers(owner abi.Owner) (left []string) {
	for _, i := range t.cloud.Summary().Live {
		for _, value := range i.Tags {
			if value == owner.ID {
				left = append(left, "machine "+i.Name)
			}
		}
	}
	return left
}
