package fakearm

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
)

// order is what a cloud asks of the hardware: to boot a machine, or to end it.
type order struct{ Do, Machine, User, Key, CustomData string }

// serve is where the cloud's process reaches the test's hardware, "" where there is none. What still runs at the end of the test is stopped.
func serve(t testing.TB, h fakecloud.Hardware) (url string) {
	if h == nil {
		return ""
	}
	var mu sync.Mutex // guards running
	running := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var o order
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if o.Do == "stop" {
			delete(running, o.Machine)
			h.Stop(o.Machine)
			return
		}
		address, err := o.boot(h)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		running[o.Machine] = true
		_, _ = w.Write([]byte(address))
	}))
	t.Cleanup(func() {
		s.Close() // nothing is under way then
		for machine := range running {
			h.Stop(machine)
		}
	})
	return s.URL
}

// boot boots a machine with the login that the cloud gives it, and the host key that cloud-init reads.
func (o order) boot(h fakecloud.Hardware) (address string, err error) {
	config, err := base64.StdEncoding.DecodeString(o.CustomData)
	if err != nil {
		return "", err
	}
	return h.Start(o.Machine, fakecloud.UserData{SSHUser: o.User, AuthorizedKey: o.Key, HostKeyPrivate: fakecloud.HostKey(string(config))})
}
