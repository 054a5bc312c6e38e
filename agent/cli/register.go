package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// registering is one run of register.
type registering struct {
	app      *app
	path     string
	fields   *fieldFlags
	template string
	old      config.Secret // the registration token
	leave    bool
	server   coordinator.Registration
	told     []string // flags of server that were given
	asker    *asker
	entry    *config.Entry
}

// serverFlags give what GitLab holds of a runner; they count only with a registration token.
var serverFlags = map[string]string{
	"tag-list": "RUNNER_TAG_LIST", "run-untagged": "REGISTER_RUN_UNTAGGED", "locked": "REGISTER_LOCKED", "access-level": "REGISTER_ACCESS_LEVEL",
	"maximum-timeout": "REGISTER_MAXIMUM_TIMEOUT", "paused": "REGISTER_PAUSED", "maintenance-note": "REGISTER_MAINTENANCE_NOTE",
}

// otherFlags are those of register that name how it goes about it.
var otherFlags = map[string]string{
	"registration-token": "REGISTRATION_TOKEN", "template-config": "TEMPLATE_CONFIG_FILE", "non-interactive": "REGISTER_NON_INTERACTIVE",
	"leave-runner": "REGISTER_LEAVE_RUNNER",
}

func (a *app) registerCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "register", Short: "Add a runner to config.toml", Args: noArgs,
		Long: "Adds a runner to config.toml. With the authentication token of a runner that was created in GitLab (glrt-...) it is verified; with\n" +
			"a registration token it is registered first. What flags, variables and the template leave open is asked for.\n\n" +
			"Every key of a [[runners]] entry has a flag and a variable; a template gives the rest.",
		Example: "  millwright register --non-interactive --url https://gitlab.example.com --token glrt-... --executor docker+machine \\\n" +
			"    --docker-image alpine --machine-machine-driver google --machine-machine-name auto-%s",
	}
	r := &registering{app: a}
	f := c.Flags()
	path := configFlag(c)
	r.fields = addFieldFlags(f)
	old := f.StringP("registration-token", "r", "", "the registration token of an instance, group or project; GitLab 20.0 takes none any more (REGISTRATION_TOKEN)")
	f.StringVar(&r.template, "template-config", "", "a file with one [[runners]] entry, whose keys count where nothing else says otherwise (TEMPLATE_CONFIG_FILE)")
	silent := f.BoolP("non-interactive", "n", false, "ask nothing (REGISTER_NON_INTERACTIVE)")
	f.BoolVar(&r.leave, "leave-runner", false, "leave the runner registered when it can't be written (REGISTER_LEAVE_RUNNER)")
	f.StringVar(&r.server.Tags, "tag-list", "", "tags, separated by commas (RUNNER_TAG_LIST)")
	f.BoolVar(&r.server.RunUntagged, "run-untagged", false, "run jobs without tags; the default without tags (REGISTER_RUN_UNTAGGED)")
	f.BoolVar(&r.server.Locked, "locked", true, "lock to the project (REGISTER_LOCKED)")
	f.StringVar(&r.server.AccessLevel, "access-level", "", "not_protected or ref_protected (REGISTER_ACCESS_LEVEL)")
	f.IntVar(&r.server.MaximumTimeout, "maximum-timeout", 0, "longest time of a job, in seconds, 600 at least (REGISTER_MAXIMUM_TIMEOUT)")
	f.BoolVar(&r.server.Paused, "paused", false, "begin paused (REGISTER_PAUSED)")
	f.StringVar(&r.server.MaintenanceNote, "maintenance-note", "", "a note for other maintainers, up to 1024 characters (REGISTER_MAINTENANCE_NOTE)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := r.environ(c.Flags()); err != nil {
			return &usageError{c.CommandPath(), err}
		}
		entry, err := r.fields.entry(r.template)
		if err != nil {
			return &usageError{c.CommandPath(), err}
		}
		r.path, r.old, r.entry = *path, config.Secret(*old), entry
		r.asker = newAsker(os.Stdin, a.out, *silent)
		return r.run(c.Context())
	}
	return c
}

// environ takes the variables of the flags that are not given, and notes which of the server's are.
func (r *registering) environ(flags *pflag.FlagSet) error {
	for _, names := range []map[string]string{serverFlags, otherFlags} {
		for name, variable := range names {
			f := flags.Lookup(name)
			if value := os.Getenv(variable); value != "" && !f.Changed {
				if err := flags.Set(name, value); err != nil {
					return fmt.Errorf("%s: %w", variable, err)
				}
			}
			if _, ours := serverFlags[name]; ours && f.Changed {
				r.told = append(r.told, "--"+name)
			}
		}
	}
	slices.Sort(r.told)
	return nil
}

func (r *registering) run(ctx context.Context) error {
	w, err := config.OpenWriter(ctx, r.path) // before anything is registered that could not be written
	if err != nil {
		return err
	}
	w.Close() // others may write while we ask
	token, created, err := r.askFirst()
	if err != nil {
		return err
	}
	if err := r.askRest(created); err != nil {
		return err
	}
	runner, err := r.check(token)
	if err != nil {
		return err
	}
	list, err := r.app.loadAccounts(r.path)
	if err != nil {
		return err
	}
	if created {
		return r.verify(ctx, list, runner, token)
	}
	return r.register(ctx, list, runner)
}

