package host

import (
	"encoding/json"

	"github.com/extism/go-pdk"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Both functions take the offset of a block in Extism's memory that holds JSON; http_send returns the offset of another.

//go:wasmimport millwright log
func hostLog(record uint64)

//go:wasmimport millwright http_send
func hostHTTPSend(request uint64) uint64

func log(r abi.LogRecord) {
	data, err := json.Marshal(r)
	if err != nil {
		return
	}
	mem := pdk.AllocateBytes(data)
	hostLog(mem.Offset())
	mem.Free()
}

func httpSend(req abi.HTTPRequest) abi.HTTPResponse {
	data, err := json.Marshal(req)
	if err != nil {
		return failed("invalid", err)
	}
	in := pdk.AllocateBytes(data)
	out := pdk.FindMemory(hostHTTPSend(in.Offset()))
	in.Free()
	answer := out.ReadBytes()
	out.Free()
	var res abi.HTTPResponse
	if err := json.Unmarshal(answer, &res); err != nil {
		return failed("invalid", err)
	}
	return res
}
