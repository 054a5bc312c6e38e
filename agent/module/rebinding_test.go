package module_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
)

// rebinding starts a name server for this process and returns a name whose address is 127.0.0.1 at first, which is granted, and ever after
// 127.0.0.2, which is not.
func rebinding(t testing.TB) (name string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var asked atomic.Int32
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, peer, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply, ok := answer(buf[:n], &asked); ok {
				_, _ = conn.WriteTo(reply, peer) // a lost answer is asked for again
			}
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = conn.Close()
		<-done
	})
	return "rebinding.test"
}

// TestRebinding holds that the address which is dialled counts, at each request, and not the one that the name had before.
func TestRebinding(t *testing.T) {
	rebound := newWeb(t).rebound
	m, err := moduletest.Host(t, module.Limits{}).Load(t.Context(), module.Source{
		Name: "probe", Wasm: guests.Wasm(t, probe), Hostnames: []string{strings.TrimSuffix(rebound, "/")}, Private: loopback,
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`"status":200`, `"kind":"denied"`, `"kind":"denied"`} {
		out, err := m.Call(t.Context(), "observe", observing(t, fmt.Sprintf(`{"do":"http","url":%q}`, rebound)))
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("request %d: got %s, %v; want %s", i+1, out, err, want)
		}
	}
}

func answer(question []byte, asked *atomic.Int32) ([]byte, bool) {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil, false
	}
	m.Response, m.Additionals = true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		address := [4]byte{127, 0, 0, 1}
		if asked.Add(1) > 1 {
			address = [4]byte{127, 0, 0, 2}
		}
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: address},
		}}
	}
	reply, err := m.Pack()
	return reply, err == nil
}
