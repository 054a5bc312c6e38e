// Command google is the machine driver for Google Compute Engine: a machine is a VM of a project. It is a guest and speaks the Compute API
// through http_send, whose host signs with the operator's credential: see README.md.
package main

import "github.com/millwright-ci/millwright/sdk/go/driver"

func init() { driver.Register(google{}) }

func main() {}
