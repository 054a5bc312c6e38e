// Command digitalocean is the machine driver for DigitalOcean: a machine is a droplet. It is a guest and speaks DigitalOcean's API through
// http_send, whose host signs with the operator's token: see README.md.
package main

import "github.com/millwright-ci/millwright/sdk/go/driver"

func init() { driver.Register(digitalocean{}) }

func main() {}
