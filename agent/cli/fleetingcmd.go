package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/fleeting/artifact"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// fleetingCommand is gitlab-runner's command of that name, with its flags and lines.
func (a *app) fleetingCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "fleeting", Short: "Install the fleeting plug-ins that config.toml names",
		Long: "Plug-ins of [runners.autoscaler] come from an OCI registry and lie in ~/.config/fleeting/plugins, or where FLEETING_PLUGIN_PATH says: the\n" +
			"same folder that gitlab-runner uses.",
	}
	group(c)
	path := c.PersistentFlags().StringP("config", "c", defaultConfig(), "the configuration file (CONFIG_FILE)")
	install := &cobra.Command{Use: "install", Short: "Install or update the plug-ins of config.toml", Args: noArgs}
	upgrade := install.Flags().Bool("upgrade", false, "also fetch newer versions that the configuration allows")
	install.RunE = func(c *cobra.Command, _ []string) error { return a.fleetingInstall(c.Context(), *path, *upgrade) }
	list := &cobra.Command{Use: "list", Short: "Show where the plug-ins of config.toml lie", Args: noArgs}
	list.RunE = func(c *cobra.Command, _ []string) error { return a.fleetingList(c.Context(), *path) }
	c.AddCommand(install, list, a.fleetingLogin())
	return c
}

// named is a plug-in that a runner names.
type named struct{ runner, plugin string }

// plugins are those that config.toml names, but for those that drivers serve.
func (a *app) plugins(ctx context.Context, path string) ([]named, error) {
	cfg, _, err := config.Options{Period: readPeriod, Cron: readCron}.Load(path)
	if err != nil {
		return nil, err
	}
	drivers, err := supervisor.OpenDrivers("")
	if err != nil {
		return nil, err
	}
	defer drivers.Close(ctx)
	var all []named
	for _, r := range cfg.Runners {
		if r.Autoscaler == nil {
			continue
		}
		if name := drivers.ServedBy(r.Autoscaler); name != "" {
			fmt.Fprintf(a.out, "runner: %s, plugin: %s, served by the driver %s\n", config.ShortToken(r.Token), r.Autoscaler.Plugin, name)
			continue
		}
		all = append(all, named{config.ShortToken(r.Token), r.Autoscaler.Plugin})
	}
	return all, nil
}

// each does one thing with each plug-in, and says where it lies or what failed. What fails with one does not keep the others.
func (a *app) each(ctx context.Context, path, failure string, do func(plugin, folder string) (string, error)) error {
	folder, err := artifact.Folder()
	if err != nil {
		return err
	}
	plugins, err := a.plugins(ctx, path)
	if err != nil {
		return err
	}
	failed := false
	for _, p := range plugins {
		where, err := do(p.plugin, folder)
		switch {
		case err != nil:
			failed = true
			fmt.Fprintf(a.err, "runner: %s, plugin: %s, %s: %v\n", p.runner, p.plugin, failure, err)
		case where != "":
			fmt.Fprintf(a.out, "runner: %s, plugin: %s, path: %s\n", p.runner, p.plugin, where)
		}
	}
	if failed {
		return errSilent
	}
	return nil
}

// fleetingInstall installs what is missing. As gitlab-runner does, it says nothing of what is there already.
func (a *app) fleetingInstall(ctx context.Context, path string, upgrade bool) error {
	return a.each(ctx, path, "install/update error", func(plugin, folder string) (string, error) {
		if _, err := artifact.Find(plugin, folder); !errors.Is(err, artifact.ErrNotInstalled) && !upgrade {
			return "", err
		}
		if _, err := artifact.Install(ctx, plugin, folder); err != nil {
			return "", err
		}
		return artifact.Find(plugin, folder)
	})
}

func (a *app) fleetingList(ctx context.Context, path string) error {
	return a.each(ctx, path, "error", artifact.Find)
}

func (a *app) fleetingLogin() *cobra.Command {
	c := &cobra.Command{
		Use: "login [server]", Short: "Keep credentials of a container registry", Args: cobra.MaximumNArgs(1),
		Long: "Tries the credentials at the registry (registry.gitlab.com, unless another is named) and keeps them where Docker does: config.json in\n" +
			"~/.docker, or in the folder that DOCKER_CONFIG names, or the credential helper that this file names.",
	}
	user := c.Flags().String("username", "", "the user")
	password := c.Flags().String("password", "", "the password or token; others on this host may see it")
	stdin := c.Flags().Bool("password-stdin", false, "take the password from stdin")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *stdin {
			read, err := io.ReadAll(io.LimitReader(c.InOrStdin(), 1<<20))
			if err != nil {
				return fmt.Errorf("reading the password from stdin: %w", err)
			}
			*password = strings.TrimSuffix(strings.TrimSuffix(string(read), "\n"), "\r")
		}
		file, err := artifact.Login(c.Context(), strings.Join(args, ""), *user, *password)
		if err != nil {
			return fmt.Errorf("login: %w", err)
		}
		fmt.Fprintln(a.out, "logged in via", file)
		return nil
	}
	return c
}
