package fakegce

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// stopInstance switches a VM off, which takes as long as an operation. It loses an external address that is not reserved.
func (c *Cloud) stopInstance(r *request) (any, error) {
	_, i, err := c.find(r)
	if err != nil {
		return nil, err
	}
	op := c.begin(r, "stop", text(i.object, "selfLink"), text(i.object, "id"))
	if i.forced == "" {
		i.forced = "STOPPING"
		op.finish = func() { c.off(i) }
	}
	return c.due(op), nil
}

// off is the end of a stop. The caller holds mu.
func (c *Cloud) off(i *instance) {
	i.forced = "TERMINATED"
	if i.stop != nil {
		i.stop()
		i.stop = nil
	}
	for _, a := range externals(i.object) {
		if !c.reserved(text(a, "natIP")) {
			delete(a, "natIP")
		}
	}
}

func (c *Cloud) reserved(address string) bool {
	for _, a := range c.addresses {
		if a == address {
			return true
		}
	}
	return false
}

// startInstance switches a VM on again.
func (c *Cloud) startInstance(r *request) (any, error) {
	_, i, err := c.find(r)
	if err != nil {
		return nil, err
	}
	if i.forced == "STOPPING" {
		return nil, refuse(http.StatusBadRequest, "resourceNotReady", "The resource 'projects/%s/zones/%s/instances/%s' is not ready", i.project, i.zone, i.name)
	}
	op := c.begin(r, "start", text(i.object, "selfLink"), text(i.object, "id"))
	if i.forced == "TERMINATED" {
		i.forced, i.booted, i.runs = "", false, time.Now().Add(c.settings.OpTime+c.settings.BootTime)
		c.network(i)
	}
	return c.due(op), nil
}

// serialPort is what a VM wrote to its first port. A negative start counts from the end.
func (c *Cloud) serialPort(r *request) (any, error) {
	_, i, err := c.find(r)
	if err != nil {
		return nil, err
	}
	if port := r.query.Get("port"); port != "" && port != "1" {
		return nil, refuse(http.StatusBadRequest, "invalid", "there is nothing at the port %s", port)
	}
	wrote := fmt.Sprintf("[    0.000000] Linux version 6.1.0 (%s)\r\n%s login: ", i.name, i.name)
	from, _ := strconv.Atoi(r.query.Get("start")) // checked before
	if from < 0 {
		from = max(len(wrote)+from, 0)
	}
	from = min(from, len(wrote))
	return object{"kind": "compute#serialPortOutput", "contents": wrote[from:], "start": strconv.Itoa(from), "next": strconv.Itoa(len(wrote))}, nil
}
