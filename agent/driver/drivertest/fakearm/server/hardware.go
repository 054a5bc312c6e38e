package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
)

// order is what the test's hardware is asked for: see package fakearm.
type order struct{ Do, Machine, User, Key, CustomData string }

// boot lets a machine that is made run on the hardware, if there is any, and have its address inside and outside. One that can't is none that anybody
// can log in to. The caller holds mu.
func (c *cloud) boot(m *machine) {
	system := m.Properties.OSProfile
	if c.settings.HardwareURL == "" || system == nil {
		return
	}
	address, err := c.hardware(order{
		Do: "boot", Machine: *m.Name, User: text(system.AdminUsername), Key: text(system.LinuxConfiguration.SSH.PublicKeys[0].KeyData), CustomData: text(system.CustomData),
	})
	if err != nil {
		c.wrong = append(c.wrong, "the machine "+*m.Name+" does not run: "+err.Error())
		return
	}
	m.on = true
	for _, ref := range m.Properties.NetworkProfile.NetworkInterfaces {
		nic := c.interfaces[lower(*ref.ID)]
		if nic == nil {
			continue
		}
		for _, config := range nic.Properties.IPConfigurations {
			config.Properties.PrivateIPAddress = to.Ptr(address)
		}
		for _, ip := range c.addresses {
			if within(ip, *nic.ID) {
				ip.Properties.IPAddress = to.Ptr(address)
			}
		}
	}
}

// off ends a machine on the hardware. The caller holds mu.
func (c *cloud) off(m *machine) {
	if !m.on {
		return
	}
	m.on = false
	if _, err := c.hardware(order{Do: "stop", Machine: *m.Name}); err != nil {
		c.wrong = append(c.wrong, "the machine "+*m.Name+" does not end: "+err.Error())
	}
}

// hardware carries an order out and returns the answer.
func (c *cloud) hardware(o order) (string, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	res, err := http.Post(c.settings.HardwareURL, "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, said)
	}
	return string(said), err
}
