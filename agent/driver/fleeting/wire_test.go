package fleeting

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

func TestWire(t *testing.T) {
	want := connector{os: "linux", arch: "arm64", protocol: "ssh", username: "mw", password: "p", key: "k", static: 1, keepalive: time.Second, timeout: time.Minute, port: 22}
	var got connector
	if err := decode(want.append(nil), &got); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	list := ids{"a", "", "b"}
	var back ids
	if err := decode(list.append(nil), &back); err != nil || !reflect.DeepEqual(back, list) {
		t.Errorf("got %v, %v", back, err)
	}
}

// What no plug-in on fleeting's library sends.
func TestBadMessages(t *testing.T) {
	text := func(num protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), s)
	}
	number := func(num protowire.Number, n uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), n)
	}
	for name, c := range map[string]struct {
		bytes []byte
		into  message
		want  string
	}{
		"cut":              {text(1, "abc")[:3], &update{}, "no message of the protocol"},
		"no tag":           {[]byte{0xff}, &update{}, "no message of the protocol"},
		"endless number":   {append(protowire.AppendTag(nil, 2, protowire.VarintType), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), &update{}, "no message of the protocol"},
		"huge count":       {number(1, 1<<40), &count{}, "a count of"},
		"negative count":   {number(1, ^uint64(0)), &count{}, "a count of -1"},
		"inner cut":        {text(1, "\x0a\x05a"), &connectResponse{}, "no message of the protocol"},
		"unknown fields":   {append(number(99, 7), text(98, "x")...), &connectResponse{}, "<nil>"},
		"other wire types": {append(number(1, 7), text(2, "x")...), &update{}, "<nil>"},
	} {
		if err := decode(c.bytes, c.into); !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	many := ids(make([]string, maxInstances+1))
	if err := decode(many.append(nil), &ids{}); err == nil || !strings.Contains(err.Error(), "more than 10000 ids") {
		t.Errorf("too many ids: %v", err)
	}
}

// Whatever comes, nothing breaks.
func FuzzDecode(f *testing.F) {
	c := connector{os: "linux", timeout: time.Minute}
	f.Add(c.append(nil))
	f.Add((&ids{"a", "b"}).append(nil))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range []message{&connector{}, &initResponse{}, &update{}, &count{}, &ids{}, &one{}, &connectResponse{}, empty{}} {
			if err := decode(b, m); err == nil {
				m.append(nil)
			}
		}
		var r connectResponse
		if decode(b, &r) == nil {
			_, _ = r.connection("i-1")
		}
	})
}
