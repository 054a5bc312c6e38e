package wasm

import "github.com/millwright-ci/millwright/sdk/go/abi"

// CheckGroupList is what is checked of a group's list as a whole.
var CheckGroupList = checkGroupList

// CheckOptions is what New checks of a description's options.
func CheckOptions(desc abi.Describe, builtin bool) error {
	_, err := optionsOf(desc, builtin)
	return err
}
