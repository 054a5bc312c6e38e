// Package fakehcloud is Hetzner Cloud for tests: a small project of servers, SSH keys, placement groups and what an operator has beside, that speaks the
// Cloud API over HTTP. Requests are read strictly into the schema of Hetzner's own library, hcloud-go, and answered with it; what that does not know is
// noted. Only tests import it.
//
//	c, err := fakehcloud.Start(fakehcloud.Settings{BootTime: time.Second})
//	... MachineOptions = ["hetzner-endpoint=" + c.URL()] ...
//	c.Wrong() // what Hetzner would not have taken
package fakehcloud
