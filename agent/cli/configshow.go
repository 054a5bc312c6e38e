package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
)

func (a *app) configShow() *cobra.Command {
	c := &cobra.Command{
		Use: "show", Short: "Print the configuration as it is in force, with secrets hidden", Args: noArgs,
		Long: "Prints config.toml as the agent understands it: variables expanded and defaults filled in. What may be secret is hidden, and what is\n" +
			"empty or zero left out.",
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print a list of paths and values as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := readConfig(*path)
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(cfg.Settings(rand.Text()))
		}
		_, err = fmt.Fprint(a.out, cfg.Show())
		return err
	}
	return c
}

// readConfig reads a config.toml that must be there; what is wrong with single entries doesn't matter.
func readConfig(path string) (*config.Config, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w; name the file with --config", err)
	}
	cfg, diagnostics, err := config.Options{Period: readPeriod, Cron: readCron}.Load(path)
	return cfg, errors.Join(err, config.Err(diagnostics))
}

func (a *app) configDiff() *cobra.Command {
	c := &cobra.Command{
		Use: "diff [FILE]", Short: "Tell what another file, or config.toml, would change", Args: cobra.MaximumNArgs(1),
		Long: "With FILE: tells what differs between config.toml and FILE. Without: what differs between what the running agent has in force and\n" +
			"config.toml. Secrets are compared and not shown. It exits with 1 when something differs.",
	}
	path := configFlag(c)
	stateDir := stateDirFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		salt := rand.Text()
		mine, err := readConfig(*path)
		if err != nil {
			return err
		}
		before, after := mine.Settings(salt), mine.Settings(salt)
		if len(args) == 1 {
			other, err := readConfig(args[0])
			if err != nil {
				return err
			}
			after = other.Settings(salt)
		} else if before, err = dialAgent(*stateDir).settings(c.Context(), salt); err != nil {
			return fmt.Errorf("%w; name a FILE to compare with", err)
		}
		return a.printChanges(config.Diff(before, after))
	}
	return c
}

func (c *agentClient) settings(ctx context.Context, salt string) ([]config.Setting, error) {
	var out []config.Setting
	return out, c.do(ctx, http.MethodGet, "/v1/config?salt="+url.QueryEscape(salt), &out)
}

func (a *app) printChanges(changes []config.Change) error {
	for _, c := range changes {
		note := ""
		if c.Restart {
			note = "   (at the next start)"
		}
		switch {
		case c.Before == "":
			fmt.Fprintf(a.out, "+ %s = %s%s\n", c.Path, c.After, note)
		case c.After == "":
			fmt.Fprintf(a.out, "- %s = %s%s\n", c.Path, c.Before, note)
		case c.Before == c.After:
			fmt.Fprintf(a.out, "~ %s: another secret%s\n", c.Path, note)
		default:
			fmt.Fprintf(a.out, "~ %s: %s -> %s%s\n", c.Path, c.Before, c.After, note)
		}
	}
	if len(changes) > 0 {
		return errSilent
	}
	return nil
}
