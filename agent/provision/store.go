package provision

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/millwright-ci/millwright/agent/journal"
)

// Names of files in the store. certs/ has caFile, caKeyFile, certFile and keyFile; machines/NAME/ has the rest and copies of
// caFile, certFile and keyFile.
const (
	caFile        = "ca.pem"
	caKeyFile     = "ca-key.pem"
	certFile      = "cert.pem"
	keyFile       = "key.pem"
	serverFile    = "server.pem"
	serverKeyFile = "server-key.pem"
	userKeyFile   = "id_ed25519"
	hostKeyFile   = "host_ed25519"
	pubSuffix     = ".pub"
	lockFile      = ".bootstrap.lock"
)

// store knows the folders below the store's root.
type store struct{ root string }

func (s store) certs() string { return filepath.Join(s.root, "certs") }

func (s store) machine(name string) string { return filepath.Join(s.root, "machines", name) }

// machineName is docker-machine's rule for names. It keeps a name from leaving its folder.
var machineName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}$`)

// makeMachine makes the machine's folder (0700) if need be and returns its path.
func (s store) makeMachine(name string) (string, error) {
	if !machineName.MatchString(name) {
		return "", fmt.Errorf("machine name %q: allowed are 1 to 63 letters, digits, dots and hyphens, a letter or digit first", name)
	}
	dir := s.machine(name)
	return dir, os.MkdirAll(dir, 0o700)
}

// writeFile replaces path as a whole: readers see the old content or the new, also after a crash.
func writeFile(path string, data []byte, perm fs.FileMode) error {
	tmp, err := writeTemp(path, data, perm)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return journal.SyncDir(filepath.Dir(path))
}

// createFile is writeFile for a path that must not exist yet; otherwise its error is fs.ErrExist and nothing changes.
func createFile(path string, data []byte, perm fs.FileMode) error {
	tmp, err := writeTemp(path, data, perm)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); err != nil {
		return err
	}
	return journal.SyncDir(filepath.Dir(path))
}

// writeTemp writes data to a new file beside path, down to the disk, and returns its name.
func writeTemp(path string, data []byte, perm fs.FileMode) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // made 0600
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return f.Name(), err
}

// exists tells whether there is a file at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
