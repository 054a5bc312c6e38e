// Command amazonec2 is the machine driver for Amazon EC2: a machine is an instance of a region. It is a guest and speaks EC2's query API
// through http_send, whose host signs with the operator's credential: see README.md.
package main

import "github.com/millwright-ci/millwright/sdk/go/driver"

func init() { driver.Register(amazonec2{}) }

func main() {}
