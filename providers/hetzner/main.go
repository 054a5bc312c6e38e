// Command hetzner is the machine driver for Hetzner Cloud: a machine is a server of a project. It is a guest and speaks the Cloud API through
// http_send, whose host signs with the operator's token: see README.md.
package main

import "github.com/millwright-ci/millwright/sdk/go/driver"

func init() { driver.Register(hetzner{}) }

func main() {}
