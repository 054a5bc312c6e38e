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

// startMachine opens a machine's doors. Its servers end when these are closed; work waits for them.
func startMachine(name string, data UserData, more func(string) http.Handler, work *sync.WaitGroup) (*machine, error) {
	m := &machine{name: name, images: map[string]string{}}
	var err error
	if m.ssh, err = openDoor(); err != nil {
		return nil, err
	}
	if m.engine, err = openDoor(); err != nil {
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

func openDoor() (*door, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
