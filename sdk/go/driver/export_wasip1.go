package driver

import (
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/internal/kernel"
)

//go:wasmexport describe
func exportDescribe() int32 { return export(abi.ExportDescribe) }

//go:wasmexport validate
func exportValidate() int32 { return export(abi.ExportValidate) }

//go:wasmexport create
func exportCreate() int32 { return export(abi.ExportCreate) }

//go:wasmexport list
func exportList() int32 { return export(abi.ExportList) }

//go:wasmexport remove
func exportRemove() int32 { return export(abi.ExportRemove) }

//go:wasmexport check
func exportCheck() int32 { return export(abi.ExportCheck) }

//go:wasmexport start
func exportStart() int32 { return export(abi.ExportStart) }

//go:wasmexport stop
func exportStop() int32 { return export(abi.ExportStop) }

//go:wasmexport restart
func exportRestart() int32 { return export(abi.ExportRestart) }

//go:wasmexport kill
func exportKill() int32 { return export(abi.ExportKill) }

//go:wasmexport logs
func exportLogs() int32 { return export(abi.ExportLogs) }

//go:wasmexport group_info
func exportGroupInfo() int32 { return export(abi.ExportGroupInfo) }

//go:wasmexport increase
func exportIncrease() int32 { return export(abi.ExportIncrease) }

//go:wasmexport decrease
func exportDecrease() int32 { return export(abi.ExportDecrease) }

//go:wasmexport connect_info
func exportConnectInfo() int32 { return export(abi.ExportConnectInfo) }

//go:wasmexport heartbeat
func exportHeartbeat() int32 { return export(abi.ExportHeartbeat) }

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
