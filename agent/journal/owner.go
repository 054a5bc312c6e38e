package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	ownerFile     = "owner"
	ownerLength   = 16
	ownerAlphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
)

var ownerID = regexp.MustCompile(`^[0-9a-z]{16}$`)

// ReadOwner returns the owner id of a state directory without opening it, or "" when it has none yet or can't be read.
func ReadOwner(dir string) string {
	id, _ := readOwner(dir)
	return id
}

// readOwner returns the owner id of a state directory, or "" when it has none yet.
func readOwner(dir string) (string, error) {
	path := filepath.Join(dir, ownerFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("owner id: %w", err)
	}
	id := strings.TrimSpace(string(data))
	if !ownerID.MatchString(id) {
		return "", fmt.Errorf("owner id: %s does not hold 16 characters of 0-9 and a-z; put back the id that tags the machines "+
			"at the provider, since without it they cannot be found again", path)
	}
	return id, nil
}

// makeOwner writes an owner id: the one that the machines in the store were made under when the file got lost, else a new one.
func (j *Journal) makeOwner() (string, error) {
	id, err := j.lostOwner()
	if err != nil {
		return "", err
	}
	if id == "" {
		id = newOwner()
	}
	if err := j.put(ownerFile, "owner", []byte(id+"\n")); err != nil {
		return "", fmt.Errorf("owner id: %w", err)
	}
	return id, nil
}

// lostOwner looks for the owner id in the records of machines.
func (j *Journal) lostOwner() (string, error) {
	entries, err := os.ReadDir(j.machines())
	if err != nil {
		return "", err
	}
	found := ""
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(j.machines(), e.Name(), recordFile))
		if err != nil {
			continue
		}
		_, owner, err := decodeRecord(e.Name(), data)
		if err != nil || !ownerID.MatchString(owner) {
			continue
		}
		if found != "" && found != owner {
			return "", fmt.Errorf("owner id: the file %s is lost and the machines in the store were made under %s and %s; write "+
				"the right one into that file", filepath.Join(j.dir, ownerFile), found, owner)
		}
		found = owner
	}
	return found, nil
}

// TakeOver replaces the owner id by that of a state directory that was lost, so that what was made under it is found again. It refuses
// while the store holds machines of the present owner, since these would be lost for it. Entries of the other owner may be there.
func (j *Journal) TakeOver(owner string) error {
	if !ownerID.MatchString(owner) {
		return fmt.Errorf("owner id %q: 16 characters of 0-9 and a-z are needed; `millwright machine ls --orphans` shows those that there are", owner)
	}
	if owner == j.owner {
		return nil
	}
	machines, problems, err := j.Load()
	if err != nil {
		return err
	}
	for _, p := range problems {
		if errors.Is(p.Err, ErrCorrupt) {
			return fmt.Errorf("state directory %s: %s; it may be the present owner's: mend or remove it first", j.dir, p)
		}
	}
	if n := len(machines); n > 0 {
		return fmt.Errorf("state directory %s: it holds %d machines of the owner %s, %s among them, which nobody would find then; "+
			"remove them first (millwright machine rm --all), or take over in a new state directory", j.dir, n, j.owner, machines[0].Name)
	}
	if err := j.put(ownerFile, "take over", []byte(owner+"\n")); err != nil {
		return fmt.Errorf("owner id: %w", err)
	}
	j.owner = owner
	return nil
}

// newOwner makes a random id. Rejecting bytes beyond a multiple of 36 keeps every character equally likely.
func newOwner() string {
	const fair = 256 - 256%len(ownerAlphabet)
	id := make([]byte, 0, ownerLength)
	for b := make([]byte, 1); len(id) < ownerLength; {
		rand.Read(b) // never fails: crypto/rand ends the program instead
		if int(b[0]) < fair {
			id = append(id, ownerAlphabet[int(b[0])%len(ownerAlphabet)])
		}
	}
	return string(id)
}
