package nestd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"gitlab.com/gitlab-org/fleeting/nesting/api"
	"gitlab.com/gitlab-org/fleeting/nesting/hypervisor"
)

// serve is the daemon, until its input ends.
func serve(dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	most, err := readMost(dir)
	if err != nil {
		return err
	}
	hv := &hypervisorOf{dir: dir, most: most, user: user}
	if login := os.Getenv(loginKey); login != "" {
		hv.user, hv.password, _ = strings.Cut(login, ":")
	}
	if err := hv.boot(); err != nil {
		return err
	}
	return api.Serve(ctx, hv)
}

func writeMost(dir string, most int) error {
	return os.WriteFile(filepath.Join(dir, "most"), []byte(strconv.Itoa(most)), 0o600)
}

func readMost(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "most"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// hypervisorOf keeps its virtual machines as folders: vms/ID is the home of one.
type hypervisorOf struct {
	dir  string
	most int
	user string // who logs in to virtual machines

	mu       sync.Mutex // guards what follows
	password string
	vms      map[string]*vm
}

var _ hypervisor.Hypervisor = (*hypervisorOf)(nil)

// boot starts what was there before.
func (h *hypervisorOf) boot() error {
	h.vms = map[string]*vm{}
	entries, err := os.ReadDir(filepath.Join(h.dir, "vms"))
	for _, e := range entries {
		if err == nil {
			_, err = h.start(e.Name(), "")
		}
	}
	return err
}

func (h *hypervisorOf) start(id, image string) (*vm, error) {
	one, err := newVM(filepath.Join(h.dir, "vms", id), func(name, password string) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return name == h.user && password == h.password && image != Mute
	})
	if err == nil {
		h.vms[id] = one
	}
	return one, err
}

// Init takes {"password": ...}. One that was started with a login takes anything.
func (h *hypervisorOf) Init(_ context.Context, config []byte) error {
	var c struct {
		Password string `json:"password"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if os.Getenv(loginKey) != "" {
		return nil
	}
	if c.Password == "" {
		return errors.New("nesting_config has no password")
	}
	h.password = c.Password
	return nil
}

func (h *hypervisorOf) Shutdown(context.Context) error { return nil }

func (h *hypervisorOf) Create(_ context.Context, image string) (hypervisor.VirtualMachine, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case image == Broken:
		return nil, fmt.Errorf("no image %q", image)
	case len(h.vms) >= h.most:
		return nil, fmt.Errorf("there are %d virtual machines, which is all that fit", len(h.vms))
	}
	id := "nesting-" + strings.ToLower(rand.Text()[:8])
	if err := os.Mkdir(filepath.Join(h.dir, "vms", id), 0o755); err != nil {
		return nil, err
	}
	one, err := h.start(id, image)
	if err != nil {
		return nil, err
	}
	made, err := os.OpenFile(filepath.Join(h.dir, "made"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(made, image)
		err = errors.Join(err, made.Close())
	}
	return hypervisor.VirtualMachineInfo{Id: id, Name: image, Addr: one.address}, err
}

func (h *hypervisorOf) Delete(_ context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.vms[id]
	if one == nil {
		return fmt.Errorf("no vm (%v) found", id)
	}
	one.end()
	delete(h.vms, id)
	sweep(one.home)
	return os.RemoveAll(one.home)
}

func (h *hypervisorOf) List(context.Context) ([]hypervisor.VirtualMachine, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []hypervisor.VirtualMachine
	for id, one := range h.vms {
		list = append(list, hypervisor.VirtualMachineInfo{Id: id, Addr: one.address})
	}
	return list, nil
}
