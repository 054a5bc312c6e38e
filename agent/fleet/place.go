package fleet

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Place is where machines were removed lately. A provider may still show one there: a creation that it answered with an error, or not at all,
// can go through when nobody looks any more.
type Place struct {
	Driver  string      `json:"driver"`
	Options abi.Options `json:"options,omitempty"` // the driver's, of one of these machines
	Machine string      `json:"machine,omitempty"` // its name, which the options may hold
	Left    time.Time   `json:"left"`              // when the last of them was removed, to within a few minutes
}

// Key is the same for all machines of one driver and the same options but for their names.
func (p Place) Key() string {
	data, _ := json.Marshal(p.Options) // lists of strings by name: it cannot fail
	key := string(data)
	if p.Machine != "" {
		key = strings.ReplaceAll(key, p.Machine, "%s")
	}
	return p.Driver + " " + key
}
