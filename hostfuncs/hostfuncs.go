// Package hostfuncs holds what a guest can ask of the host: the table of host functions, with a package below it for each. ABI.md
// beside it is the contract between the two sides.
package hostfuncs

import (
	"context"
	"encoding/json"

	extism "github.com/extism/go-sdk"

	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/hostfuncs/logs"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// maxPayload bounds what a host function reads from the guest: the body of a request in base64, and its headers.
const maxPayload = httpsend.MaxRequest*4/3 + 128<<10

// Call is what one call into a module may use. The host makes one for each call.
type Call struct {
	Log *logs.Sink
	// Memory holds the blocks that the guest and the host functions hand each other. Without one nothing passes.
	Memory Memory
	// HTTP is nil where the export must be pure, as decide must.
	HTTP   *httpsend.Client
	Grants httpsend.Grants
	// Requests counts those that the guest asked for, and Refused those of them that got no answer.
	Requests, Refused int
}

// Memory is made of blocks, each known by its offset; 0 stands for none.
type Memory interface {
	Length(offset uint64) uint64       // 0 where there is no block
	Read(offset uint64) ([]byte, bool) // a copy; false where there is no block
	Write(data []byte) (offset uint64) // a new block; 0 when there is no room
}

type callKey struct{}

// WithCall returns a context for a call into a module whose host functions use c.
func WithCall(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// function is one entry of the table.
type function struct {
	name    string
	returns bool // a block of Extism's memory, as all take one
	serve   func(ctx context.Context, c *Call, input []byte) any
}

// table joins each name to what it does. Adding a host function is one entry here, a package below, and a section of ABI.md.
var table = []function{
	{name: abi.FuncLog, serve: serveLog},
	{name: abi.FuncHTTPSend, returns: true, serve: serveHTTPSend},
}

// Table returns the host functions for Extism. They find their Call in the context of the call.
func Table() []extism.HostFunction {
	out := make([]extism.HostFunction, 0, len(table))
	for _, f := range table {
		var returns []extism.ValueType
		if f.returns {
			returns = []extism.ValueType{extism.ValueTypePTR}
		}
		hf := extism.NewHostFunctionWithStack(f.name, f.run, []extism.ValueType{extism.ValueTypePTR}, returns)
		hf.SetNamespace(abi.HostModule)
		out = append(out, hf)
	}
	return out
}

// run carries JSON between the guest's memory and the function. A guest that names a block which there is not sends nothing, and one
// that leaves no room for the answer gets the offset 0.
func (f function) run(ctx context.Context, _ *extism.CurrentPlugin, stack []uint64) {
	c, ok := ctx.Value(callKey{}).(*Call)
	if !ok {
		c = &Call{} // a call that the host did not mean for host functions, such as the start of an instance
	}
	out := f.serve(ctx, c, c.read(stack[0]))
	if !f.returns {
		return
	}
	stack[0] = 0
	if data, err := json.Marshal(out); err == nil && c.Memory != nil {
		stack[0] = c.Memory.Write(data)
	}
}

// read copies a block of the guest's, nil when there is none or it is too large.
func (c *Call) read(offset uint64) []byte {
	if c.Memory == nil || c.Memory.Length(offset) > maxPayload {
		return nil
	}
	data, _ := c.Memory.Read(offset)
	return data
}

func serveLog(ctx context.Context, c *Call, input []byte) any {
	var r abi.LogRecord
	if c.Log == nil || json.Unmarshal(input, &r) != nil {
		return nil
	}
	c.Log.Write(ctx, r)
	return nil
}

func serveHTTPSend(ctx context.Context, c *Call, input []byte) any {
	fail := func(kind, message string) abi.HTTPResponse {
		return abi.HTTPResponse{Error: &abi.HTTPError{Kind: kind, Message: message}}
	}
	c.Requests++
	c.Refused++
	if c.HTTP == nil {
		return fail("denied", "http_send is not to be had here: decide is pure, and describe and validate ask nobody")
	}
	var req abi.HTTPRequest
	if err := json.Unmarshal(input, &req); err != nil {
		return fail("invalid", "the request is no JSON of http_send, or too large: "+err.Error())
	}
	res := c.HTTP.Send(ctx, c.Grants, req)
	if res.Error == nil {
		c.Refused--
	}
	return res
}
