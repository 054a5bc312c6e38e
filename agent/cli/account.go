package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// account is a [[runners]] entry towards its coordinator.
type account struct {
	written config.Runner // as the file has it, with variables in it
	config.Runner
}

// accounts are the entries of a config.toml, those too that could not run. A missing file has none.
type accounts struct {
	path     string
	all      []account
	labels   map[string]string
	systemID string
}

// loadAccounts reads config.toml and the system ID, which is made when there is none.
func (a *app) loadAccounts(path string) (*accounts, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	cfg, diagnostics := config.Parse(path, data)
	if err := config.Err(diagnostics); err != nil {
		return nil, err
	}
	d, err := config.ParseDocument(data)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	list := &accounts{path: path, labels: cfg.Labels, systemID: a.systemID(path)}
	for i, r := range cfg.Runners {
		list.all = append(list.all, account{d.Runners()[i], r})
	}
	return list, nil
}

// systemID is that of the installation; where it can't be kept, that is told.
func (a *app) systemID(configPath string) string {
	id, err := coordinator.LoadSystemID(filepath.Join(filepath.Dir(configPath), ".runner_system_id"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // without a folder there are no runners either
		fmt.Fprintf(a.err, "WARNING: %v\n", err)
	}
	return id
}

// selection says which entries a command is about.
type selection struct {
	name, url string
	token     string
	every     bool
	tls       coordinator.TLSFiles // of a runner that is not in the file
}

// selectionFlags adds GitLab Runner's flags.
func selectionFlags(c *cobra.Command) *selection {
	s := &selection{}
	f := c.Flags()
	f.StringVarP(&s.name, "name", "n", os.Getenv("RUNNER_NAME"), "the runner's name (RUNNER_NAME)")
	f.StringVarP(&s.url, "url", "u", os.Getenv("CI_SERVER_URL"), "the coordinator's URL (CI_SERVER_URL)")
	f.StringVarP(&s.token, "token", "t", "", "the runner's authentication token (CI_SERVER_TOKEN)")
	f.StringVar(&s.tls.CA, "tls-ca-file", os.Getenv("CI_SERVER_TLS_CA_FILE"), "the certificates that vouch for the coordinator of a runner that is not in the file (CI_SERVER_TLS_CA_FILE)")
	f.StringVar(&s.tls.Cert, "tls-cert-file", os.Getenv("CI_SERVER_TLS_CERT_FILE"), "the client certificate for it (CI_SERVER_TLS_CERT_FILE)")
	f.StringVar(&s.tls.Key, "tls-key-file", os.Getenv("CI_SERVER_TLS_KEY_FILE"), "the key of that (CI_SERVER_TLS_KEY_FILE)")
	return s
}

// given fills in what must not stand in a help text.
func (s *selection) given() {
	if s.token == "" {
		s.token = os.Getenv("CI_SERVER_TOKEN")
	}
}

func (s *selection) empty() bool { return s.name == "" && s.url == "" && s.token == "" }

// of returns the entries that fit all that was said.
func (s *selection) of(list *accounts) []account {
	var found []account
	for _, r := range list.all {
		if (s.name == "" || s.name == r.Name) && (s.url == "" || sameURL(s.url, r.URL)) && (s.token == "" || s.token == r.Token.Reveal()) {
			found = append(found, r)
		}
	}
	return found
}

func sameURL(a, b string) bool { return strings.TrimRight(a, "/") == strings.TrimRight(b, "/") }

// one returns the entry that fits, if it is the only one.
func (s *selection) one(list *accounts) (account, error) {
	found := s.of(list)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return account{}, fmt.Errorf("no runner matches the filtering parameters in %s; `list` shows them", list.path)
	}
	return account{}, fmt.Errorf("%d runners match in %s; give --name, --url and --token until one does", len(found), list.path)
}

// client makes the coordinator's client of an entry.
func (l *accounts) client(r config.Runner) (*coordinator.Client, error) {
	labels := maps.Clone(l.labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, r.Labels)
	return coordinator.New(coordinator.Options{
		URL: r.URL, Token: r.Token, SystemID: l.systemID,
		Info: coordinator.Info{Executor: r.Executor, Shell: r.Shell, GPUs: r.Docker.Gpus, Labels: labels, Revision: revision()},
		TLS:  coordinator.TLSFiles{CA: r.TLSCAFile, Cert: r.TLSCertFile, Key: r.TLSKeyFile, Dir: filepath.Join(filepath.Dir(l.path), "certs")},
	})
}

// with calls f with the client of an entry.
func (l *accounts) with(r config.Runner, f func(*coordinator.Client) error) error {
	c, err := l.client(r)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(c)
}

// tell prints a line in the form that GitLab Runner's users and scripts know: what happened, and to which runner.
func (a *app) tell(r config.Runner, format string, args ...any) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%-50s  runner=%s", fmt.Sprintf(format, args...), config.ShortToken(r.Token))
	if r.Name != "" {
		fmt.Fprintf(&b, " runner_name=%s", r.Name)
	}
	fmt.Fprintln(a.err, b.String())
}

// update changes the file and says so.
func (a *app) update(ctx context.Context, path string, change func(*config.Document) error) error {
	w, err := config.OpenWriter(ctx, path)
	if err != nil {
		return err
	}
	defer w.Close()
	return a.write(w, change)
}

func (a *app) write(w *config.Writer, change func(*config.Document) error) error {
	if err := w.Update(change); err != nil {
		return err
	}
	fmt.Fprintln(a.err, "Updated", w.Path())
	return nil
}

// removing takes entries out of the file, as far as they are still there.
func removing(gone []account) func(*config.Document) error {
	return func(d *config.Document) error {
		for _, r := range gone {
			for found := d.Find(r.written); len(found) > 0; found = d.Find(r.written) {
				if err := d.RemoveRunner(found[0]); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// granted turns what the coordinator gave into what the file holds.
func granted(c coordinator.Credentials, now time.Time) config.Token {
	return config.Token{Value: c.Token, ObtainedAt: now.UTC().Truncate(time.Second), ExpiresAt: c.ExpiresAt}
}
