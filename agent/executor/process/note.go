package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// noted is a program that runs, as a file names it for another agent.
type noted struct {
	PID   int    `json:"pid"`
	Since string `json:"since"` // when it began, in the system's words: a number that was given to another program since has another
	Boot  string `json:"boot,omitempty"`
}

func note(path string, pid int) error {
	data, err := json.Marshal(noted{PID: pid, Since: since(pid), Boot: boot()})
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	return err
}

// Clear kills what a Command with this Note and Mark left when the agent died in the middle of it, and tells whether there was anything.
// A program that has got the noted number since is not touched.
func Clear(path, mark string) (killed bool, err error) {
	if strays := marked(mark); len(strays) > 0 {
		killed = true
		killEach(strays)
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return killed, nil
	}
	var n noted
	if err == nil {
		err = json.Unmarshal(data, &n)
	}
	if err != nil || n.PID <= 1 {
		return killed, errors.Join(fmt.Errorf("the process that %s names is not known", path), err)
	}
	if now := since(n.PID); n.Boot == boot() && n.Since != "" && (now == n.Since || now == "") && alive(n.PID, "") {
		killed = true
		kill(n.PID, "")
	}
	return killed, os.Remove(path)
}
