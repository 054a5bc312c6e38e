package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// checkHealth waits until one of a service's TCP ports takes a connection. It waits for ever: whoever runs it sets the limit and
// ends it. The environment says where: WAIT_FOR_SERVICE_TCP_ADDR, and WAIT_FOR_SERVICE_TCP_PORT or
// WAIT_FOR_SERVICE_<port>_TCP_PORT for each port.
func checkHealth(ctx context.Context, args []string, c console) error {
	if err := parse(newFlags("health-check", c), args); err != nil {
		return err
	}
	host, ports := healthTarget(os.Environ())
	if host == "" || len(ports) == 0 {
		return fmt.Errorf("no host or port found: the environment names address %q and ports %v", host, ports)
	}
	fmt.Fprintf(c.out, "waiting for TCP connection to %s on %v...\n", host, ports)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	open := make(chan string, len(ports)) // one place each, so that no late one blocks
	for _, port := range ports {
		go func() {
			if address := net.JoinHostPort(host, port); knock(ctx, address) {
				open <- address
			}
		}()
	}
	select {
	case address := <-open:
		fmt.Fprintln(c.out, "connected to", address)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no port of %s opened", host)
	}
}

// knock tries an address until it answers, or ctx ends.
func knock(ctx context.Context, address string) bool {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if conn, err := dialer.DialContext(ctx, "tcp", address); err == nil {
			conn.Close()
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

func healthTarget(environ []string) (host string, ports []string) {
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		rest, ok := strings.CutPrefix(name, "WAIT_FOR_SERVICE_")
		if !ok || value == "" {
			continue
		}
		if rest == "TCP_ADDR" {
			host = value
		} else if rest == "TCP_PORT" || strings.HasSuffix(rest, "_TCP_PORT") {
			ports = append(ports, value)
		}
	}
	slices.Sort(ports)
	return host, slices.Compact(ports)
}
