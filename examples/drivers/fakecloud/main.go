// Command fakecloud is a machine driver, an example of how to write one: it speaks to the small cloud that Millwright's own tests run against.
// README.md tells how to make it yours.
package main

import "github.com/millwright-ci/millwright/sdk/go/driver"

func init() { driver.Register(cloud{}) }

func main() {}
