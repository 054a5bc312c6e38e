package policy

import (
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/internal/kernel"
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
	out, err := call(registered, name, kernel.Input())
	if err != nil {
		kernel.SetError(err.Error())
		return 1
	}
	kernel.Output(out)
	return 0
}
