package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

const setbacksFile = "setbacks.json"

// setbackSpan is how long after their end setbacks of a runner are kept: the next failure counts as one more in a row.
const setbackSpan = time.Hour

// SetSetbacks writes down what failed creations taught about a runner's machines, in place of what was written before; none forgets it.
// When it returns nil a restart will know. It is safe for concurrent use.
func (j *Journal) SetSetbacks(runner string, s fleet.Setbacks) error {
	j.setbacks.Lock()
	defer j.setbacks.Unlock()
	all, _ := j.readSetbacks() // what can't be read is replaced
	delete(all, runner)
	maps.DeleteFunc(all, func(_ string, other fleet.Setbacks) bool {
		return s.At.Sub(other.Last()) > setbackSpan
	})
	if !s.None() {
		all[runner] = s
	}
	data, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = j.put(setbacksFile, "note setbacks", append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("setbacks of creations: %w", err)
	}
	return nil
}

// Setbacks returns what was written down of a runner last. With an error there are none.
func (j *Journal) Setbacks(runner string) (fleet.Setbacks, error) {
	j.setbacks.Lock()
	defer j.setbacks.Unlock()
	all, err := j.readSetbacks()
	if err != nil {
		return fleet.Setbacks{}, fmt.Errorf("setbacks of creations: %w", err)
	}
	return all[runner], nil
}

// readSetbacks returns those of all runners, by key; the map is never nil. It is called with setbacks held.
func (j *Journal) readSetbacks() (map[string]fleet.Setbacks, error) {
	all := map[string]fleet.Setbacks{}
	data, err := os.ReadFile(filepath.Join(j.dir, setbacksFile))
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil || all == nil { // null is JSON too
		return map[string]fleet.Setbacks{}, err
	}
	return all, nil
}
