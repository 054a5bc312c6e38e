// Command azure is the machine driver for Microsoft Azure: a machine is a virtual machine of a resource group. It is a guest and speaks Azure
// Resource Manager through http_send, whose host signs with the operator's credential: see README.md.
package main

import "github.com/millwright-ci/millwright/sdk/go/driver"

func init() { driver.Register(azure{}) }

func main() {}
