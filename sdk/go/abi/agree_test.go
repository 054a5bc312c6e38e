package abi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// kinds are the names of payloads, in a fixed order.
var kinds = func() []string {
	var names []string
	for kind := range payloads {
		names = append(names, kind)
	}
	slices.Sort(names)
	return names
}()

// TestAgreesWithEncodingJSON writes and reads random values of every payload with both codecs.
func TestAgreesWithEncodingJSON(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			for range 300 {
				p := payloads[kind]()
				fill(reflect.ValueOf(p).Elem(), false, random)
				guest, err := encode(p)
				if err != nil {
					t.Fatal(err)
				}
				host := hostJSON(t, p)
				if string(guest) != host {
					t.Fatalf("written\nby the guest %s\nby the host  %s", guest, host)
				}
				again, byHost := payloads[kind](), payloads[kind]()
				if err := errors.Join(decode(host, again), json.Unmarshal(guest, byHost)); err != nil {
					t.Fatal(err)
				}
				for _, p := range []abi.Payload{again, byHost} {
					if out, err := encode(p); err != nil || !bytes.Equal(out, guest) {
						t.Fatalf("read and written again %s, %v\nwant                   %s", out, err, guest)
					}
				}
			}
		})
	}
}

// hostJSON is p as encoding/json writes it, without the escapes that the canonical form has not.
func hostJSON(t *testing.T, p abi.Payload) string {
	t.Helper()
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029", `\ufffd`, "\uFFFD").Replace(strings.TrimSpace(out.String()))
}

// words and raws are what random payloads are made of.
var (
	words = []string{"", "a", "runner-ab-auto-1", `say "\"`, "<a&b>", "line\nfeed\ttab\r\b\f", "\x00\x1f\x7f", "é€漢😀", "\u2028\u2029\uFFFD", "bad \xff\xc3( \xe2\x82", strings.Repeat("x", 300)}
	raws  = []string{`{}`, `[]`, `{"a":[1,2.50,{"b":null}],"c":"d e\"f\\"}`, `-0.0`, `1e400`, `"x"`, `true`, `false`}
	odd   = []float64{0, 1, 0.1, -1.5, 1e-7, 1e-6, 1e20, 1e21, 123456789, math.MaxFloat64, math.SmallestNonzeroFloat64, 0.30000000000000004}
)

// fill sets v at random. What omitempty would leave out may be nil; what is always written is not, since encoding/json writes null for
// it and the canonical form does not.
func fill(v reflect.Value, mayBeNil bool, random *rand.Rand) {
	n := random.IntN(4)
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), strings.HasSuffix(v.Type().Field(i).Tag.Get("json"), ",omitempty"), random)
		}
	case reflect.Pointer:
		if n > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), false, random)
		}
	case reflect.String:
		v.SetString(words[random.IntN(len(words))])
	case reflect.Int, reflect.Int64:
		v.SetInt([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, random.Int64()}[random.IntN(6)])
	case reflect.Float64:
		v.SetFloat(odd[random.IntN(len(odd))])
		if f := math.Float64frombits(random.Uint64()); n == 0 && !math.IsNaN(f) && !math.IsInf(f, 0) {
			v.SetFloat(f)
		}
	case reflect.Bool:
		v.SetBool(n > 1)
	case reflect.Slice:
		fillSlice(v, n, mayBeNil, random)
	case reflect.Map:
		if n == 0 && mayBeNil {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for range n {
			item := reflect.New(v.Type().Elem()).Elem()
			fill(item, false, random)
			v.SetMapIndex(reflect.ValueOf(words[random.IntN(8)]), item) // those that are UTF-8: others may become one key
		}
	default:
		panic("no random " + v.Type().String())
	}
}

func fillSlice(v reflect.Value, n int, mayBeNil bool, random *rand.Rand) {
	switch {
	case v.Type() == reflect.TypeFor[abi.Raw]():
		if n > 0 {
			v.SetBytes([]byte(raws[random.IntN(len(raws))]))
		}
	case n == 0 && mayBeNil:
	default:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		if v.Type().Elem().Kind() == reflect.Uint8 {
			for i := range n {
				v.Index(i).SetUint(random.Uint64() & 0xff)
			}
			return
		}
		for i := range n {
			fill(v.Index(i), false, random)
		}
	}
}

// FuzzUnmarshal reads any bytes with both codecs. The guests' may refuse no more than the host's, but for what ABI.md says, nothing less,
// and both must read the same.
func FuzzUnmarshal(f *testing.F) {
	for _, v := range codecs(f) {
		f.Add(slices.Index(kinds, v.Kind), []byte(v.Input))
	}
	f.Fuzz(func(t *testing.T, kind int, data []byte) {
		if kind < 0 || kind >= len(kinds) {
			return
		}
		guest, host := payloads[kinds[kind]](), payloads[kinds[kind]]()
		guestErr, hostErr := decode(data, guest), json.Unmarshal(data, host)
		if guestErr == nil {
			roundTrip(t, guest, payloads[kinds[kind]]())
		}
		if !comparable(data) {
			return
		}
		if (guestErr == nil) != (hostErr == nil) {
			t.Fatalf("guest: %v, host: %v", guestErr, hostErr)
		}
		if guestErr != nil {
			return
		}
		ours, err := encode(guest)
		theirs, errs := encode(host)
		if err != nil || errs != nil || !bytes.Equal(ours, theirs) {
			t.Fatalf("guest %s, %v\nhost  %s, %v", ours, err, theirs, errs)
		}
	})
}

// roundTrip checks that what was read is written so that it reads back the same.
func roundTrip(t *testing.T, p, again abi.Payload) {
	t.Helper()
	out, err := encode(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := decode(out, again); err != nil {
		t.Fatalf("%v, of %s", err, out)
	}
	if twice, err := encode(again); err != nil || !bytes.Equal(out, twice) {
		t.Fatalf("first %s\nthen  %s, %v", out, twice, err)
	}
}

// comparable tells whether data is free of what the two codecs are known to treat differently: nesting, names in upper case, two values
// with one name, and lists of numbers for bytes.
func comparable(data []byte) bool {
	if bytes.ContainsRune(data, '[') && (bytes.Contains(data, []byte(`"body"`)) || bytes.ContainsRune(data, '\\')) {
		return false
	}
	var open []map[string]bool // names of each open object, nil of a list
	name := false              // whether a name comes next
	for dec := json.NewDecoder(bytes.NewReader(data)); ; {
		token, err := dec.Token()
		if err == io.EOF {
			return true
		} else if err != nil {
			return !errors.As(err, new(*json.UnmarshalTypeError))
		}
		switch token := token.(type) {
		case json.Delim:
			switch token {
			case '{':
				open = append(open, map[string]bool{})
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
			if len(open) > 60 {
				return false
			}
		case string:
			if name {
				seen := open[len(open)-1]
				if seen[token] || strings.ToLower(token) != token || strings.ContainsFunc(token, func(r rune) bool { return r > 0x7f }) {
					return false
				}
				seen[token] = true
				name = false
				continue
			}
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}
