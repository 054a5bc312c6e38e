package nestd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// Password is what the virtual machines ask of the user nested. It reaches them by nesting_config alone.
const Password = "in-the-nest"

// Images with a meaning; any other one works.
const (
	Broken = "broken" // can't be created
	Mute   = "mute"   // nobody gets in
)

// modeKey tells a test's binary that it is a daemon; its value is the daemon's folder.
const modeKey = "MILLWRIGHT_TEST_NESTD"

// socketKey is the library's own.
const socketKey = "NESTING_SOCKET"

// loginKey has the login to virtual machines, USER:PASSWORD, where nobody sets the daemon up.
const loginKey = "MILLWRIGHT_TEST_NESTD_LOGIN"

// Main is the daemon in a process that Start has begun; elsewhere it returns at once. TestMain calls it first.
func Main() {
	dir := os.Getenv(modeKey)
	if dir == "" {
		return
	}
	if err := serve(dir); err != nil {
		fmt.Fprintln(os.Stderr, "nestd:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Daemon is the daemon on an instance.
type Daemon struct {
	Socket string // its path has a blank
	dir    string

	mu      sync.Mutex // guards process
	process *exec.Cmd
	in      io.Closer // it lives as long as this is open
}

// Start starts a daemon that ends with the test, and its virtual machines with it. At most so many of these can be there at once.
func Start(t testing.TB, most int) *Daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "nestd") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{dir: dir, Socket: filepath.Join(dir, "Application Support", "nesting.sock")}
	t.Cleanup(func() {
		d.stop()
		sweep(dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(os.MkdirAll(filepath.Dir(d.Socket), 0o755), os.MkdirAll(filepath.Join(dir, "vms"), 0o755), writeMost(dir, most)); err != nil {
		t.Fatal(err)
	}
	d.begin(t)
	return d
}

// Program builds the daemon for this host's processor, to be started on another machine by Script.
func Program(t testing.TB) []byte {
	t.Helper()
	need.Command(t, "go")
	path := filepath.Join(t.TempDir(), "nestd")
	cmd := exec.Command("go", "build", "-o", path, "github.com/millwright-ci/millwright/agent/internal/nestd/serve")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // the machine may have another C library
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the nesting daemon: %v\n%s", err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// Homes is where the homes of the virtual machines are that the daemon of Script makes.
const Homes = "/var/lib/nestd/vms"

// Script is for root's shell on a machine that has what Program built at the path program: it starts the daemon as a user, who is made where there is
// none, at a socket, for at most so many virtual machines that let in vmUser by a password.
func Script(program, user, socket string, most int, vmUser, password string) string {
	return fmt.Sprintf(`set -eu
id %[2]s >/dev/null 2>&1 || useradd --create-home --shell /bin/bash --password '*' %[2]s
mkdir -p %[6]s "$(dirname '%[3]s')"
printf %%d %[4]d >%[6]s/../most
chown -R %[2]s %[6]s/.. "$(dirname '%[3]s')"
export %[7]s=/var/lib/nestd %[8]s='%[3]s' %[9]s='%[5]s'
setsid sh -c 'sleep infinity | setpriv --reuid "$0" --regid "$0" --init-groups "$1"' %[2]s '%[1]s' </dev/null >/var/log/nestd.log 2>&1 &
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
	if [ -S '%[3]s' ]; then exit 0; fi
	sleep 1
done
cat /var/log/nestd.log
exit 1
`, program, user, socket, most, vmUser+":"+password, Homes, modeKey, socketKey, loginKey)
}

// Restart ends the daemon and starts it anew: it has forgotten its set-up and its slots, but not the virtual machines.
func (d *Daemon) Restart(t testing.TB) {
	t.Helper()
	d.stop()
	d.begin(t)
}

// begin starts the process and waits until it listens.
func (d *Daemon) begin(t testing.TB) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), modeKey+"="+d.dir, socketKey+"="+d.Socket)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.process, d.in = cmd, in
	d.mu.Unlock()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(d.Socket); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the nesting daemon does not listen")
		}
	}
}

// stop ends the process.
func (d *Daemon) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.process == nil {
		return
	}
	d.in.Close()
	_ = d.process.Wait()
	d.process = nil
}

// VMs are the homes of the virtual machines that there are.
func (d *Daemon) VMs(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(d.dir, "vms"))
	if err != nil {
		t.Fatal(err)
	}
	var homes []string
	for _, e := range entries {
		homes = append(homes, filepath.Join(d.dir, "vms", e.Name()))
	}
	return homes
}

// Made are the images of all virtual machines that were ever created, in their order.
func (d *Daemon) Made(t testing.TB) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(d.dir, "made"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var images []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		images = append(images, lines.Text())
	}
	return images
}
