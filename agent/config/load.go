package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"time"
)

// maxFile is the most that a configuration file may hold, in bytes.
const maxFile = 16 << 20

// Options are what a check needs from other parts of the agent. The zero value checks what can be checked without them.
type Options struct {
	// Period reads one period expression of [runners.machine] and monitoring, and tells where it may not mean what its author thought;
	// nil counts fields only.
	Period func(expression string) (warnings []string, err error)
	// Cron does the same for those of [runners.autoscaler], which are unix cron's.
	Cron func(expression string) (warnings []string, err error)
	// Driver checks the options of a machine driver, as they stand in MachineOptions, with %s of MachineOptionsWithName replaced;
	// nil checks none.
	Driver func(name string, options []string) []Problem
	// Plugin checks plugin_config of a runner with a plug-in that a module serves; nil, and for any other, checks nothing.
	Plugin func(*Autoscaler) []Problem
	// Executors are those that the agent provides; nil means Provided.
	Executors []string
	// Getenv reads the environment for token and url; nil means os.LookupEnv.
	Getenv func(string) (string, bool)
}

// Problem is one thing that is wrong with a machine's options.
type Problem struct {
	Option  string // its name
	Message string // what was found and what is allowed
	Warning bool
}

// Load reads config.toml with the zero Options; see Options.Load.
func Load(path string) (*Config, []Diagnostic, error) { return Options{}.Load(path) }

// Parse is Load for data that was read already; path only names it.
func Parse(path string, data []byte) (*Config, []Diagnostic) { return Options{}.Parse(path, data) }

// Load reads config.toml as it stands, with defaults filled in, and lists everything that is wrong with it, in the order of the
// file. A missing file is an empty configuration, as in GitLab Runner. The error is for a file that cannot be read.
//
// The Config is never nil without an error, but it is fit to run only when Err of the diagnostics is nil, and without the entries
// that Broken names.
func (o Options) Load(path string) (*Config, []Diagnostic, error) {
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		c, diagnostics := o.Parse(path, nil)
		missing := Diagnostic{Severity: SeverityWarning, File: path, Runner: -1, Message: "there is no such file; it counts as an empty one, without runners; --config names another"}
		return c, append(diagnostics, missing), nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	c, diagnostics := o.Parse(path, data)
	return c, diagnostics, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

func readAll(f *os.File) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s: larger than %d bytes", f.Name(), maxFile)
	}
	return data, err
}

// Parse is Load for data that was read already.
func (o Options) Parse(path string, data []byte) (*Config, []Diagnostic) {
	c := &Config{Path: path, Concurrent: 1, SessionServer: SessionServer{SessionTimeout: 1800}}
	d := newDecoder(path)
	root, err := parseTree(data)
	if err != nil {
		var syntax *syntaxError
		errors.As(err, &syntax)
		d.diagnostics = append(d.diagnostics, Diagnostic{
			Severity: SeverityError, File: path, Line: syntax.line, Runner: -1, Message: "not TOML: " + syntax.msg,
		})
		return c, d.diagnostics
	}
	d.structure(reflect.ValueOf(c).Elem(), root, "")
	if o.Getenv == nil {
		o.Getenv = os.LookupEnv
	}
	o.expand(d, c)
	check{o, d}.all(c)
	c.applyDefaults()
	sortByLine(d.diagnostics)
	return c, d.diagnostics
}

// expand replaces $VAR and ${VAR} in token and url by the environment, as GitLab Runner does since 18.10. There is no escape.
func (o Options) expand(d *decoder, c *Config) {
	if dsn, ok := o.Getenv("SENTRY_DSN"); ok && c.SentryDSN == "" {
		c.SentryDSN = Secret(dsn)
	}
	for i := range c.Runners {
		r, section := &c.Runners[i], fmt.Sprintf("runners[%d]", i)
		expand := func(key, value string) string {
			return os.Expand(value, func(name string) string {
				v, ok := o.Getenv(name)
				if !ok {
					d.warn(section, key, "the variable %s is not set; it counts as empty", name)
				}
				return v
			})
		}
		if strings.Contains(r.URL, "$") {
			r.URL = expand("url", r.URL)
		}
		if strings.Contains(r.Token.Reveal(), "$") {
			r.Token = Secret(expand("token", r.Token.Reveal()))
		}
	}
}

// applyDefaults fills in GitLab Runner's defaults where a key is absent or says "use the default".
func (c *Config) applyDefaults() {
	atLeast(&c.CheckInterval, 1, 3)
	atLeast(&c.ShutdownTimeout, 1, 30)
	if c.LogLevel == "" {
		c.LogLevel = "info"
	}
	if c.LogFormat == "" {
		c.LogFormat = "runner"
	}
	if c.ConnectionMaxAge == nil {
		age := Duration(15 * time.Minute)
		c.ConnectionMaxAge = &age
	}
	drain := &c.Machine.ShutdownDrain
	atLeast(&drain.Concurrency, 1, 3)
	atLeast(&drain.MaxRetries, 1, 3)
	atLeast(&drain.RetryBackoff, 1, Duration(5*time.Second))
	for i := range c.Runners {
		r := &c.Runners[i]
		atLeast(&r.RequestConcurrency, 1, 1)
		atLeast(&r.UnhealthyRequestsLimit, 1, 3)
		atLeast(&r.UnhealthyInterval, 1, Duration(time.Hour))
		atLeast(&r.OutputLimit, 1, 4096)
		atLeast(&r.FinalUpdateRetryLimit, 1, 10)
		atLeast(&r.Artifact.UploadTimeout, 1, Duration(time.Hour))
		atLeast(&r.Artifact.ResponseHeaderTimeout, 1, Duration(10*time.Minute))
		if r.Autoscaler != nil {
			r.Autoscaler.applyDefaults()
		}
	}
}

func (a *Autoscaler) applyDefaults() {
	orElse(&a.InstanceAcquireTimeout, Duration(15*time.Minute))
	orElse(&a.UpdateInterval, Duration(time.Minute))
	orElse(&a.UpdateIntervalExpecting, Duration(2*time.Second))
	orElse(&a.DeletionRetryInterval, Duration(time.Minute))
	orElse(&a.ShutdownDeletionInterval, Duration(10*time.Second))
	orElse(&a.ShutdownDeletionRetries, 3)
	orElse(&a.FailureThreshold, 3)
	for _, o := range []*Connector{&a.ConnectorConfig, &a.VMIsolation.ConnectorConfig} {
		orElse(&o.Keepalive, Duration(30*time.Second))
		orElse(&o.Timeout, Duration(10*time.Minute))
	}
}

// orElse sets a value that is 0 to its default. What is less is for check to name.
func orElse[T ~int | ~int64](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// atLeast sets a value that is less than low to its default.
func atLeast[T ~int | ~int64](v *T, low, value T) {
	if *v < low {
		*v = value
	}
}