// askFirst asks for URL and token. created tells that the token is a runner's own, not one to register with.
func (r *registering) askFirst() (token config.Secret, created bool, err error) {
	url, err := r.asker.ask("Enter the GitLab instance URL (for example, https://gitlab.com/)", r.entry.Text("url"), "--url or CI_SERVER_URL", false)
	if err != nil {
		return "", false, err
	}
	r.entry.Set("url", url)
	if own := r.entry.Text("token"); own != "" {
		if len(r.told) > 0 && config.Created(config.Secret(own)) {
			return "", false, fmt.Errorf("%s can't be given with an authentication token: GitLab holds what such a runner is, so set it there, or by GitLab's API",
				strings.Join(r.told, ", "))
		}
		return config.Secret(own), true, nil
	}
	token = r.old
	if token == "" {
		answer, err := r.asker.ask("Enter the registration token", "", "--token or CI_SERVER_TOKEN", false)
		if err != nil {
			return "", false, err
		}
		token = config.Secret(answer)
	}
	if created = config.Created(token); created && len(r.told) > 0 {
		fmt.Fprintf(r.app.err, "WARNING: this is an authentication token, with which GitLab holds what the runner is: ignored are %s\n", strings.Join(r.told, ", "))
	}
	r.old = token
	return token, created, nil
}

// askRest asks for what else an entry needs.
func (r *registering) askRest(created bool) error {
	host, _ := os.Hostname()
	question := "Enter a name for the runner. This is stored only in the local config.toml file"
	if !created {
		question = "Enter a description for the runner"
	}
	name, err := r.asker.ask(question, cmp.Or(r.entry.Text("name"), host), "--name or RUNNER_NAME", false)
	if err != nil {
		return err
	}
	r.entry.Set("name", name)
	if !created {
		if r.server.Tags, err = r.asker.ask("Enter tags for the runner (comma-separated)", r.server.Tags, "--tag-list", true); err != nil {
			return err
		}
		if r.server.MaintenanceNote, err = r.asker.ask("Enter optional maintenance note for the runner", r.server.MaintenanceNote, "--maintenance-note", true); err != nil {
			return err
		}
	}
	executor, err := r.asker.choose("Enter an executor", r.entry.Text("executor"), "--executor or RUNNER_EXECUTOR", config.Executors())
	if err != nil {
		return err
	}
	r.entry.Set("executor", executor)
	return r.askExecutor(executor)
}

// check makes sure that the entry would be accepted, before the coordinator is asked for anything; doubts are told.
func (r *registering) check(token config.Secret) (config.Runner, error) {
	r.entry.Set("token", token)
	c, diagnostics := config.Options{Period: readPeriod, Cron: readCron, Executors: config.Executors()}.Parse("the new entry", []byte(r.entry.String()))
	for i := range diagnostics {
		diagnostics[i].Line = 0
		if diagnostics[i].Severity == config.SeverityWarning {
			fmt.Fprintln(r.app.err, "WARNING:", diagnostics[i])
		}
	}
	if err := everyError(diagnostics); err != nil {
		return config.Runner{}, err
	}
	return c.Runners[0], nil
}

func (r *registering) verify(ctx context.Context, list *accounts, runner config.Runner, token config.Secret) error {
	for _, other := range list.all {
		if other.Token == runner.Token && sameURL(other.URL, runner.URL) {
			fmt.Fprintln(r.app.err, "WARNING: A runner with this system ID and token has already been registered.")
		}
	}
	return list.with(runner, func(c *coordinator.Client) error {
		v, err := c.Verify(ctx)
		if err != nil {
			r.app.tell(runner, "ERROR: Verifying runner... failed")
			return fmt.Errorf("failed to verify the runner: %w", err)
		}
		r.app.tell(runner, "Verifying runner... is valid")
		return r.save(ctx, v.ID, config.Token{Value: token, ObtainedAt: granted(coordinator.Credentials{}, time.Now()).ObtainedAt, ExpiresAt: v.TokenExpiresAt})
	})
}

func (r *registering) register(ctx context.Context, list *accounts, runner config.Runner) error {
	fmt.Fprintln(r.app.err, "WARNING: Registration tokens are deprecated, and GitLab 20.0 takes none; create the runner in GitLab instead")
	r.server.Description = runner.Name
	if !slices.Contains(r.told, "--run-untagged") {
		r.server.RunUntagged = r.server.Tags == ""
	}
	var got coordinator.Credentials
	err := list.with(runner, func(c *coordinator.Client) (err error) {
		got, err = c.Register(ctx, r.server)
		return err
	})
	if err != nil {
		r.app.tell(runner, "ERROR: Registering runner... failed")
		return fmt.Errorf("failed to register the runner: %w", err)
	}
	runner.Token = got.Token
	r.app.tell(runner, "Registering runner... succeeded")
	err = r.save(ctx, got.ID, granted(got, time.Now()))
	if err != nil && !r.leave {
		err = errors.Join(err, list.with(runner, func(c *coordinator.Client) error { return c.Unregister(context.WithoutCancel(ctx)) }))
	}
	return err
}

// save writes the entry.
func (r *registering) save(ctx context.Context, id int64, token config.Token) error {
	r.entry.Set("id", id)
	r.entry.Set("token", token.Value)
	r.entry.Set("token_obtained_at", token.ObtainedAt)
	r.entry.Set("token_expires_at", token.ExpiresAt)
	w, err := config.OpenWriter(ctx, r.path)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Update(func(d *config.Document) error { return d.AddRunner(r.entry) }); err != nil {
		return err
	}
	fmt.Fprintln(r.app.err, "Runner registered successfully. Feel free to start it, but if it's running already the config should be automatically reloaded!")
	path, err := filepath.Abs(r.path)
	fmt.Fprintf(r.app.err, "Configuration (with the authentication token) was saved in %q\n", path)
	return err
}
