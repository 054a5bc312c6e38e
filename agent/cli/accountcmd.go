package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

func (a *app) listCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List the configured runners", Args: noArgs,
		Long: "Lists the runners of config.toml. Of tokens only the short form is shown.",
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		list, err := a.loadAccounts(*path)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.err, "%-50s  ConfigFile=%s\n", "Listing configured runners", *path)
		for _, r := range list.all {
			fmt.Fprintf(a.err, "%-50s  Executor=%s Token=%s URL=%s\n", r.Name, r.Executor, config.ShortToken(r.Token), r.URL)
		}
		return nil
	}
	return c
}

func (a *app) verifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "verify", Short: "Ask the coordinators whether they know the configured runners", Args: noArgs,
		Long: "Asks each runner's coordinator whether the token is valid, and exits with 1 when one is not. A coordinator that does not\n" +
			"answer says nothing about a runner.",
	}
	path, s := configFlag(c), selectionFlags(c)
	remove := c.Flags().Bool("delete", false, "take runners that the coordinator no longer knows out of config.toml")
	c.RunE = func(c *cobra.Command, _ []string) error {
		s.given()
		list, err := a.loadAccounts(*path)
		if err != nil {
			return err
		}
		chosen := s.of(list)
		if len(chosen) == 0 && !s.empty() {
			return fmt.Errorf("no runner matches the filtering parameters in %s; `list` shows them", *path)
		}
		return a.verify(c.Context(), list, chosen, *remove)
	}
	return c
}

func (a *app) verify(ctx context.Context, list *accounts, chosen []account, remove bool) error {
	var gone []account
	for _, r := range chosen {
		err := list.with(r.Runner, func(c *coordinator.Client) error {
			_, err := c.Verify(ctx)
			return err
		})
		switch {
		case err == nil:
			a.tell(r.Runner, "Verifying runner... is valid")
		case errors.Is(err, coordinator.ErrForbidden) || errors.Is(err, coordinator.ErrOrphaned):
			a.tell(r.Runner, "ERROR: Verifying runner... is not valid")
			gone = append(gone, r)
		default:
			a.tell(r.Runner, "ERROR: Verifying runner... failed: %v", err)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if !remove {
		return errors.New("failed to verify runners; --delete takes those that are not valid out of the file")
	}
	return a.update(ctx, list.path, removing(gone))
}

func (a *app) unregisterCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "unregister", Short: "Take runners off their coordinators and out of config.toml", Args: noArgs,
		Long: "Takes a runner off its coordinator and out of config.toml. Of a runner that was made in GitLab (its token begins with glrt-)\n" +
			"only this installation is taken off.",
	}
	path, s := configFlag(c), selectionFlags(c)
	c.Flags().BoolVar(&s.every, "all-runners", false, "every runner of the file")
	c.RunE = func(c *cobra.Command, _ []string) error {
		s.given()
		list, err := a.loadAccounts(*path)
		if err != nil {
			return err
		}
		chosen := list.all
		if !s.every {
			one, err := s.unregistered(list)
			if err != nil {
				return err
			}
			chosen = []account{one}
		}
		return a.unregister(c.Context(), list, chosen)
	}
	return c
}

// unregistered is the entry to unregister; with URL and token it need not be in the file.
func (s *selection) unregistered(list *accounts) (account, error) {
	if s.empty() {
		return account{}, errors.New("name the runner with --name, or --url and --token, or say --all-runners")
	}
	one, err := s.one(list)
	if err != nil && len(s.of(list)) == 0 && s.url != "" && s.token != "" {
		r := config.Runner{Name: s.name, URL: s.url, Token: config.Secret(s.token), TLSCAFile: s.tls.CA, TLSCertFile: s.tls.Cert, TLSKeyFile: s.tls.Key}
		return account{r, r}, nil
	}
	return one, err
}

