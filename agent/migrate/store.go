package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Names in docker-machine's store.
const (
	configFile = "config.json"
	handFile   = "by-hand.json" // of the journal: made with `millwright machine create`

	// asidePrefix hides a folder whose machine was taken over, until its copy is in place.
	asidePrefix = ".imported-"
	// comingPrefix hides a folder that is being written for docker-machine.
	comingPrefix = ".exporting-"

	maxConfig = 4 << 20 // bytes of a config.json
)

// configVersion is the version of config.json that docker-machine has written since 2015.
const configVersion = 3

// machineName is docker-machine's rule for names. It keeps a name from leaving its folder.
var machineName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}$`)

// found is a machine of docker-machine's store.
type found struct {
	name, dir string
	driver    string
	raw       json.RawMessage // the driver's part of config.json
	base      base
	engine    engine
	sans      []string
	created   time.Time
	err       error // why the rest is not known
}

// base are the fields that all drivers have, and those of some that say where a key or the machine is.
type base struct {
	IPAddress, SSHKeyPath, Zone, ResolvedZone, MachineType, ResolvedMachineType, Project, Region string

	InstanceType, Location, Size string
}

// engine are the engine's options.
type engine struct {
	ArbitraryFlags, Env, InsecureRegistry, Labels, RegistryMirror []string
	StorageDriver, InstallURL                                     string
}

// list reads the store. A store that does not exist has no machines.
func list(store string) ([]found, error) {
	entries, err := os.ReadDir(filepath.Join(store, "machines"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("docker-machine's store: %w; run as the user of gitlab-runner, or as root", err)
	}
	var all []found
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			all = append(all, read(filepath.Join(store, "machines", e.Name()), e.Name()))
		}
	}
	slices.SortFunc(all, func(a, b found) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// read reads a machine's folder.
func read(dir, name string) found {
	f := found{name: name, dir: dir}
	if _, err := os.Lstat(filepath.Join(dir, handFile)); err == nil {
		f.err = errors.New("somebody made it with `millwright machine create`; it stays his")
		return f
	}
	data, err := readBounded(filepath.Join(dir, configFile))
	var c struct {
		ConfigVersion int
		DriverName    string
		Driver        json.RawMessage
		HostOptions   struct {
			EngineOptions engine
			AuthOptions   struct{ ServerCertSANs []string }
		}
	}
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err == nil {
		err = json.Unmarshal(c.Driver, &f.base)
	}
	switch {
	case !machineName.MatchString(name):
		f.err = errors.New("its name is none that docker-machine gives")
	case errors.Is(err, fs.ErrNotExist):
		f.err = errors.New("there is no config.json: its creation was cut off, or is under way")
	case err != nil:
		f.err = fmt.Errorf("config.json can't be read, by docker-machine neither: %w; look at the provider for a machine of that name", err)
	case c.ConfigVersion != configVersion:
		f.err = fmt.Errorf("config.json has version %d, and %d is known; `docker-machine inspect %s` brings it up to that", c.ConfigVersion, configVersion, name)
	case c.DriverName == "":
		f.err = errors.New("config.json names no driver")
	}
	f.driver, f.raw, f.engine, f.sans = c.DriverName, c.Driver, c.HostOptions.EngineOptions, c.HostOptions.AuthOptions.ServerCertSANs
	f.created = createdAt(name, dir)
	return f
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxConfig:
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, maxConfig)
	}
	return os.ReadFile(path)
}

// nameTime is the time in the names that gitlab-runner gives: unix seconds, before eight hex digits.
var nameTime = regexp.MustCompile(`(?:^|-)(1[0-9]{9})(?:-|$)`)

// createdAt is when a machine was made, by its name or else by its folder.
func createdAt(name, dir string) time.Time {
	var seconds int64
	if m := nameTime.FindStringSubmatch(name); m != nil {
		if _, err := fmt.Sscan(m[1], &seconds); err == nil && time.Unix(seconds, 0).Before(time.Now()) {
			return time.Unix(seconds, 0)
		}
	}
	oldest := time.Now()
	entries, _ := os.ReadDir(dir) // none: it is new
	for _, e := range entries {   // docker-machine writes config.json anew each time, and the keys once
		if info, err := e.Info(); err == nil && info.ModTime().Before(oldest) {
			oldest = info.ModTime()
		}
	}
	return oldest
}
