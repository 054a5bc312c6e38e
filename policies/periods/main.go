// Command periods is the built-in policy that chooses among the [[runners.machine.autoscaling]] sections of config.toml by the
// time of day. It is a guest: see README.md for what it decides.
package main

import "github.com/millwright-ci/millwright/sdk/go/policy"

func init() { policy.Register(periods{}) }

func main() {}
