package host

import (
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/internal/kernel"
)

// Both functions take the offset of a block in Extism's memory that holds JSON; http_send returns the offset of another.

//go:wasmimport millwright log
func hostLog(record uint64)

//go:wasmimport millwright http_send
func hostHTTPSend(request uint64) uint64

func log(r abi.LogRecord) {
	data, err := r.AppendJSON(nil)
	if err != nil {
		return
	}
	kernel.Send(data, hostLog)
}

func httpSend(req abi.HTTPRequest) abi.HTTPResponse {
	data, err := req.AppendJSON(nil)
	if err != nil {
		return failed("invalid", err)
	}
	var answer string
	kernel.Send(data, func(offset uint64) { answer = kernel.Take(hostHTTPSend(offset)) })
	var res abi.HTTPResponse
	if err := res.DecodeJSON(answer); err != nil {
		return failed("invalid", err)
	}
	return res
}
