package coordinator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var systemID = regexp.MustCompile(`^[sr]_[0-9a-zA-Z]{12}$`)

// LoadSystemID returns the id by which the coordinator tells the installations apart that share a token, from the file at path:
// .runner_system_id beside config.toml. A missing or malformed file is written anew: s_ and a hash of the machine's id, so that it is
// the one that gitlab-runner would use here, else r_ and random characters. When it cannot be written there is an id and an error: the
// id then serves for this run only.
func LoadSystemID(path string) (string, error) {
	if data, err := os.ReadFile(path); err == nil {
		if id := strings.TrimSpace(string(data)); systemID.MatchString(id) {
			return id, nil
		}
	}
	id := newSystemID(machineID())
	if err := writeFile(path, id); err != nil {
		return id, fmt.Errorf("system id %s is not kept: %w; write it to %s by hand, or the coordinator sees a new runner manager at each start",
			id, err, path)
	}
	return id, nil
}

func newSystemID(machine string) string {
	if machine == "" {
		return "r_" + rand.Text()[:12]
	}
	mac := hmac.New(sha256.New, []byte(machine))
	mac.Write([]byte("gitlab-runner"))
	return "s_" + hex.EncodeToString(mac.Sum(nil))[:12]
}

// machineID is the id that Linux gives a machine at its installation; "" where there is none. See machine-id(5).
func machineID() string {
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if data, err := os.ReadFile(path); err == nil {
			if id := strings.TrimSpace(string(data)); id != "" {
				return id
			}
		}
	}
	return ""
}

// writeFile puts content at path in one step, for the owner alone.
func writeFile(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".system-id-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed, as it should
	_, err = f.WriteString(content + "\n")
	if syncErr := f.Sync(); err == nil {
		err = syncErr
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
