// Command idlescale is the built-in policy that turns IdleCount, IdleCountMin and IdleScaleFactor into a number of machines to hold
// available. It is a guest: see README.md for what it decides.
package main

import "github.com/millwright-ci/millwright/sdk/go/policy"

func init() { policy.Register(idleScale{}) }

func main() {}
