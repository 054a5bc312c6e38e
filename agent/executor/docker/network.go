package docker

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/versions"
)

// networks says how the containers of the job see each other.
type networks struct {
	name    string // of the network made for this job; "" when there is none
	id      string
	aliases bool // containers are known by names: on a network of the user's or the job's own
}

// makeNetwork makes the job's own network where FF_NETWORK_PER_BUILD asks for it and network_mode does not say otherwise.
func (e *Executor) makeNetwork(ctx context.Context) error {
	mode := container.NetworkMode(e.o.Config.NetworkMode)
	if mode != "" {
		e.net.aliases = mode.IsUserDefined()
		return nil
	}
	if !e.o.Flags.NetworkPerBuild {
		return nil
	}
	if err := e.greet(ctx); err != nil { // an engine that is silent is found out sooner so
		return err
	}
	opts := network.CreateOptions{Driver: "bridge", Labels: e.o.Name.labels("network", e.own), Options: map[string]string{}}
	if e.o.Config.EnableIPv6 {
		opts.EnableIPv6 = &e.o.Config.EnableIPv6
	}
	if e.o.Config.NetworkMTU > 0 {
		opts.Options["com.docker.network.driver.mtu"] = strconv.Itoa(e.o.Config.NetworkMTU)
	}
	name := e.o.Name.network()
	call, cancel := lasting(ctx)
	defer cancel()
	made, err := e.api.NetworkCreate(call, name, opts)
	if err != nil && e.o.Config.EnableIPv6 { // engines before version 27 have no such addresses to give unless they are configured
		opts.IPAM = &network.IPAM{Config: []network.IPAMConfig{{Subnet: uniqueLocal().String()}}}
		made, err = e.api.NetworkCreate(call, name, opts)
	}
	if err != nil {
		return engineErr(fmt.Errorf("network %s: %w", name, err))
	}
	e.net = networks{name: name, id: made.ID, aliases: true}
	return nil
}

// uniqueLocal is a network of IPv6 addresses that nobody else has, as far as chance can tell. Source: RFC 4193, section 3.
func uniqueLocal() netip.Prefix {
	address := [16]byte{0: 0xfd}
	_, _ = rand.Read(address[1:8]) // it never fails, see crypto/rand
	return netip.PrefixFrom(netip.AddrFrom16(address), 64)
}

// join puts a container into the job's network under its names.
func (e *Executor) join(h *container.HostConfig, aliases ...string) *network.NetworkingConfig {
	if h.NetworkMode.IsContainer() {
		return nil
	}
	if e.net.name != "" {
		h.NetworkMode = container.NetworkMode(e.net.name)
	}
	endpoint := &network.EndpointSettings{}
	if e.net.aliases {
		endpoint.Aliases = aliases
	}
	if e.o.Config.MacAddress != "" && versions.GreaterThanOrEqualTo(e.api.ClientVersion(), "1.44") {
		endpoint.MacAddress = e.o.Config.MacAddress
	}
	if len(endpoint.Aliases) == 0 && endpoint.MacAddress == "" {
		return nil
	}
	mode := string(h.NetworkMode)
	if mode == "" {
		mode = network.NetworkBridge
	}
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{mode: endpoint}}
}
