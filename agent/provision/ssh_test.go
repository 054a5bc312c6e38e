package provision

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gliderlabs/ssh"
)

// quick are limits for a machine on loopback that will fail.
func quick() Options {
	return Options{SSHTimeout: 2 * time.Second, EngineTimeout: 2 * time.Second, HostKeyGrace: 200 * time.Millisecond}
}

func TestProvisionErrors(t *testing.T) {
	type handlers = map[string]func(ssh.Session, map[string][]byte)
	fail := func(text string, code int) func(ssh.Session, map[string][]byte) {
		return func(s ssh.Session, _ map[string][]byte) {
			io.WriteString(s.Stderr(), text)
			s.Exit(code)
		}
	}
	on := func(release string) func(ssh.Session, map[string][]byte) {
		return func(s ssh.Session, files map[string][]byte) { probeOf(s, files, release, ""); s.Exit(0) }
	}
	bare := func(s ssh.Session, files map[string][]byte) { probeAnswer(s, files, ""); s.Exit(0) }
	for _, tt := range []struct {
		name    string
		scripts handlers
		user    string
		options map[string][]string
		want    []string
		phases  string
	}{
		{name: "no engine", scripts: handlers{"probe": on("ID=void\nPRETTY_NAME=Void")}, phases: "ssh engine",
			want: []string{"machine ci-1: engine: error installing docker: Void has no engine", "engine-install-url=https://get.docker.com"}},
		{name: "an image that lost its engine", scripts: handlers{"probe": on("ID=cos\nPRETTY_NAME=COS")}, phases: "ssh engine",
			want: []string{"error installing docker: COS has no engine", "its engine is part of the image"}},
		{name: "no package", scripts: handlers{"probe": bare, "install": fail("E: Unable to locate package docker.io\n", 100)}, phases: "ssh engine",
			want: []string{"error installing docker: on Debian 12: install: Process exited with status 100; output ends:\nE: Unable to locate"}},
		{name: "a release that is past", scripts: handlers{"probe": on("ID=ubuntu\nVERSION_ID=18.04\nPRETTY_NAME='Ubuntu 18.04'"), "install": fail("E: 404\n", 100)}, phases: "ssh engine",
			want: []string{"error installing docker: Docker no longer supports Ubuntu 18.04: it makes packages for Ubuntu 22.04 and later; use an image", "output ends:\nE: 404"}},
		{name: "a password in the output", scripts: handlers{"probe": bare, "install": fail("get https://me:s3cret@mirror.example/x\n", 1)}, phases: "ssh engine",
			want: []string{"get https://[redacted]@mirror.example/x"}},
		{name: "installation fails", scripts: handlers{"probe": bare, "install": fail("curl: (6) Could not resolve host", 6)}, phases: "ssh engine",
			options: map[string][]string{"engine-install-url": {"https://get.example.com"}},
			want:    []string{"error installing docker: on Debian 12: install: Process exited with status 6; output ends:\ncurl: (6) Could not"}},
		{name: "probe cut short", scripts: handlers{"probe": fail("What?", 0)}, phases: "ssh engine",
			want: []string{"cut short", "What?"}},
		{name: "configuration fails", scripts: handlers{"engine": fail("disk full\n", 1)}, phases: "ssh engine",
			want: []string{"engine: Process exited with status 1; output ends:\ndisk full"}},
		{name: "engine dies", scripts: handlers{"alive": fail("level=fatal msg=\"no cgroup\"\n", 1)}, phases: "ssh engine",
			want: []string{"the engine does not start: ", "no cgroup"}},
		{name: "engine stays silent", phases: "ssh engine", want: []string{"engine: tcp://127.0.0.1:1: no engine within 2s: "}},
		{name: "connection lost", phases: "ssh engine", want: []string{"connection was lost before the script ended"},
			scripts: handlers{"engine": func(s ssh.Session, _ map[string][]byte) { s.Context().Value(ssh.ContextKeyConn).(io.Closer).Close() }}},
		{name: "endless output", phases: "ssh engine", want: []string{"more than 1048576 bytes of output"},
			scripts: handlers{"engine": func(s ssh.Session, _ map[string][]byte) {
				for {
					if _, err := s.Write(bytes.Repeat([]byte("spam\n"), 1000)); err != nil {
						return
					}
				}
			}}},
		{name: "hangs", phases: "ssh engine", want: []string{"engine: no engine within 2s; output ends:\nbusy"},
			scripts: handlers{"engine": func(s ssh.Session, _ map[string][]byte) {
				io.WriteString(s, "busy\n")
				<-s.Context().Done()
			}}},
		{name: "sudo asks", user: "ubuntu", phases: "ssh engine", want: []string{"user ubuntu needs sudo without a password"},
			scripts: handlers{"probe": fail("sudo: a password is required\n", 1)}},
		{name: "login refused", user: "nobody", phases: "ssh", want: []string{"ssh: 127.0.0.1:", "as nobody: no login within 2s", "does the image create this user"}},
		{name: "bad option", options: map[string][]string{"engine-label": {"no value"}}, want: []string{`prepare: option engine-label: "no value"; give key=value`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newTest(t, quick())
			f := &sshMachine{scripts: tt.scripts}
			m := f.start(t, p, "ci-1", "")
			m.Instance.SSHUser, m.Options = tt.user, tt.options
			var phases []string
			_, err := p.Provision(context.Background(), m, func(s string) { phases = append(phases, s) })
			if err == nil {
				t.Fatal("went through")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("err = %v\nwant %q in it", err, want)
				}
			}
			if got := strings.Join(phases, " "); got != tt.phases {
				t.Errorf("phases %q, want %q", got, tt.phases)
			}
		})
	}
}

