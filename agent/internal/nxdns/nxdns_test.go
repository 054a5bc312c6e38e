package nxdns

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The real resolver of the standard library must take the answer as final and at once.
func TestLookupFailsAtOnce(t *testing.T) {
	s, err := Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.Addr().String())
	}}
	begin := time.Now()
	_, err = resolver.LookupHost(t.Context(), "registry-1.docker.io.")
	var dns *net.DNSError
	if !errors.As(err, &dns) || !dns.IsNotFound {
		t.Fatalf("got %v, want not found", err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("took %v; a silent resolver takes 5 s and more", took)
	}
}

func TestAnswer(t *testing.T) {
	name := dnsmessage.MustNewName("docker.io.")
	question := []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}
	pack := func(m dnsmessage.Message) []byte {
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ordinary := pack(dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}, Questions: question})
	cases := map[string]struct {
		message []byte
		answers bool
		code    dnsmessage.RCode
	}{
		"question":          {ordinary, true, dnsmessage.RCodeNameError},
		"notify":            {pack(dnsmessage.Message{Header: dnsmessage.Header{OpCode: 4}, Questions: question}), true, dnsmessage.RCodeNotImplemented},
		"an answer":         {pack(dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Questions: question}), false, 0},
		"no question":       {pack(dnsmessage.Message{}), false, 0},
		"cut short":         {ordinary[:14], false, 0},
		"nothing":           {nil, false, 0},
		"count that lies":   {append([]byte{0, 1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0}, ordinary[12:]...), false, 0},
		"name that repeats": {[]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 0x0c, 0, 1, 0, 1}, false, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			reply, ok := Answer(c.message)
			if ok != c.answers {
				t.Fatalf("answered: %v, want %v", ok, c.answers)
			}
			if !ok {
				return
			}
			var m dnsmessage.Message
			if err := m.Unpack(reply); err != nil {
				t.Fatal(err)
			}
			if !m.Response || m.RCode != c.code || len(m.Questions) != 1 || m.Questions[0].Name.String() != "docker.io." {
				t.Errorf("reply %+v", m)
			}
		})
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, message []byte) {
		if reply, ok := Answer(message); ok && (len(reply) < 12 || reply[2]&0x80 == 0) {
			t.Errorf("reply %x is no answer", reply)
		}
	})
}
