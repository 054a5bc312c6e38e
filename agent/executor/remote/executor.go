package remote

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"time"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/process"
)

// Settings say what one job needs of its host.
type Settings struct {
	// Connect settles how the host is dialled. Its error is the preparation's.
	Connect func() (Dial, error)
	// Machine says that the host is a machine of the agent's: when it can't be reached, another one may serve.
	Machine   bool
	Keepalive time.Duration // 0 is Options' own
	Greeting  string        // said before the host is dialled
	Plain     bool          // scripts are run by no login shell

	Shell     string // bash, sh; "" means bash
	Pwsh      string // the PowerShell that the user's scripts are for, which the host must have: pwsh, powershell; "" is Shell
	BuildsDir string // "" is builds in the login's directory, where relative ones begin too
	CacheDir  string // "" is cache there
	Shared    bool   // other jobs have the same builds directory
	// Helper returns the path of the helper binary for an operating system and an architecture in Go's words; "" when there is none.
	Helper     func(system, arch string) string
	HelperHint string // where it is looked for
	Console    executor.Console
	Log        *slog.Logger
	JobID      int64
	Handle     []byte // of the executor of an agent before, to go on with its job, or to clear what it left
}

// Executor is one job on a host. It implements executor.Lasting.
type Executor struct {
	o      Settings
	host   *Host // nil before Prepare
	handle handle
}

var (
	_ executor.Lasting = (*Executor)(nil)
	_ executor.Prober  = (*Executor)(nil)
)

// handle is what another agent needs to go on with a job, or to clear what it left.
type handle struct {
	Job string `json:"job"` // the name of the job's folder on the host
}

// New returns an executor for one job. The host is not dialled before Prepare.
func New(o Settings) (*Executor, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	e := &Executor{o: o, handle: handle{Job: process.FolderName(o.JobID) + rand.Text()}}
	if o.Handle != nil {
		if err := json.Unmarshal(o.Handle, &e.handle); err != nil {
			return nil, fmt.Errorf("what the agent before has noted of the job's host: %w", err)
		}
		if !process.IsFolder(e.handle.Job) {
			return nil, fmt.Errorf("the folder of the agent before, %q, is none of a job", e.handle.Job)
		}
	}
	return e, nil
}

// Handle implements executor.Handled.
func (e *Executor) Handle() []byte {
	data, _ := json.Marshal(e.handle) // strings: it cannot fail
	return data
}

func (e *Executor) options() (Options, error) {
	dial, err := e.o.Connect()
	return Options{Dial: dial, Job: e.handle.Job, Shell: cmp.Or(e.o.Shell, "bash"), Pwsh: e.o.Pwsh, Log: e.o.Log, Keepalive: e.o.Keepalive, Plain: e.o.Plain}, err
}

// fault makes a machine that can't be reached the engine's fault.
func (e *Executor) fault(err error) error {
	var lost *LostError
	if e.o.Machine && errors.As(err, &lost) {
		return &executor.Error{Kind: executor.Engine, Err: err}
	}
	return err
}

// Prepare connects and asks the host for its directories.
func (e *Executor) Prepare(ctx context.Context) (ready executor.Ready, err error) {
	o, err := e.options()
	if err != nil {
		return ready, err
	}
	e.o.Console.Println(e.o.Greeting)
	if e.host, err = Open(ctx, o); err != nil {
		return ready, e.fault(err)
	}
	home := e.host.Facts.Home
	ready = executor.Ready{
		Shell: o.Shell, Shared: e.o.Shared,
		BuildsDir: below(home, cmp.Or(e.o.BuildsDir, "builds")), CacheDir: below(home, cmp.Or(e.o.CacheDir, "cache")),
	}
	if ready.HelperDir, err = e.placeHelper(ctx); err != nil {
		return ready, e.fault(err)
	}
	return ready, nil
}

// Resume implements executor.Lasting.
func (e *Executor) Resume(ctx context.Context) error {
	o, err := e.options()
	if err != nil {
		return err
	}
	e.host, err = Reopen(ctx, o)
	return e.fault(err)
}

func below(home, dir string) string {
	if isAbs(dir) {
		return path.Clean(dir)
	}
	return path.Join(home, dir)
}

// placeHelper puts the helper onto a host that has none, once per version of it: it returns the folder on the host that holds it, "" where
// the host's own serves or there is none.
func (e *Executor) placeHelper(ctx context.Context) (dir string, err error) {
	f := e.host.Facts
	if f.Helper != "" {
		return "", nil
	}
	local := ""
	if e.o.Helper != nil {
		local = e.o.Helper(f.System, f.Arch)
	}
	if local == "" {
		e.o.Console.Warningln(fmt.Sprintf("The host has neither gitlab-runner nor gitlab-runner-helper along PATH, and there is no millwright-helper for %s/%s "+
			"to be copied there (%s): caches and artifacts are off", f.System, f.Arch, e.o.HelperHint))
		return "", nil
	}
	content, err := os.ReadFile(local)
	if err != nil {
		return "", fmt.Errorf("the helper for the host: %w", err)
	}
	sum := sha256.Sum256(content)
	dir = path.Join(f.Home, ".cache", "millwright", "helper-"+hex.EncodeToString(sum[:8]))
	file := path.Join(dir, "gitlab-runner-helper")
	there, err := e.host.Has(ctx, file)
	if err != nil || there {
		return dir, err
	}
	e.o.Console.Println("Copying millwright-helper to the host ...")
	return dir, e.host.Put(ctx, file, "755", content)
}

// Run implements executor.Executor.
func (e *Executor) Run(ctx context.Context, s executor.Stage) error {
	return e.fault(e.host.Run(ctx, s))
}

// Probe implements executor.Prober.
func (e *Executor) Probe(ctx context.Context) error {
	if e.host == nil {
		return nil // nothing is known against it
	}
	return e.host.Probe(ctx)
}

// Attach implements executor.Lasting.
func (e *Executor) Attach(ctx context.Context, s executor.Stage, from executor.Start, _ executor.Position) (started bool, err error) {
	started, err = e.host.Attach(ctx, s, from)
	return started, e.fault(err)
}

// Leave implements executor.Lasting.
func (e *Executor) Leave() {
	if e.host != nil {
		e.host.Leave()
	}
}

// Cleanup removes the job's folder on the host. What a job that came to its end left in the background goes on; what runs of a job whose
// agent died is killed.
func (e *Executor) Cleanup(ctx context.Context) error {
	switch {
	case e.host != nil:
		return e.host.Close(ctx)
	case e.o.Handle == nil:
		return nil
	}
	o, err := e.options()
	if err != nil {
		return err
	}
	return e.fault(Clear(ctx, o))
}
