package dockermachine

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	optURL   = "url"
	optCerts = "none-cert-path"
)

// createNone notes an engine that is there already. Nobody is asked, as in docker-machine.
func (c *Machines) createNone(e journal.Entry, options []string) error {
	given := abi.Options{}
	for _, entry := range options {
		name, value, _ := strings.Cut(entry, "=")
		given[name] = append(given[name], value)
	}
	if err := c.judge(provision.ValidateOptions(given)); err != nil {
		return fmt.Errorf("Error setting machine configuration from flags provided: %w", err) //nolint:staticcheck // docker-machine's words
	}
	link, certs := given.Get(optURL), given.Get(optCerts)
	u, err := url.Parse(link)
	if err != nil || u.Hostname() == "" || u.Scheme != "tcp" && u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("Error setting machine configuration from flags provided: --url: %q is no URL of an engine; give tcp://HOST:2376", link) //nolint:staticcheck // docker-machine's words
	}
	port, _ := strconv.Atoi(u.Port()) // the parser let digits alone through
	e.Machine.Options = given
	e.Machine.State, e.Machine.Instance = fleet.Idle, abi.Instance{
		Name: e.Machine.Name, ID: net.JoinHostPort(u.Hostname(), strconv.Itoa(cmp.Or(port, 2376))), Status: abi.StatusRunning, Address: u.Hostname(), EnginePort: port,
	}
	c.o.Words.Phase(phaseCheck)
	err = c.o.Store.Add(e)
	if errors.Is(err, journal.ErrExists) {
		return c.exists(e.Machine.Name)
	}
	if err == nil && certs != "" {
		if err = copyCerts(certs, c.o.Store.Dir(e.Machine.Name)); err != nil {
			err = errors.Join(err, c.o.Store.Remove(e.Machine.Name))
		}
	}
	if err != nil {
		return err
	}
	c.say("To see how to connect your Docker Client to the Docker Engine running on this virtual machine, run: %s env %s", c.o.Command, e.Machine.Name)
	return nil
}

func copyCerts(from, to string) error {
	for _, name := range []string{"ca.pem", "cert.pem", "key.pem"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return fmt.Errorf("--%s: %w", optCerts, err)
		}
		if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
