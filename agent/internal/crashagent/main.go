// Command crashagent is the agent for the crash suite, which lives beside it: Millwright's command line with a fast clock, that kills itself
// with SIGKILL at a point that it is given.
//
//	crashagent -points FILE -die POINT -cache DIR -guests DIR -grace 30m -- run --config … --state-dir …
//
// A point is reached before each change of the journal's files, from the owner's id on, and before and after each call of a driver. It has the
// same name in each run of the same day: the machine by the order in which machines were made, the change, and how often it came before, as in
// `1 save creating: put millwright.json #1`. Each one that is reached is appended to a file. At the one to die at the process ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/cli"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/agent/supervisor"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func main() {
	points := flag.String("points", os.DevNull, "`file` that the points are appended to")
	die := flag.String("die", "", "`point` to die at")
	cache := flag.String("cache", "", "`folder` of the modules' native code; the state directory's by default")
	built := flag.String("guests", "", "`folder` with dist/NAME.wasm.gz of the built-in modules; what is embedded by default")
	grace := flag.Duration("grace", 30*time.Minute, "how long an instance under our tag that is in no journal is left alone")
	flag.Parse()
	file, err := os.OpenFile(*points, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	m := &mortal{file: file, dies: *die, machines: map[string]int{}, times: map[string]int{}}
	os.Exit(cli.Main(append([]string{"millwright"}, flag.Args()...), m.embody, func(o *supervisor.Options) {
		o.OrphanGrace = grace
		o.Modules.CacheDir = *cache
		if *built != "" {
			o.Modules.Builtins = []fs.FS{os.DirFS(*built)}
		}
	}))
}

// mortal is a process that dies at a point.
type mortal struct {
	file *os.File
	dies string

	mu       sync.Mutex     // guards what follows, and is held for ever by the dead
	machines map[string]int // their numbers, from 1 on
	times    map[string]int // how often a point was reached
}

// embody stands between the agent's pools and the world, and makes their clock fast.
func (m *mortal) embody(o *supervisor.Options) {
	o.Watch = m.reach
	o.Pool = func(p *pool.Options) {
		p.Tick, p.Poll, p.List = 20*time.Millisecond, 40*time.Millisecond, 100*time.Millisecond
		drivers := p.Drivers
		p.Drivers = func(name string) (driver.Driver, error) {
			d, err := drivers(name)
			return calls{d, m}, err
		}
	}
}

// reach notes a point, and ends the process there when it is the one.
func (m *mortal) reach(machine, what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	point := what
	if machine != "" {
		if m.machines[machine] == 0 {
			m.machines[machine] = len(m.machines) + 1
		}
		point = strconv.Itoa(m.machines[machine]) + " " + what
	}
	m.times[point]++
	point += " #" + strconv.Itoa(m.times[point])
	if _, err := fmt.Fprintln(m.file, point); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if point != m.dies {
		return
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill() // no deferred call runs, nothing is flushed
	}
	select {} // until it takes effect
}

// calls are the process's calls to the provider.
type calls struct {
	driver.Driver
	m *mortal
}

func (c calls) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	c.m.reach(req.Name, "create: call")
	i, err := c.Driver.Create(ctx, req)
	c.m.reach(req.Name, "create: answer")
	return i, err
}

func (c calls) List(ctx context.Context, req abi.ListRequest) (abi.ListResult, error) {
	c.m.reach("", "list: call")
	res, err := c.Driver.List(ctx, req)
	c.m.reach("", "list: answer")
	return res, err
}

func (c calls) Remove(ctx context.Context, req abi.RemoveRequest) error {
	c.m.reach(req.Name, "remove: call")
	err := c.Driver.Remove(ctx, req)
	c.m.reach(req.Name, "remove: answer")
	return err
}
