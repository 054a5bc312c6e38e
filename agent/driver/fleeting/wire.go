package fleeting

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millwright-ci/millwright/agent/config"
)

// The protocol: service proto.InstanceGroup of fleeting's instance_group.proto, in its wire form. The messages are few and flat, so they are
// written and read here, field by field; a field that is not known, or of another type than it should be, is skipped as protobuf has it.
// Source: gitlab.com/gitlab-org/fleeting/fleeting, internal/plugin/proto/instance_group.proto.

// message is one that goes over the wire.
type message interface {
	append(b []byte) []byte
	field(f field) error // takes over one field of its wire form
}

// field is one of a message's: n of a number, b of a text, bytes or message.
type field struct {
	num  protowire.Number
	kind protowire.Type
	n    uint64
	b    []byte
}

// fields are those of a message, in the order of the wire.
func fields(b []byte) iter.Seq2[field, error] {
	return func(yield func(field, error) bool) {
		for len(b) > 0 {
			f := field{}
			n := 0
			if f.num, f.kind, n = protowire.ConsumeTag(b); n < 0 {
				yield(f, protowire.ParseError(n))
				return
			}
			b = b[n:]
			switch f.kind {
			case protowire.VarintType:
				f.n, n = protowire.ConsumeVarint(b)
			case protowire.BytesType:
				f.b, n = protowire.ConsumeBytes(b)
			default:
				n = protowire.ConsumeFieldValue(f.num, f.kind, b)
			}
			if n < 0 {
				yield(f, protowire.ParseError(n))
				return
			}
			if b = b[n:]; !yield(f, nil) {
				return
			}
		}
	}
}

func (f field) is(num protowire.Number, kind protowire.Type) bool {
	return f.num == num && f.kind == kind
}

// text takes the field into to, if it is the text of that number.
func (f field) text(num protowire.Number, to *string) {
	if f.is(num, protowire.BytesType) {
		*to = string(f.b)
	}
}

func (f field) secret(num protowire.Number, to *config.Secret) {
	if f.is(num, protowire.BytesType) {
		*to = config.Secret(f.b)
	}
}

func (f field) number(num protowire.Number, to *int64) {
	if f.is(num, protowire.VarintType) {
		*to = int64(f.n)
	}
}

func (f field) duration(num protowire.Number, to *time.Duration) {
	if f.is(num, protowire.VarintType) {
		*to = time.Duration(f.n)
	}
}

func decode(b []byte, m message) error {
	for f, err := range fields(b) {
		if err == nil {
			err = m.field(f)
		}
		if err != nil {
			return fmt.Errorf("the answer is no message of the protocol: %w", err)
		}
	}
	return nil
}

func appendText[T ~string | ~[]byte](b []byte, num protowire.Number, v T) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), string(v))
}

func appendNumber[T ~int64 | ~uint32](b []byte, num protowire.Number, v T) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(v))
}

// codec lets gRPC carry our messages. Its name is that of protobuf's, which the plug-in's side reads.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) ([]byte, error) {
	m, ok := v.(message)
	if !ok {
		return nil, fmt.Errorf("%T is no message of the protocol", v)
	}
	return m.append(nil), nil
}

func (codec) Unmarshal(b []byte, v any) error {
	m, ok := v.(message)
	if !ok {
		return fmt.Errorf("%T is no message of the protocol", v)
	}
	return decode(b, m)
}

// empty is Empty.
type empty struct{}

func (empty) append(b []byte) []byte { return b }
func (empty) field(field) error      { return nil }

// connector is ConnectorConfig: how instances are reached, as connector_config has it and as the group says. Durations are nanoseconds.
type connector struct {
	os, arch, protocol, username string
	password, key                config.Secret
	static                       int64 // not 0: the plug-in makes no credentials of its own
	keepalive, timeout           time.Duration
	port                         int64 // 0: the protocol's own
}

func (c *connector) append(b []byte) []byte {
	b = appendText(b, 1, c.os)
	b = appendText(b, 2, c.arch)
	b = appendText(b, 3, c.protocol)
	b = appendText(b, 4, c.username)
	b = appendText(b, 5, c.password.Reveal())
	b = appendText(b, 6, c.key.Reveal())
	b = appendNumber(b, 7, c.static)
	b = appendNumber(b, 8, int64(c.keepalive))
	b = appendNumber(b, 9, int64(c.timeout))
	return appendNumber(b, 10, c.port)
}

func (c *connector) field(f field) error {
	f.text(1, &c.os)
	f.text(2, &c.arch)
	f.text(3, &c.protocol)
	f.text(4, &c.username)
	f.secret(5, &c.password)
	f.secret(6, &c.key)
	f.number(7, &c.static)
	f.duration(8, &c.keepalive)
	f.duration(9, &c.timeout)
	f.number(10, &c.port)
	return nil
}

// initRequest is InitRequest with its Settings. The configuration is JSON.
type initRequest struct {
	config    []byte
	connector connector
}

func (r *initRequest) append(b []byte) []byte {
	b = appendText(b, 1, r.config)
	settings := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), r.connector.append(nil))
	return protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), settings)
}

func (r *initRequest) field(field) error { return errors.New("it is one that only the agent sends") }

// initResponse is InitResponse.
type initResponse struct {
	id, version, build string
	maxSize            int64
}

func (r *initResponse) append(b []byte) []byte { return b }

func (r *initResponse) field(f field) error {
	f.text(1, &r.id)
	f.number(2, &r.maxSize)
	f.text(3, &r.version)
	f.text(4, &r.build)
	return nil
}

// update is UpdateResponse: one instance of a list.
type update struct {
	instance string
	state    int64
}

func (u *update) append(b []byte) []byte { return b }

func (u *update) field(f field) error {
	f.text(1, &u.instance)
	f.number(2, &u.state)
	return nil
}

// count is IncreaseRequest and IncreaseResponse.
type count struct{ n int64 }

func (c *count) append(b []byte) []byte { return appendNumber(b, 1, c.n) }

func (c *count) field(f field) error {
	f.number(1, &c.n)
	if c.n < 0 || c.n > math.MaxUint32 {
		return fmt.Errorf("a count of %d", c.n)
	}
	return nil
}

// ids is DecreaseRequest and DecreaseResponse.
type ids []string

func (l *ids) append(b []byte) []byte {
	for _, id := range *l {
		b = protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), id)
	}
	return b
}

func (l *ids) field(f field) error {
	if f.is(1, protowire.BytesType) {
		if len(*l) >= maxInstances {
			return fmt.Errorf("more than %d ids", maxInstances)
		}
		*l = append(*l, string(f.b))
	}
	return nil
}

// one is ConnectInfoRequest and HeartbeatRequest.
type one struct{ instance string }

func (o *one) append(b []byte) []byte { return appendText(b, 1, o.instance) }
func (o *one) field(f field) error    { f.text(1, &o.instance); return nil }

// connectResponse is ConnectInfoResponse. expires is in seconds since 1970; 0: never.
type connectResponse struct {
	connector          connector
	external, internal string
	expires            int64
}

func (r *connectResponse) append(b []byte) []byte { return b }

func (r *connectResponse) field(f field) error {
	f.text(2, &r.external)
	f.text(3, &r.internal)
	f.number(4, &r.expires)
	if f.is(1, protowire.BytesType) {
		return decode(f.b, &r.connector)
	}
	return nil
}
