package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/knadh/koanf/v2"
)

// Operator is millwright.toml: what only the operator of the agent may say. Every key but the grants and limits may also come from
// the environment, as MILLWRIGHT_ and the key in capitals, which wins over the file; lists are separated by commas there.
type Operator struct {
	Path string `toml:"-"` // the file it came from, whether it exists or not

	// StateDir holds the store, the history and the agent's socket. Default: /var/lib/millwright for root, else the XDG state folder.
	StateDir    string `toml:"state_dir"`
	PoliciesDir string `toml:"policies_dir"` // default policies.d beside config.toml
	DriversDir  string `toml:"drivers_dir"`  // default drivers.d beside config.toml
	// CAFile holds certificates in PEM that modules trust beside the system's; "": none. Group and others must not be able to write it.
	CAFile string `toml:"ca_file"`
	// LegacyDrivers are drivers that docker-machine's plug-in binaries serve even where there is a module.
	LegacyDrivers []string `toml:"legacy_drivers"`
	// Grants are what dropped-in modules may do beyond computing, by the module's name. They come from the file alone.
	Grants map[string]Grant `toml:"grants"`
	// Credentials are what the operator holds towards clouds and other services, by names that grants use. They come from the file alone.
	Credentials map[string]Credential `toml:"credentials"`
	// Machines says how the agent looks after its machines. It comes from the file alone.
	Machines MachineCare `toml:"machines"`

	// ResumeJobs is whether jobs outlive the agent; nil means that they do. It comes from the file alone.
	ResumeJobs *bool `toml:"resume_jobs"`

	// The ceilings of the agent as a whole; 0 sets none. They, and what follows, come from the file alone.
	MaxMachines       int      `toml:"max_machines"`         // in any state
	MaxCreatesPerHour int      `toml:"max_creates_per_hour"` // that providers are asked for
	MaxMachineAge     Duration `toml:"max_machine_age"`      // an older machine takes no more jobs and is removed
	// Runners hold each runner's own ceilings, and what it may be made of, by its name.
	Runners map[string]OperatorRunner `toml:"runners"`
	// Drivers hold how fast each may call its provider, by its name.
	Drivers map[string]OperatorDriver `toml:"drivers"`

	// CeilingsErr is why ceilings and sections of runners and drivers are not known; nil: they are.
	CeilingsErr error `toml:"-"`

	lines map[string]int // of the keys
}

// Grant is one [grants.NAME] section: what the module NAME.wasm may do. A zero limit leaves the agent's own.
type Grant struct {
	Hostnames []string `toml:"hostnames"` // as hostfuncs/httpsend.ParseGrants reads them
	// PrivateAddresses are ranges such as 10.0.0.0/8, of private and loopback addresses, that the hostnames may lead to.
	PrivateAddresses []string `toml:"private_addresses"`
	MemoryMB         int      `toml:"memory_mb"`
	DecideMS         int      `toml:"decide_ms"`
	ObserveS         int      `toml:"observe_s"`    // deadline of one observe
	CallS            int      `toml:"call_s"`       // deadline of one create, list or remove of a driver
	FuelMillion      int      `toml:"fuel_million"` // of one call, each about a million instructions
	// Credentials are those that the module may have its requests signed with, by their names.
	Credentials map[string]CredentialGrant `toml:"credentials"`
}

const envPrefix = "MILLWRIGHT_"