// TestEngineTime has an operator who waits longer for an engine, or less long.
func TestEngineTime(t *testing.T) {
	for name, limit := range map[string]time.Duration{"3s": 3 * time.Second, "1s": time.Second, "2s": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTest(t, quick())
			m := (&sshMachine{}).start(t, p, "ci-1", "")
			_, err := p.Within(func() Wishes { return Wishes{EngineTime: limit} }).Provision(t.Context(), m, nil)
			if err == nil || !strings.Contains(err.Error(), "no engine within "+name+": ") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestWrongHostKeyIsRefused(t *testing.T) {
	p := newTest(t, quick())
	other := bootstrap(t, newTest(t, Options{}), "stranger")
	f := &sshMachine{}
	_, err := p.Provision(context.Background(), f.start(t, p, "ci-1", other.HostKeyPrivate), nil)
	if !errors.Is(err, ErrHostKey) || !strings.Contains(err.Error(), "it shows SHA256:") {
		t.Errorf("err = %v, want ErrHostKey with a fingerprint", err)
	}
	if len(f.got) > 0 {
		t.Errorf("the stranger was sent %v", f.got)
	}
}

// Some clouds put the host key in place only while the machine boots: another one first is waited out.
func TestHostKeyArrivesLate(t *testing.T) {
	o := quick()
	o.HostKeyGrace = 10 * time.Second
	p := newTest(t, o)
	other := bootstrap(t, newTest(t, Options{}), "stranger")
	early := &sshMachine{}
	m := early.start(t, p, "ci-1", other.HostKeyPrivate)
	right := &sshMachine{scripts: map[string]func(ssh.Session, map[string][]byte){"probe": func(s ssh.Session, _ map[string][]byte) { s.Exit(7) }}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	right.serve(t, p, l, "ci-1", "")
	front := newSwitch(t, m.Instance.SSHPort, func(s *portSwitch, n int) {
		if n == 2 {
			s.to(l.Addr().(*net.TCPAddr).Port)
		}
	})
	m.Instance.SSHPort = front.port
	_, err = p.Provision(context.Background(), m, nil)
	if errors.Is(err, ErrHostKey) || err == nil || !strings.Contains(err.Error(), "status 7") {
		t.Errorf("err = %v, want the right machine's answer", err)
	}
}

func TestProvisionIsCancellable(t *testing.T) {
	cause := errors.New("the job was cancelled")
	for _, name := range []string{"probe", "engine"} {
		t.Run(name, func(t *testing.T) {
			p := newTest(t, Options{})
			ctx, cancel := context.WithCancelCause(context.Background())
			f := &sshMachine{scripts: map[string]func(ssh.Session, map[string][]byte){name: func(s ssh.Session, _ map[string][]byte) {
				cancel(cause)
				<-s.Context().Done()
			}}}
			_, err := p.Provision(ctx, f.start(t, p, "ci-1", ""), nil)
			if !errors.Is(err, cause) {
				t.Errorf("err = %v, want the cause", err)
			}
		})
	}
	t.Run("dial", func(t *testing.T) {
		p := newTest(t, Options{})
		bootstrap(t, p, "ci-1")
		silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		ctx, cancel := context.WithCancelCause(context.Background())
		m := machineAt("ci-1", "127.0.0.1", nil)
		m.Instance.SSHPort = silent.Addr().(*net.TCPAddr).Port
		if _, err = p.Provision(ctx, m, func(string) { time.AfterFunc(50*time.Millisecond, func() { cancel(cause) }) }); !errors.Is(err, cause) {
			t.Errorf("err = %v, want the cause", err)
		}
	})
}

func TestNoPrivateKeyInDebugLog(t *testing.T) {
	var log bytes.Buffer
	o := quick()
	o.Debug = &log
	p := newTest(t, o)
	f := &sshMachine{scripts: map[string]func(ssh.Session, map[string][]byte){"engine": func(s ssh.Session, files map[string][]byte) {
		if !bytes.Contains(files["server-key.pem"], []byte("PRIVATE KEY")) {
			t.Error("the key did not arrive")
		}
		io.WriteString(s, "some remote words")
		s.Exit(1)
	}}}
	m := f.start(t, p, "ci-1", "")
	m.Options = map[string][]string{"engine-env": {"HTTPS_PROXY=http://me:pr0xy@proxy:3128", "NPM_TOKEN=t0k%en", "LANG=C.UTF-8"}}
	p.Provision(context.Background(), m, nil)
	for _, want := range []string{"http://[redacted]@proxy:3128", "NPM_TOKEN=[redacted]", "LANG=C.UTF-8", "(ci-1) run engine: sh -c", "file server-key.pem, 2", "> some remote words", "tlsverify", "phase ssh took"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("debug log lacks %q", want)
		}
	}
	for _, secret := range []string{"PRIVATE KEY", "pr0xy", "t0k"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("debug log holds %s", secret)
		}
	}
}

func TestOneConnectionAndSudo(t *testing.T) {
	p := newTest(t, quick())
	f := &sshMachine{}
	m := f.start(t, p, "ci-1", "")
	m.Instance.SSHUser = "ubuntu"
	p.Provision(context.Background(), m, nil)
	if want := []string{"probe", "engine"}; len(f.got) < 2 || !slices.Equal(f.got[:2], want) {
		t.Errorf("scripts %v, want %v first", f.got, want)
	}
	for _, c := range f.commands {
		if c != "sudo -n "+launcher {
			t.Errorf("command %q", c)
		}
	}
}
