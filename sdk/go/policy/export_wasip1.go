package policy

import (
	"github.com/extism/go-pdk"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

//go:wasmexport describe
func exportDescribe() int32 { return export(abi.ExportDescribe) }

//go:wasmexport decide
func exportDecide() int32 { return export(abi.ExportDecide) }

//go:wasmexport validate
func exportValidate() int32 { return export(abi.ExportValidate) }

//go:wasmexport observe
func exportObserve() int32 { return export(abi.ExportObserve) }

// export runs one export between Extism's input and output. It returns 0, or 1 with Extism's error set.
func export(name string) int32 {
	out, err := Call(registered, name, pdk.Input())
	if err != nil {
		pdk.SetError(err)
		return 1
	}
	pdk.Output(out)
	return 0
}
