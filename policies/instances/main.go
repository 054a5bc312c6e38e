// Command instances is the built-in policy of runners with [runners.autoscaler]: it chooses the policy section that counts now and turns it into a
// number of slots to hold free. It is a guest: see README.md for what it decides.
package main

import "github.com/millwright-ci/millwright/sdk/go/policy"

func init() { policy.Register(instances{}) }

func main() {}
