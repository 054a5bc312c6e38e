package winrmd

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// Who logs in.
const (
	User     = "Administrator"
	Password = "P<a>ss&word"
)

// Host is the host.
type Host struct {
	Address string // 127.0.0.1
	Port    int
	Home    string // of the login

	server *httptest.Server

	mu       sync.Mutex // guards what follows
	shells   map[string]*shell
	requests int
	silent   chan struct{} // closed when it speaks again; nil while it does
}

// Start starts a host that ends with the test; with secure it speaks HTTPS, with a certificate that nobody knows.
func Start(t testing.TB, secure bool) *Host {
	t.Helper()
	need.Command(t, "bash")
	need.Command(t, "setsid")
	h := &Host{Home: filepath.Join(t.TempDir(), "home"), shells: map[string]*shell{}}
	bin := filepath.Join(h.Home, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// As the profile of Git for Windows does for what the WMI service starts, whose environment is the system's.
	if err := os.WriteFile(filepath.Join(h.Home, ".bash_profile"), []byte("PATH=$HOME/bin:$PATH\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.server = httptest.NewUnstartedServer(http.HandlerFunc(h.serve))
	if secure {
		h.server.StartTLS()
	} else {
		h.server.Start()
	}
	at := h.server.Listener.Addr().(*net.TCPAddr)
	h.Address, h.Port = at.IP.String(), at.Port
	t.Cleanup(func() {
		h.Silence(false)
		h.server.CloseClientConnections()
		h.server.Close()
		sweep(homeMark, h.Home)
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, s := range h.shells {
			s.end()
		}
	})
	return h
}

// programs stand in for those of Windows.
var programs = map[string]string{
	"cygpath": "#!/bin/sh\nfor last; do :; done\nprintf '%s\\n' \"$last\"\n",
	"powershell.exe": `#!/bin/sh
for last; do :; done
case $(printf %s "$last" | base64 -d | tr -d '\000') in
*"Get-Command git.exe"*) command -v bash ;;
*Win32_Process*)
	line=$(cat)
	env -u ` + shellMark + ` setsid sh -c "exec $line" </dev/null >/dev/null 2>&1 &
	;;
*) echo "unknown script" >&2; exit 1 ;;
esac
`,
}

// Cut cuts all connections at once, in the middle of whatever they carry.
func (h *Host) Cut() { h.server.CloseClientConnections() }

// Silence keeps the host from answering, or lets it.
func (h *Host) Silence(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case on && h.silent == nil:
		h.silent = make(chan struct{})
	case !on && h.silent != nil:
		close(h.silent)
		h.silent = nil
	}
}

// Requests is how many there have been.
func (h *Host) Requests() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests
}

// Shells is how many are open.
func (h *Host) Shells() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.shells)
}

// PortText is the port as config.toml has it.
func (h *Host) PortText() string { return strconv.Itoa(h.Port) }

func (h *Host) serve(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.requests++
	silent := h.silent
	h.mu.Unlock()
	if silent != nil {
		select {
		case <-silent:
		case <-r.Context().Done():
			return
		}
	}
	user, password, _ := r.BasicAuth()
	if user != User || subtle.ConstantTimeCompare([]byte(password), []byte(Password)) == 0 {
		w.Header().Set("WWW-Authenticate", `Basic realm="WSMAN"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/wsman" {
		http.NotFound(w, r)
		return
	}
	m, err := read(r.Body)
	if err == nil {
		err = m.check()
	}
	var answer string
	if err == nil {
		answer, err = h.answer(r, m)
	}
	w.Header().Set("Content-Type", "application/soap+xml;charset=UTF-8")
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		answer = faultOf(err)
	}
	_, _ = w.Write([]byte(envelope(answer)))
}

// holdLimit bounds what a client may ask to be held back.
const holdLimit = time.Minute