// LoadOperator reads millwright.toml beside configPath, the path of config.toml, over the defaults and under the environment. A
// missing file is no error. One that group or others can write is refused, since it grants rights.
func LoadOperator(configPath string) (*Operator, []Diagnostic, error) {
	dir := filepath.Dir(configPath)
	path := filepath.Join(dir, "millwright.toml")
	k := koanf.New(".")
	layers := []map[string]any{operatorDefaults()}
	d := newDecoder(path)
	file, sections, err := readOperator(path, d)
	if err != nil {
		return nil, nil, err
	}
	layers = append(layers, file, operatorEnv(os.LookupEnv))
	for _, layer := range layers {
		if err := k.Load(mapProvider(layer), nil); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	o := &Operator{
		Path: path, StateDir: k.String("state_dir"), PoliciesDir: k.String("policies_dir"), DriversDir: k.String("drivers_dir"), CAFile: k.String("ca_file"),
		LegacyDrivers: k.Strings("legacy_drivers"), Grants: sections.Grants, Credentials: sections.Credentials,
		Machines:    sections.Machines,
		ResumeJobs:  sections.ResumeJobs,
		MaxMachines: sections.MaxMachines, MaxCreatesPerHour: sections.MaxCreatesPerHour, MaxMachineAge: sections.MaxMachineAge,
		Runners: sections.Runners, Drivers: sections.Drivers, CeilingsErr: ceilingsErr(d.diagnostics), lines: d.lines,
	}
	for _, p := range []*string{&o.PoliciesDir, &o.DriversDir, &o.StateDir, &o.CAFile} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	sortByLine(d.diagnostics)
	return o, d.diagnostics, nil
}

// operatorDefaults are the defaults. Folders that are not absolute lie beside the file, as those do that it names.
func operatorDefaults() map[string]any {
	return map[string]any{
		"state_dir":    defaultStateDir(os.Geteuid(), os.Getenv),
		"policies_dir": "policies.d",
		"drivers_dir":  "drivers.d",
	}
}

// defaultStateDir follows the XDG base directory specification for everybody but root.
func defaultStateDir(uid int, getenv func(string) string) string {
	if uid == 0 {
		return "/var/lib/millwright"
	}
	state := getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home, err := os.UserHomeDir()
		if err != nil {
			home = os.TempDir()
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "millwright")
}

// readOperator returns what the file says, by key, and apart what comes from the file alone; it notes what is wrong with it.
func readOperator(path string, d *decoder) (said map[string]any, sections Operator, err error) {
	data, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Operator{}, nil
	}
	if err != nil {
		return nil, Operator{}, fmt.Errorf("configuration: %w", err)
	}
	root, err := parseTree(data)
	if err != nil {
		var syntax *syntaxError
		errors.As(err, &syntax)
		d.diagnostics = append(d.diagnostics, Diagnostic{
			Severity: SeverityError, File: path, Line: syntax.line, Runner: -1, Message: "not TOML: " + syntax.msg,
		})
		return nil, Operator{}, nil
	}
	var o Operator
	d.structure(reflect.ValueOf(&o).Elem(), root, "")
	for name, g := range o.Grants {
		d.checkGrant(name, g)
		d.checkCredentialGrants(name, g, o.Credentials)
	}
	for name, c := range o.Credentials {
		d.checkCredential(name, c)
	}
	d.checkReaders(path, o.Credentials)
	d.checkCare(o.Machines)
	d.checkCeilings(o)
	said = map[string]any{}
	for key, i := range fieldsOf(reflect.TypeFor[Operator]()) {
		if f := reflect.ValueOf(o).Field(i); !f.IsZero() && fromAnywhere(f.Type()) {
			said[key] = f.Interface()
		}
	}
	return said, o, nil
}

// checkGrant notes what makes no sense in a grant. Hostnames are read where they are used.
func (d *decoder) checkGrant(name string, g Grant) {
	section := "grants." + name
	for _, a := range g.PrivateAddresses {
		if _, err := netip.ParsePrefix(a); err != nil {
			d.bad(section, "private_addresses", "%q is no range of addresses; write one as 10.0.0.0/8 or 10.1.2.3/32", a)
		}
	}
	for _, n := range []struct {
		key      string
		n, limit int
	}{{"memory_mb", g.MemoryMB, 1024}, {"decide_ms", g.DecideMS, 10_000}, {"observe_s", g.ObserveS, 60}, {"call_s", g.CallS, 300}, {"fuel_million", g.FuelMillion, 1_000_000}} {
		if n.n < 0 || n.n > n.limit {
			d.bad(section, n.key, "%d is out of range; use 1 to %d, or leave it out", n.n, n.limit)
		}
	}
}

// operatorEnv returns what the environment says, by key.
func operatorEnv(lookup func(string) (string, bool)) map[string]any {
	said := map[string]any{}
	t := reflect.TypeFor[Operator]()
	for key, i := range fieldsOf(t) {
		v, ok := lookup(envPrefix + strings.ToUpper(key))
		if !ok || v == "" || !fromAnywhere(t.Field(i).Type) {
			continue
		}
		if t.Field(i).Type.Kind() == reflect.Slice {
			said[key] = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
		} else {
			said[key] = v
		}
	}
	return said
}

// fromAnywhere tells whether a key of that type may come from the environment too: paths and names may, rights and limits may not.
func fromAnywhere(t reflect.Type) bool {
	return t.Kind() == reflect.String || t.Kind() == reflect.Slice
}

// mapProvider hands a layer to koanf.
type mapProvider map[string]any

func (m mapProvider) Read() (map[string]any, error) { return m, nil }

func (m mapProvider) ReadBytes() ([]byte, error) {
	return nil, errors.New("a layer of the configuration has no bytes")
}
