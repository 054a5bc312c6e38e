package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

const placesFile = "places.json"

// placeSpan is how long a place is remembered: longer than anybody looks there.
const placeSpan = 2 * time.Hour

// NotePlace writes down that a machine is about to be forgotten at a place, in place of what was noted of the same driver and options before.
// When it returns nil a restart will know. It is safe for concurrent use.
func (j *Journal) NotePlace(p fleet.Place) error {
	j.places.Lock()
	defer j.places.Unlock()
	all, _ := j.readPlaces() // what can't be read is replaced
	all = slices.DeleteFunc(all, func(other fleet.Place) bool {
		return p.Left.Sub(other.Left) > placeSpan || other.Key() == p.Key()
	})
	p.Left = p.Left.UTC()
	data, err := json.MarshalIndent(append(all, p), "", "  ")
	if err == nil {
		err = j.put(placesFile, "note a place", append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("places of machines: %w", err)
	}
	return nil
}

// Places returns where machines were removed within the last hours, the latest last. With an error there are none.
func (j *Journal) Places() ([]fleet.Place, error) {
	j.places.Lock()
	defer j.places.Unlock()
	all, err := j.readPlaces()
	if err != nil {
		return nil, fmt.Errorf("places of machines: %w", err)
	}
	return all, nil
}

// readPlaces is called with places held.
func (j *Journal) readPlaces() ([]fleet.Place, error) {
	data, err := os.ReadFile(filepath.Join(j.dir, placesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []fleet.Place
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}
