// Package fakedo is DigitalOcean for tests: a small cloud of droplets, SSH keys and tags that speaks its API over HTTP. Requests are read strictly into
// the types of DigitalOcean's own library, godo, and answered with them; what those do not know is noted. Only tests import it.
//
//	c, err := fakedo.Start(fakedo.Settings{BootTime: time.Second})
//	... MachineOptions = ["digitalocean-endpoint=" + c.URL()] ...
//	c.Wrong() // what DigitalOcean would not have taken
package fakedo
