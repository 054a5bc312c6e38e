// Command queue-depth is a policy that creates machines for the jobs that wait at GitLab, before the runner has them. It is a guest: see
// README.md for what it decides.
package main

import "github.com/millwright-ci/millwright/sdk/go/policy"

func init() { policy.Register(queueDepth{}) }

func main() {}
