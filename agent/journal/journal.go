package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/millwright-ci/millwright/agent/fleet"
)

const (
	recordFile = "millwright.json"
	configFile = "config.json"
	driverFile = "driver.json" // of drivers that run in the agent; see agent/driver/machinefile

	// removedPrefix hides a folder that is being removed: docker-machine and we ignore names that begin with a dot.
	removedPrefix = ".removed-"
)

// The kinds of problem that Load reports.
var (
	// ErrForeign is a machine that docker-machine made: it has a config.json and no record of ours.
	ErrForeign = errors.New("made by docker-machine; not taken up")
	// ErrByHand is a machine that somebody made with the command line, for himself. It is his alone; see Hand.
	ErrByHand = errors.New("made by hand; not the agent's")
	// ErrIncomplete is a folder without any record, such as docker-machine leaves behind when its creation is cut off.
	ErrIncomplete = errors.New("holds no record of a machine; not counted, and left as it is")
	// ErrCorrupt is a record that cannot be read. It is kept for a human to look at.
	ErrCorrupt = errors.New("unreadable record")
	// ErrOtherOwner is a machine that was made under another owner id.
	ErrOtherOwner = errors.New("belongs to another owner")
)

// Problem is a folder of the store that Load passed over. It is never changed nor deleted.
type Problem struct {
	Machine string // the folder's name
	Path    string
	Err     error // ErrForeign, ErrByHand, ErrIncomplete, ErrCorrupt or ErrOtherOwner, with details
}

func (p Problem) String() string { return fmt.Sprintf("machine %s: %s: %v", p.Machine, p.Path, p.Err) }

// Journal is the journal of one state directory, held by one agent. Its methods are safe for concurrent use as long as no two
// concern the same machine.
type Journal struct {
	dir   string // absolute
	owner string
	lock  *os.File

	creating sync.Mutex                   // guards creates.log and what follows
	created  int                          // its lines
	watch    func(machine, change string) // see Watch

	setbacks sync.Mutex // guards setbacks.json
	places   sync.Mutex // guards places.json
}

// Open makes the state directory if need be, takes its lock and reads the owner id, or makes one at the first start. It does not
// wait: when another process holds the lock, errors.Is(err, ErrLocked), and the error names that process.
func Open(dir string) (*Journal, error) { return OpenWatched(dir, func(string, string) {}) }

// OpenWatched is Open with watch told of each change of the state directory's files from the first on, as by Watch. One that panics leaves the
// directory as a process that dies does.
func OpenWatched(dir string, watch func(machine, change string)) (*Journal, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", advise(err))
	}
	lock, err := takeLock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("state directory %s: %w", dir, advise(err))
	}
	opened := false
	defer func() {
		if !opened {
			lock.Close()
		}
	}()
	j := &Journal{dir: dir, lock: lock, watch: watch}
	if err := j.prepare(); err != nil {
		return nil, fmt.Errorf("state directory %s: %w", dir, advise(err))
	}
	opened = true
	return j, nil
}

// advise says what to do about a folder that can't be written.
func advise(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; the agent's user must be able to write there, or name another one with state_dir or --state-dir", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w; make room: no machine is lost, and none can be made or removed meanwhile", err)
	}
	return err
}

// prepare makes the folders, finishes what a crash cut off and finds the owner id.
func (j *Journal) prepare() error {
	if err := os.MkdirAll(j.machines(), 0o700); err != nil {
		return err
	}
	if err := j.sweep(); err != nil {
		return err
	}
	owner, err := readOwner(j.dir)
	if err == nil && owner == "" {
		owner, err = j.makeOwner()
	}
	j.owner = owner
	return err
}

// Close gives the lock back.
func (j *Journal) Close() error { return j.lock.Close() }

// Watch has f told of each change of a machine's files, and of those that are no machine's ("" is the machine), before it is made. The crash
// suite ends the process there. Call it before any other method.
func (j *Journal) Watch(f func(machine, change string)) { j.watch = f }

// Owner returns the owner id: 16 characters of [0-9a-z].
func (j *Journal) Owner() string { return j.owner }

// Store returns the path of the store, docker-machine's MACHINE_STORAGE_PATH.
func (j *Journal) Store() string { return StoreOf(j.dir) }

// StoreOf is the machine store of a state directory.
func StoreOf(dir string) string { return filepath.Join(dir, "store") }

func (j *Journal) machines() string { return filepath.Join(j.Store(), "machines") }

func (j *Journal) folder(name string) string { return filepath.Join(j.machines(), name) }

