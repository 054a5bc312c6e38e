package supervisor

import (
	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/pool"
)

// providerRates are how fast the accounts of providers may be called whose limits are below the pool's defaults. A call of a driver is several
// requests; a part is left to others who use the account.
//
// Sources: DigitalOcean API, "Rate Limit": 250 requests a minute and 5,000 an hour. Hetzner Cloud API, "Rate Limiting": 3,600 an hour. EC2 Developer
// Guide, "Request throttling for the Amazon EC2 API": RunInstances 5 and 2 a second, other changes more.
var providerRates = map[string]pool.Rates{
	"amazonec2":    {Calls: pool.Rate{PerSecond: 1.8, Burst: 5}, Removes: pool.Rate{PerSecond: 1.5, Burst: 5}},
	"digitalocean": {Calls: pool.Rate{PerSecond: 0.4, Burst: 55}, Removes: pool.Rate{PerSecond: 0.3, Burst: 10}},
	"hetzner":      {Calls: pool.Rate{PerSecond: 0.3, Burst: 60}, Removes: pool.Rate{PerSecond: 0.25, Burst: 20}},
}

// ratesOf returns the operator's rates of a driver; what they do not say is the provider's, and 0 where the pool's default will do.
func ratesOf(driver string, d config.OperatorDriver) pool.Rates {
	r := providerRates[driver]
	if d.CallsPerSecond > 0 {
		r.Calls.PerSecond = d.CallsPerSecond
	}
	if d.CallsBurst > 0 {
		r.Calls.Burst = d.CallsBurst
	}
	if d.RemovesPerSecond > 0 {
		r.Removes.PerSecond = d.RemovesPerSecond
	}
	if d.RemovesBurst > 0 {
		r.Removes.Burst = d.RemovesBurst
	}
	return r
}
