// Command aws is the driver of AWS Auto Scaling groups, for [runners.autoscaler]: it serves where fleeting-plugin-aws did, with its plugin_config. It is a
// guest and speaks the query APIs of EC2 Auto Scaling and EC2, and EC2 Instance Connect, through http_send, whose host signs with the operator's
// credential: see README.md.
package main

import "github.com/millwright-ci/millwright/sdk/go/driver"

func init() { driver.RegisterGroup(aws{}) }

func main() {}
