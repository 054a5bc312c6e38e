package process

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Account is a user of this host.
type Account struct {
	Name, Home string
	uid, gid   uint32
	groups     []uint32
}

// LookUp finds the user whose rights programs are to have; nil when that is the agent's own. Only an agent that is root can give others'.
func LookUp(name string) (*Account, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	if own, err := user.Current(); err == nil && own.Uid == u.Uid {
		return nil, nil
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("user %s: only an agent that runs as root can run jobs as another user", name)
	}
	a := &Account{Name: u.Username, Home: u.HomeDir}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %s: %w", name, err)
	}
	numbers, err := parseIDs(append([]string{u.Uid, u.Gid}, ids...))
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	a.uid, a.gid, a.groups = numbers[0], numbers[1], numbers[2:]
	return a, nil
}

func parseIDs(texts []string) ([]uint32, error) {
	var out []uint32
	for _, text := range texts {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, err
		}
		out = append(out, uint32(n))
	}
	return out, nil
}

// Own gives the account a file or folder; nothing where a is nil.
func (a *Account) Own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// ownVariables are variables of the agent's environment that are no business of its jobs: secrets, and what systemd says to the agent alone.
var ownVariables = []string{"MILLWRIGHT_", "NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_FDS=", "LISTEN_PID=", "JOURNAL_STREAM=", "INVOCATION_ID=",
	"CI_SERVER_TOKEN=", "REGISTRATION_TOKEN=", "RUNNER_TOKEN="}

// Environment is the agent's, for a program with the rights of a: HOME and its kin are that user's, and the agent's secrets are left out.
func Environment(a *Account) []string {
	var out []string
	for _, entry := range os.Environ() {
		if !begins(entry, ownVariables) {
			out = append(out, entry)
		}
	}
	if a == nil {
		return out
	}
	return append(out, "HOME="+a.Home, "USER="+a.Name, "LOGNAME="+a.Name)
}

func begins(entry string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(entry, p) {
			return true
		}
	}
	return false
}
