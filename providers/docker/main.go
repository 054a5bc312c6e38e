// Command docker is the machine driver for a local Docker engine: a machine is a container with sshd, and later its own engine. It is
// a guest and reaches the engine through http_send on its socket: see README.md.
package main

import "github.com/millwright-ci/millwright/sdk/go/driver"

func init() { driver.Register(dockerDriver{}) }

func main() {}
