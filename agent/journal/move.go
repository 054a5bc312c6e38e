package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// Folders of machines that move between this store and docker-machine's. Both programs pass over names that begin with a dot.
const (
	stagedPrefix = ".importing-" // being taken over; Place makes it a machine
	givenPrefix  = ".exported-"  // given to docker-machine; kept so that its instance is nobody's orphan, and for the way back
)

// Stage writes down a machine that is to be taken over, where nobody takes it for one yet: fill puts its other files into dir. What an attempt
// before has staged is replaced. When it returns nil, all of it is on disk.
func (j *Journal) Stage(m fleet.Machine, fill func(dir string) error) error {
	err := checkName(m.Name)
	if err == nil {
		err = j.stage(filepath.Join(j.machines(), stagedPrefix+m.Name), m, fill)
	}
	if err != nil {
		return fmt.Errorf("machine %s: journal: %w", m.Name, err)
	}
	return nil
}

func (j *Journal) stage(dir string, m fleet.Machine, fill func(dir string) error) error {
	data, err := encodeRecord(j.owner, m)
	if err != nil {
		return err
	}
	j.watch(m.Name, "stage: clear")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	j.watch(m.Name, "stage: make folder")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	j.watch(m.Name, "stage: fill")
	if err := fill(dir); err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(dir, recordFile), data, func(what string) { j.watch(m.Name, "stage: "+what) }); err != nil {
		return err
	}
	return SyncDir(j.machines())
}

// Unstage forgets what was staged.
func (j *Journal) Unstage(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(j.machines(), stagedPrefix+name))
}

// Place makes a staged machine one of the store. errors.Is(err, fs.ErrExist) when the store has one of that name.
func (j *Journal) Place(name string) error { return j.place(stagedPrefix, name) }

// TakeBack makes a machine that was given to docker-machine one of the store again, as m says.
func (j *Journal) TakeBack(m fleet.Machine) error {
	if err := j.place(givenPrefix, m.Name); err != nil {
		return err
	}
	return j.Save(m)
}

func (j *Journal) place(prefix, name string) error {
	err := checkName(name)
	if err == nil && exists(j.folder(name)) {
		err = fmt.Errorf("%s: %w", j.folder(name), fs.ErrExist)
	}
	if err == nil {
		j.watch(name, "place")
		err = os.Rename(filepath.Join(j.machines(), prefix+name), j.folder(name))
	}
	if err == nil {
		err = SyncDir(j.machines())
	}
	var m fleet.Machine
	if err == nil {
		m, err = loadMachine(j.folder(name), name, j.owner)
	}
	if err == nil {
		err = j.saveConfig(j.folder(name), m, func(what string) { j.watch(name, "place: "+what) })
	}
	if err != nil {
		return fmt.Errorf("machine %s: journal: %w", name, err)
	}
	return nil
}

// Give puts a machine aside for docker-machine: it is no machine of the store from then on, and its instance is nobody's orphan.
func (j *Journal) Give(name string) error {
	err := checkName(name)
	given := filepath.Join(j.machines(), givenPrefix+name)
	if err == nil {
		err = os.RemoveAll(given) // of a machine of that name before
	}
	if err == nil {
		j.watch(name, "give")
		err = os.Rename(j.folder(name), given)
	}
	if err == nil {
		err = SyncDir(j.machines())
	}
	if err != nil {
		return fmt.Errorf("machine %s: journal: %w", name, err)
	}
	return nil
}

// Given returns the machines that were given to docker-machine, as they were then. Those whose record can't be read are left out.
func (j *Journal) Given() ([]fleet.Machine, error) {
	var machines []fleet.Machine
	err := j.prefixed(givenPrefix, func(name, dir string) {
		if m, err := loadMachine(dir, name, j.owner); err == nil {
			machines = append(machines, m)
		}
	})
	return machines, err
}

func (j *Journal) prefixed(prefix string, each func(name, dir string)) error {
	entries, err := os.ReadDir(j.machines())
	if err != nil {
		return fmt.Errorf("machine store: %w", err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), prefix); ok && e.IsDir() {
			each(name, filepath.Join(j.machines(), e.Name()))
		}
	}
	return nil
}

// Folder returns where a machine's files are.
func (j *Journal) Folder(name string) string { return j.folder(name) }

// Config returns the config.json of a machine as docker-machine would have it in another store, whose folders lie below root as it lays them. What
// the machine's own has beyond that stays.
func (j *Journal) Config(root string, m fleet.Machine) (map[string]any, error) {
	config := object{}
	data, err := os.ReadFile(filepath.Join(j.folder(m.Name), configFile))
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		err = decoder.Decode(&config)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("machine %s: journal: %s: %w", m.Name, configFile, err)
	}
	if config == nil {
		config = object{}
	}
	overlay(config, machineConfig(root, filepath.Join(root, "machines", m.Name), m))
	overlay(config, pluginConfig(j.folder(m.Name)))
	return config, nil
}