func (a *app) unregister(ctx context.Context, list *accounts, chosen []account) error {
	w, err := config.OpenWriter(ctx, list.path) // what can't be written is better known before
	if err != nil {
		return err
	}
	defer w.Close()
	var gone []account
	for _, r := range chosen {
		err := list.with(r.Runner, func(c *coordinator.Client) error {
			if config.Created(r.Token) {
				return c.UnregisterManager(ctx)
			}
			return c.Unregister(ctx)
		})
		what := "runner"
		if config.Created(r.Token) {
			what = "runner manager"
		}
		if err != nil {
			a.tell(r.Runner, "ERROR: Unregistering %s from GitLab failed: %v", what, err)
			continue
		}
		a.tell(r.Runner, "Unregistering %s from GitLab succeeded", what)
		gone = append(gone, r)
	}
	if len(gone) > 0 {
		if err := a.write(w, removing(gone)); err != nil {
			return err
		}
	}
	if failed := len(chosen) - len(gone); failed > 0 {
		return fmt.Errorf("failed to unregister %d of %d runners; they stay in the file", failed, len(chosen))
	}
	return nil
}

func (a *app) resetTokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "reset-token", Short: "Have the coordinator replace the token of runners, and keep the new one", Args: noArgs,
		Long: "Has the coordinator replace a runner's authentication token and writes the new one into config.toml. A token that the file\n" +
			"takes from the environment is left alone: the new one could not be put there.",
	}
	path, s := configFlag(c), selectionFlags(c)
	c.Flags().BoolVar(&s.every, "all-runners", false, "every runner of the file")
	id := c.Flags().Int64P("id", "i", 0, "the runner's id")
	pat := c.Flags().String("pat", "", "a personal access token with the right to reset it; without one the runner's own token is used")
	c.RunE = func(c *cobra.Command, _ []string) error {
		s.given()
		list, err := a.loadAccounts(*path)
		if err != nil {
			return err
		}
		chosen := list.all
		if !s.every {
			if s.empty() && *id == 0 {
				return errors.New("name the runner with --name, --token, or --url and --id, or say --all-runners")
			}
			if *id != 0 {
				chosen = nil
				for _, r := range list.all {
					if r.ID == *id {
						chosen = append(chosen, r)
					}
				}
				list.all = chosen
			}
			one, err := s.one(list)
			if err != nil {
				return err
			}
			chosen = []account{one}
		}
		return a.resetTokens(c.Context(), list, chosen, config.Secret(*pat))
	}
	return c
}

func (a *app) resetTokens(ctx context.Context, list *accounts, chosen []account, pat config.Secret) error {
	w, err := config.OpenWriter(ctx, list.path)
	if err != nil {
		return err
	}
	defer w.Close()
	failed := 0
	done := map[config.Secret]bool{} // two entries of one runner have one token
	for _, r := range chosen {
		if done[r.Token] {
			continue
		}
		done[r.Token] = true
		if err := a.resetToken(ctx, w, list, r, pat); err != nil {
			a.tell(r.Runner, "ERROR: Resetting runner authentication token... failed: %v", err)
			failed++
			continue
		}
		a.tell(r.Runner, "Resetting runner authentication token... succeeded")
	}
	if failed > 0 {
		return fmt.Errorf("failed to reset the token of %d of %d runners", failed, len(chosen))
	}
	return nil
}

// resetToken resets one token and writes it at once: what is reset is lost until it is written.
func (a *app) resetToken(ctx context.Context, w *config.Writer, list *accounts, r account, pat config.Secret) error {
	if err := w.Try(settingToken(r, config.Token{Value: "tried"})); err != nil {
		return err
	}
	if pat != "" && r.ID == 0 {
		return errors.New("the entry has no id, which --pat needs; reset it with the runner's own token")
	}
	var got coordinator.Credentials
	err := list.with(r.Runner, func(c *coordinator.Client) (err error) {
		if pat != "" {
			got, err = c.ResetTokenOf(ctx, r.ID, pat)
		} else {
			got, err = c.ResetToken(ctx)
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.write(w, settingToken(r, granted(got, time.Now())))
}

// settingToken gives every entry of a runner its new token.
func settingToken(r account, token config.Token) func(*config.Document) error {
	return func(d *config.Document) error { return d.Rotate(r.written, token) }
}
