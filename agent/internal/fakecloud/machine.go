package fakecloud

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// machine is what answers at a machine's address.
type machine struct {
	name        string
	ssh, engine *door
	config      atomic.Pointer[tls.Config] // of the engine, once the provisioner has sent it

	mu     sync.Mutex // guards images
	images map[string]string
}

// Machine is a machine without a cloud, for the fakes of other clouds: the same servers, at the ports that real machines have.
type Machine struct {
	machine *machine
	work    sync.WaitGroup
}

// StartMachine lets a machine answer at an address of loopback's, such as 127.77.0.1, at ports 22 and 2376, until Close. It wants the rights that
// port 22 takes. engine is as Options.Engine.
func StartMachine(name, address string, data UserData, engine func(machine string) http.Handler) (*Machine, error) {
	m := &Machine{}
	var err error
	m.machine, err = startMachine(name, net.JoinHostPort(address, "22"), net.JoinHostPort(address, "2376"), data, engine, &m.work)
	return m, err
}

// Close ends the machine.
func (m *Machine) Close() {
	m.machine.end()
	m.work.Wait()
}

// anyPort is a door's address where nobody minds which.
const anyPort = "127.0.0.1:0"

// startMachine opens a machine's doors at two addresses. Its servers end when these are closed; work waits for them.
func startMachine(name, sshAt, engineAt string, data UserData, more func(string) http.Handler, work *sync.WaitGroup) (*machine, error) {
	m := &machine{name: name, images: map[string]string{}}
	var err error
	if m.ssh, err = openDoor(sshAt); err != nil {
		return nil, err
	}
	if m.engine, err = openDoor(engineAt); err != nil {
		m.ssh.end()
		return nil, err
	}
	if server := m.sshServer(data); server != nil {
		work.Go(func() { _ = server.Serve(m.ssh) }) // ends with its door
	} else {
		m.ssh.set(Mute)
	}
	engine := &http.Server{
		Handler: m.docker(more), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if c := m.config.Load(); c != nil {
				return c, nil
			}
			return nil, errors.New("no engine runs here yet")
		}},
	}
	work.Go(func() { _ = engine.ServeTLS(m.engine, "", "") })
	return m, nil
}

// act lets something befall the machine's servers.
func (m *machine) act(a Act) {
	if a == Stop {
		a = Close
	}
	m.ssh.set(a)
	m.engine.set(a)
}

// end closes the doors for good.
func (m *machine) end() {
	m.ssh.end()
	m.engine.end()
}

// door is a listener that can take what comes in and serve none of it, and that can be closed together with all that came in.
type door struct {
	net.Listener
	mu    sync.Mutex // guards what follows
	shut  Act        // Mute, Close, or "" while it is open
	conns map[net.Conn]bool
}

func openDoor(address string) (*door, error) {
	l, err := net.Listen("tcp", address)
	return &door{Listener: l, conns: map[net.Conn]bool{}}, err
}

// Accept returns the next connection that is to be served.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		shut := d.shut
		if shut != Close {
			d.conns[c] = true
		}
		d.mu.Unlock()
		switch shut {
		case "":
			return visitor{c, d}, nil
		case Close:
			c.Close()
		}
	}
}

// set shuts the door, or opens it again.
func (d *door) set(a Act) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch a {
	case Mute, Close:
		d.shut = a
	case Revive:
		d.shut = ""
	default:
		return
	}
	d.drop()
}

func (d *door) end() {
	d.Listener.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = Close // for whoever was let in just now
	d.drop()
}

// drop ends all connections. The caller holds mu.
func (d *door) drop() {
	for c := range d.conns {
		c.Close()
	}
	clear(d.conns)
}

// visitor is a connection that its door forgets when it ends.
type visitor struct {
	net.Conn
	door *door
}

func (v visitor) Close() error {
	v.door.mu.Lock()
	delete(v.door.conns, v.Conn)
	v.door.mu.Unlock()
	return v.Conn.Close()
}
