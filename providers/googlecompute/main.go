// Command googlecompute is the driver of groups for Google Compute Engine: a group is a managed instance group, of a zone or of a region, that somebody
// made. It is a guest and speaks the Compute API through http_send, whose host signs with the operator's credential: see README.md.
package main

import "github.com/millwright-ci/millwright/sdk/go/driver"

func init() { driver.RegisterGroup(googlecompute{}) }

func main() {}