// Save writes m down. When it returns nil the record is on disk; otherwise the record is the one before or, where only config.json
// could not be written, the new one. It blocks for some disk writes.
func (j *Journal) Save(m fleet.Machine) error {
	if err := j.save(m); err != nil {
		return fmt.Errorf("machine %s: journal: %w", m.Name, err)
	}
	return nil
}

func (j *Journal) save(m fleet.Machine) error {
	if err := checkName(m.Name); err != nil {
		return err
	}
	dir := j.folder(m.Name)
	data, err := encodeRecord(j.owner, m)
	if err != nil {
		return err
	}
	change := func(what string) { j.watch(m.Name, "save "+string(m.State)+": "+what) }
	change("make folder")
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		if err := SyncDir(j.machines()); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	if err := replaceFile(filepath.Join(dir, recordFile), data, change); err != nil {
		_ = os.Remove(dir) // an empty folder is no machine; one with a record stays
		return err
	}
	return j.saveConfig(dir, m, change)
}

// Remove forgets a machine that is gone, with all files in its folder. A machine that is not there is no error.
func (j *Journal) Remove(name string) error {
	if err := j.remove(name); err != nil {
		return fmt.Errorf("machine %s: journal: %w", name, err)
	}
	return nil
}

func (j *Journal) remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	hidden := filepath.Join(j.machines(), removedPrefix+name)
	return forget(j.machines(), j.folder(name), hidden, func(what string) { j.watch(name, what) })
}

// forget deletes a machine's folder: as a whole first, by another name, then what is in it. It tells of each change before it is made.
func forget(machines, folder, hidden string, change func(what string)) error {
	if err := os.RemoveAll(hidden); err != nil {
		return err
	}
	change("remove: hide")
	if err := os.Rename(folder, hidden); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := SyncDir(machines); err != nil {
		return err
	}
	change("remove: delete")
	return os.RemoveAll(hidden)
}

// Has tells whether the store has a folder for name, readable or not, or had one that was given to docker-machine. What has one is nobody's
// orphan. A name that no machine of ours can bear has none.
func (j *Journal) Has(name string) bool {
	if checkName(name) != nil {
		return false
	}
	_, err := os.Lstat(j.folder(name))
	_, given := os.Lstat(filepath.Join(j.machines(), givenPrefix+name))
	return !errors.Is(err, fs.ErrNotExist) || !errors.Is(given, fs.ErrNotExist)
}

// Load returns the machines of all runners, in order of their names, and what it passed over. It fails only when the store itself
// cannot be read.
func (j *Journal) Load() ([]fleet.Machine, []Problem, error) { return load(j.machines(), j.owner) }

// Read is Load for whoever holds no lock: it changes nothing. A state directory that does not exist has no machines. What a
// running agent changes meanwhile may be seen before or after the change.
func Read(dir string) ([]fleet.Machine, []Problem, error) {
	owner, err := readOwner(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("state directory %s: %w", dir, err)
	}
	machines, problems, err := load(filepath.Join(dir, "store", "machines"), owner)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return machines, problems, err
}

// load reads each folder below dir. An owner of "" is any.
func load(dir, owner string) (machines []fleet.Machine, problems []Problem, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("machine store: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		m, err := loadMachine(path, e.Name(), owner)
		if err != nil {
			problems = append(problems, Problem{Machine: e.Name(), Path: path, Err: err})
			continue
		}
		machines = append(machines, m)
	}
	return machines, problems, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func loadMachine(path, name, owner string) (fleet.Machine, error) {
	data, err := os.ReadFile(filepath.Join(path, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		if exists(filepath.Join(path, handFile)) {
			return fleet.Machine{}, ErrByHand
		}
		if exists(filepath.Join(path, configFile)) {
			return fleet.Machine{}, ErrForeign
		}
		return fleet.Machine{}, ErrIncomplete
	}
	if err != nil {
		return fleet.Machine{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	m, recorded, err := decodeRecord(name, data)
	if err != nil {
		return fleet.Machine{}, fmt.Errorf("%w %s: %w", ErrCorrupt, recordFile, err)
	}
	if owner != "" && recorded != owner {
		return fleet.Machine{}, fmt.Errorf("%w: %s, while this state directory's is %s", ErrOtherOwner, recorded, owner)
	}
	return m, nil
}

// machineName is docker-machine's rule for names. It keeps a name from leaving its folder.
var machineName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}$`)

func checkName(name string) error {
	if !machineName.MatchString(name) {
		return fmt.Errorf("the name %q is not 1 to 63 letters, digits, dots and hyphens with a letter or digit first", name)
	}
	return nil
}
