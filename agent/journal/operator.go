package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

const freezeFile = "freeze.json"

// ErrFreeze means that freeze.json cannot be read. Whoever reads it takes the agent for frozen, which does the least harm.
var ErrFreeze = errors.New("the freeze cannot be read, so everything counts as frozen; `millwright unfreeze` takes it away")

// SetFreeze writes the operator's freeze down; the zero value takes it away. When it returns nil a restart will know.
func (j *Journal) SetFreeze(f fleet.Freeze) error {
	if f.Since.IsZero() {
		j.watch("", "unfreeze")
		if err := os.Remove(filepath.Join(j.dir, freezeFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("freeze: %w", err)
		}
		return SyncDir(j.dir)
	}
	data, err := json.MarshalIndent(f, "", "  ")
	if err == nil {
		err = j.put(freezeFile, "freeze", append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	return nil
}

// Freeze returns the freeze that was written down last, also when its end has come. With an error, which is an ErrFreeze, it is one
// without end.
func (j *Journal) Freeze() (fleet.Freeze, error) { return ReadFreeze(j.dir) }

// ReadFreeze is Freeze for whoever holds no lock.
func ReadFreeze(dir string) (fleet.Freeze, error) {
	data, err := os.ReadFile(filepath.Join(dir, freezeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fleet.Freeze{}, nil
	}
	var f fleet.Freeze
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err == nil && f.Since.IsZero() {
		err = errors.New("it does not say since when")
	}
	if err != nil {
		err = fmt.Errorf("%w: %s: %w", ErrFreeze, freezeFile, err)
		return fleet.Freeze{Since: time.Unix(0, 0).UTC(), Reason: err.Error()}, err
	}
	return f, nil
}

const createsFile = "creates.log"

// createSpan is how long a creation is remembered.
const createSpan = time.Hour

// compactAt is how many lines the log of creations may have before those that are over are dropped.
const compactAt = 4096

// created is one line of creates.log.
type created struct {
	At     time.Time `json:"at"`
	Runner string    `json:"runner"` // its key
}

// NoteCreate writes down that a provider is about to be asked for a machine. When it returns nil a restart will know. It is safe for
// concurrent use.
func (j *Journal) NoteCreate(runner string, at time.Time) error {
	line, err := json.Marshal(created{At: at.UTC(), Runner: runner})
	if err != nil {
		return fmt.Errorf("log of creations: %w", err)
	}
	j.creating.Lock()
	defer j.creating.Unlock()
	j.watch("", "note a creation")
	if err := j.noteCreate(append(line, '\n')); err != nil {
		return fmt.Errorf("log of creations: %w", err)
	}
	return nil
}

// noteCreate is called with creating held.
func (j *Journal) noteCreate(line []byte) error {
	if j.created >= compactAt {
		if _, err := j.compact(time.Now()); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(filepath.Join(j.dir, createsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	j.created++
	if err != nil {
		j.created = compactAt // half a line may be there: the next one does not go behind it
	}
	return err
}

// Creates calls see for each creation that was noted within the last hour, in order, and drops the others. A line that a crash cut off is
// passed over. One of a time to come is of a clock that was set back since: it counts as of now, for an hour and no longer.
func (j *Journal) Creates(now time.Time, see func(runner string, at time.Time)) error {
	j.creating.Lock()
	defer j.creating.Unlock()
	kept, err := j.compact(now)
	if err != nil {
		return fmt.Errorf("log of creations: %w", err)
	}
	for _, c := range kept {
		see(c.Runner, c.At)
	}
	return nil
}

// compact rewrites the log without what is over and returns the rest. It is called with creating held.
func (j *Journal) compact(now time.Time) ([]created, error) {
	path := filepath.Join(j.dir, createsFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var kept []created
	var out bytes.Buffer
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		var c created
		if json.Unmarshal(lines.Bytes(), &c) != nil || now.Sub(c.At) >= createSpan {
			continue
		}
		if c.At.After(now) {
			c.At = now
		}
		line, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		kept = append(kept, c)
		out.Write(append(line, '\n'))
	}
	j.created = len(kept)
	return kept, j.put(createsFile, "forget creations", out.Bytes())
}
