// Package fakeasg is an Auto Scaling group of AWS, for tests: EC2 Auto Scaling, EC2 and EC2 Instance Connect behind one address, as far as the driver aws
// asks them. Its instances can be real machines of the test's: see Hooks. A request that is not signed, or for another service or region, is refused; so
// is one with a parameter that the API does not have.
package fakeasg
