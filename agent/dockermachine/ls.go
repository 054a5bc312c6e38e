package dockermachine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"text/template"
	"time"

	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Listing says what Ls shows, and how.
type Listing struct {
	Quiet   bool     // names alone
	Filters []string // KEY=VALUE
	Timeout time.Duration
	Format  string // a Go template; "" is the table
}

// Item is a machine in a list, with docker-machine's fields for templates.
type Item struct {
	Name          string
	Active        string // -, * where DOCKER_HOST points
	ActiveHost    bool
	ActiveSwarm   bool
	DriverName    string
	State         string
	URL           string
	SwarmOptions  any
	Swarm         string
	EngineOptions *EngineOptions
	Error         string
	DockerVersion string
	ResponseTime  time.Duration

	kind journal.Kind
}

// EngineOptions are those of an item.
type EngineOptions struct {
	Labels           []string
	RegistryMirror   []string
	InsecureRegistry []string
	StorageDriver    string
	ArbitraryFlags   []string
	Env              []string
	InstallURL       string
}

// defaultFormat is docker-machine's table.
const defaultFormat = "table {{.Name}}\t{{.Active}}\t{{.DriverName}}\t{{.State}}\t{{.URL}}\t{{.Swarm}}\t{{.DockerVersion}}\t{{.Error}}"

// headers are the columns' names, by the fields of Item.
var headers = map[string]string{
	"Name": "NAME", "Active": "ACTIVE", "ActiveHost": "ACTIVE_HOST", "ActiveSwarm": "ACTIVE_SWARM", "DriverName": "DRIVER", "State": "STATE", "URL": "URL",
	"SwarmOptions": "SWARM_OPTIONS", "Swarm": "SWARM", "EngineOptions": "ENGINE_OPTIONS", "Error": "ERRORS", "DockerVersion": "DOCKER", "ResponseTime": "RESPONSE",
}

// Ls lists the machines of the store.
func (c *Machines) Ls(ctx context.Context, l Listing) error {
	keep, err := parseFilters(l.Filters)
	if err != nil {
		return err
	}
	var layout *template.Template
	text, table := strings.CutPrefix(cmp.Or(l.Format, defaultFormat), "table ")
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	if layout, err = template.New("ls").Parse(text); err != nil {
		return fmt.Errorf("Template parsing error: %w", err) //nolint:staticcheck // docker-machine's words
	}
	entries, err := c.entries()
	if err != nil {
		return err
	}
	if l.Quiet && !slices.ContainsFunc(l.Filters, func(f string) bool { return strings.HasPrefix(f, "state=") }) {
		for _, e := range entries {
			if keep.matches(c.item(e, condition{})) {
				c.say("%s", e.Machine.Name)
			}
		}
		return nil
	}
	items := c.items(ctx, entries, l.Timeout, strings.Contains(text, "DockerVersion") || strings.Contains(text, "Error"))
	items = slices.DeleteFunc(items, func(i Item) bool { return !keep.matches(i) })
	if l.Quiet {
		for _, i := range items {
			c.say("%s", i.Name)
		}
		return nil
	}
	return c.print(items, layout, table)
}

