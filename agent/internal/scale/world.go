package scale

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
)

// Programs are what a world is made of.
type Programs struct {
	Agent       Command // gets run and its flags
	Cloud       Command // gets the flags of fakecloud/serve
	Coordinator Command // runs Coordinator
	Driver      []byte  // examples/drivers/fakecloud as Wasm
}

// world is an agent with all it needs, each a process of its own.
type world struct {
	dir     string
	cloud   *child
	coord   *child
	agent   *child
	where   Announcement
	metrics string // address of the agent's page
}

// newWorld starts an agent that is to hold so many machines and to run that many jobs at most. What it started it ends with close, also
// when it fails.
func newWorld(ctx context.Context, p Programs, machines, jobs int) (w *world, err error) {
	w = &world{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.dir, err = os.MkdirTemp("", "mwscale"); err != nil {
		return w, err
	}
	if w.cloud, err = w.begin("cloud", p.Cloud, "--machines", "--jobs", "--until-eof", "--settings", `{"page_size":1000}`); err != nil {
		return w, err
	}
	api, err := w.cloud.first()
	if err != nil {
		return w, err
	}
	w.cloud.watch()
	if w.coord, err = w.begin("coordinator", p.Coordinator); err != nil {
		return w, err
	}
	line, err := w.coord.first()
	if err != nil {
		return w, err
	}
	w.coord.watch()
	if err := json.Unmarshal([]byte(line), &w.where); err != nil {
		return w, fmt.Errorf("coordinator: %q: %w", line, err)
	}
	if err := w.write(api, p.Driver, machines, jobs); err != nil {
		return w, err
	}
	agent := Command{Args: p.Agent.Args, Env: append([]string{"MILLWRIGHT_HELPER_DIR=" + w.dir}, p.Agent.Env...)}
	w.agent, err = w.begin("agent", agent, "run", "--config", filepath.Join(w.dir, "config.toml"), "--state-dir", filepath.Join(w.dir, "state"))
	if err != nil {
		return w, err
	}
	w.agent.watch()
	return w, w.findMetrics(ctx)
}

func (w *world) begin(name string, c Command, args ...string) (*child, error) {
	return begin(w.dir, name, c, args...)
}

// write lays out what the agent reads.
func (w *world) write(api string, driver []byte, machines, jobs int) error {
	idle := min(machines, 1000)
	config := fmt.Sprintf(`concurrent = %d
listen_address = "127.0.0.1:0"
log_format = "text"

[[runners]]
  name = "scale"
  url = %q
  token = %q
  executor = "docker+machine"
  limit = %d
  [runners.docker]
    image = "debian:bookworm"
    pull_policy = ["if-not-present"]
  [runners.machine]
    IdleCount = %d
    IdleTime = 86400
    MachineDriver = "fakecloud"
    MachineName = "scale-%%s"
    MachineOptions = ["fakecloud-endpoint=%s"]
`, jobs+10, w.where.URL, w.where.Token, max(machines, 1), idle, api)
	operator := fmt.Sprintf(`[drivers.fakecloud]
calls_per_second = 200
calls_burst = 200

[grants.fakecloud]
hostnames = [%q]
private_addresses = ["127.0.0.0/8"]
`, api)
	if err := os.Mkdir(filepath.Join(w.dir, "drivers.d"), 0o700); err != nil {
		return err
	}
	helper, err := fakecloud.HelperImage()
	if err != nil {
		return err
	}
	for path, data := range map[string][]byte{
		"config.toml": []byte(config), "millwright.toml": []byte(operator), "drivers.d/fakecloud.wasm": driver,
		"helper-image-" + runtime.GOARCH + ".tar": helper,
	} {
		if err := os.WriteFile(filepath.Join(w.dir, filepath.FromSlash(path)), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

var listening = regexp.MustCompile(`(?m)(?:listen_address|address)=("?)(127\.0\.0\.1:[0-9]+)("?)`)

// findMetrics waits for the agent to say where its metrics are.
func (w *world) findMetrics(ctx context.Context) error {
	return until(ctx, 20*time.Millisecond, "the agent's start", w.agent, func() (bool, error) {
		data, err := os.ReadFile(w.agent.log)
		if found := listening.FindSubmatch(data); found != nil && !strings.HasSuffix(string(found[2]), ":0") {
			w.metrics = string(found[2])
			return true, nil
		}
		return false, err
	})
}

// scrape reads the agent's metrics.
func (w *world) scrape(ctx context.Context) (page, error) {
	data, err := get(ctx, http.MethodGet, "http://"+w.metrics+"/metrics", nil)
	return readPage(data), err
}

// load sets what the coordinator keeps up.
func (w *world) load(ctx context.Context, l Load) error {
	data, err := json.Marshal(l)
	if err == nil {
		_, err = get(ctx, http.MethodPut, w.where.Control+"/load", data)
	}
	return err
}

func (w *world) reset(ctx context.Context) error {
	_, err := get(ctx, http.MethodPost, w.where.Control+"/reset", nil)
	return err
}

func (w *world) status(ctx context.Context) (s LoadStatus, err error) {
	data, err := get(ctx, http.MethodGet, w.where.Control+"/status", nil)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	return s, err
}

func get(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, res.Status, data)
	}
	return data, err
}

// close ends the processes, the agent first, and removes what they left.
func (w *world) close() error {
	for _, p := range []*child{w.agent, w.coord, w.cloud} {
		if p != nil {
			p.end(syscall.SIGKILL) // nothing is to be kept, and a thousand machines need not be removed one by one
		}
	}
	if w.dir == "" {
		return nil
	}
	return os.RemoveAll(w.dir)
}
