// Command holidays is a policy that chooses the idle settings by working hours, with holidays, and warms the fleet up ahead of them. It is a
// guest: see README.md for what it decides.
package main

import "github.com/millwright-ci/millwright/sdk/go/policy"

func init() { policy.Register(holidays{}) }

func main() {}
