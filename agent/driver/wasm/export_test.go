package wasm

import "github.com/millwright-ci/millwright/sdk/go/abi"

// CheckOptions is what New checks of a description's options.
func CheckOptions(desc abi.Describe) error {
	_, err := optionsOf(desc)
	return err
}