func (c *Machines) entries() ([]journal.Entry, error) {
	names, err := c.o.Store.Names()
	if err != nil {
		return nil, err
	}
	var all []journal.Entry
	for _, name := range names {
		e, err := c.o.Store.Entry(name)
		if errors.Is(err, journal.ErrNoMachine) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// items learns of each machine what a list shows, in natural order of the names.
func (c *Machines) items(ctx context.Context, entries []journal.Entry, within time.Duration, engines bool) []Item {
	within = cmp.Or(within, 10*time.Second)
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conditions := c.conditions(ctx, entries, within)
	items := make([]Item, len(entries))
	for n, e := range entries {
		items[n] = c.item(e, conditions[n])
	}
	if engines || slices.ContainsFunc(items, func(i Item) bool { return i.kind == journal.KindForeign }) {
		c.askEngines(ctx, entries, items)
	}
	slices.SortStableFunc(items, func(a, b Item) int { return natural(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return items
}

func (c *Machines) item(e journal.Entry, s condition) Item {
	o := e.Machine.Options
	i := Item{
		Name: e.Machine.Name, Active: "-", DriverName: e.Machine.Driver, State: s.state, Error: s.err, ResponseTime: s.took, kind: e.Kind,
		EngineOptions: &EngineOptions{
			Labels: o["engine-label"], RegistryMirror: o["engine-registry-mirror"], InsecureRegistry: o["engine-insecure-registry"],
			StorageDriver: o.Get("engine-storage-driver"), ArbitraryFlags: o["engine-opt"], Env: o["engine-env"], InstallURL: o.Get("engine-install-url"),
		},
	}
	if e.Err != nil {
		i.DriverName = cmp.Or(e.Machine.Driver, "not found")
		return i
	}
	if s.state == stateRunning || e.Kind == journal.KindForeign {
		i.URL = c.url(e)
	}
	if host := os.Getenv("DOCKER_HOST"); host != "" && host == i.URL && s.state == stateRunning {
		i.Active, i.ActiveHost = "*", true
	}
	return i
}

// engineParallel is how many engines are asked at once.
const engineParallel = 64

// askEngines asks the engines of the machines that run for their versions. items are in the order of entries.
func (c *Machines) askEngines(ctx context.Context, entries []journal.Entry, items []Item) {
	gate := make(chan struct{}, engineParallel)
	var wg sync.WaitGroup
	for n := range items {
		i := &items[n]
		foreign := i.kind == journal.KindForeign && entries[n].Err == nil
		if i.State != stateRunning && !foreign {
			i.DockerVersion = "Unknown"
			continue
		}
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			version, err := c.engineVersion(ctx, entries[n])
			if err == nil {
				i.DockerVersion = "v" + version
				if foreign {
					i.State = stateRunning
				}
				return
			}
			i.DockerVersion = "Unknown"
			if foreign {
				i.State = stateError
			}
			if i.Error == "" {
				i.Error = firstLine(err.Error())
			}
		})
	}
	wg.Wait()
}

// print prints the list as the template says.
func (c *Machines) print(items []Item, layout *template.Template, table bool) error {
	w := io.Writer(c.o.Out)
	if table {
		t := tabwriter.NewWriter(c.o.Out, 5, 1, 3, ' ', 0)
		defer t.Flush()
		w = t
		if err := row(w, layout, headers); err != nil {
			return err
		}
	}
	for _, i := range items {
		if err := row(w, layout, i); err != nil {
			return err
		}
	}
	return nil
}

func row(w io.Writer, layout *template.Template, data any) error {
	var b bytes.Buffer
	if err := layout.Execute(&b, data); err != nil {
		return fmt.Errorf("Template parsing error: %w", err) //nolint:staticcheck // docker-machine's words
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}

// filters are those of one list, by their keys: of one key any must match, of all keys each.
type filters map[string][]string

func parseFilters(list []string) (filters, error) {
	f := filters{}
	for _, text := range list {
		key, value, ok := strings.Cut(text, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if !ok {
			return nil, fmt.Errorf("Unsupported filter syntax: %q; write KEY=VALUE", text) //nolint:staticcheck // docker-machine's words
		}
		switch key {
		case "driver", "state", "label", "swarm":
		case "name":
			if _, err := regexp.Compile(value); err != nil {
				return nil, fmt.Errorf("filter name: %w", err)
			}
		default:
			return nil, fmt.Errorf("Unsupported filter key '%s'; there are driver, label, name, state and swarm", key) //nolint:staticcheck // docker-machine's words
		}
		f[key] = append(f[key], value)
	}
	return f, nil
}

func (f filters) matches(i Item) bool {
	for key, values := range f {
		if !slices.ContainsFunc(values, func(v string) bool { return matchesOne(i, key, v) }) {
			return false
		}
	}
	return true
}

func matchesOne(i Item, key, value string) bool {
	switch key {
	case "driver":
		return strings.EqualFold(i.DriverName, value)
	case "state":
		return strings.EqualFold(i.State, value)
	case "name":
		ok, _ := regexp.MatchString(value, i.Name) // compiled once already
		return ok
	case "label":
		return slices.ContainsFunc(i.EngineOptions.Labels, func(label string) bool { return matchesLabel(label, value) })
	}
	return false // there is no swarm
}

// matchesLabel tells whether an engine's label is the wanted one, given as KEY or KEY=VALUE. Values are compared without their case.
func matchesLabel(label, wanted string) bool {
	key, value, _ := strings.Cut(label, "=")
	wantedKey, wantedValue, exact := strings.Cut(wanted, "=")
	return key == wantedKey && (!exact || strings.EqualFold(value, wantedValue))
}

// natural compares texts with their numbers as numbers: m2 comes before m10.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x != "" && y != "" {
			p, q := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if n := cmp.Or(cmp.Compare(len(p), len(q)), cmp.Compare(p, q), cmp.Compare(len(x), len(y))); n != 0 {
				return n
			}
			a, b = a[len(x):], b[len(y):]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) string {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return s[:i]
		}
	}
	return s
}

// Active prints the machine that DOCKER_HOST points to.
func (c *Machines) Active(ctx context.Context, within time.Duration) error {
	host := os.Getenv("DOCKER_HOST")
	entries, err := c.entries()
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e journal.Entry) bool { return e.Err != nil || host == "" || c.url(e) != host })
	for n, s := range c.conditions(ctx, entries, cmp.Or(within, 10*time.Second)) {
		e := entries[n]
		switch {
		case s.state == stateTimeout:
			return fmt.Errorf("Error getting active host: timeout") //nolint:staticcheck // docker-machine's words
		case s.state == stateRunning, e.Kind == journal.KindForeign && e.Machine.Instance.Status != abi.StatusStopped:
			c.say("%s", e.Machine.Name)
			return nil
		}
	}
	return errors.New("No active host found") //nolint:staticcheck // docker-machine's words
}
