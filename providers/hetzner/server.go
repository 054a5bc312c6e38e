package main

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Labels of everything that the driver makes. A list must not depend on the options of the machines, so what it needs of them is here.
const (
	labelPrefix = "millwright-"
	labelOwner  = labelPrefix + "owner"
	labelRunner = labelPrefix + "runner"
	labelName   = labelPrefix + "machine" // of keys
	labelUser   = labelPrefix + "user"
	labelPort   = labelPrefix + "port"
	labelReach  = labelPrefix + "reach"
	labelSpread = labelPrefix + "spread" // of groups: made by the driver

	reachPrivate = "private"
)

// server is what Hetzner tells of one.
type server struct {
	ID        int64             `json:"id"`
	Name      string            `json:"name"`
	Status    string            `json:"status"`
	Created   string            `json:"created"`
	Labels    map[string]string `json:"labels"`
	PublicNet struct {
		IPv4 struct {
			IP string `json:"ip"`
		} `json:"ipv4"`
		IPv6 struct {
			IP string `json:"ip"` // 2001:db8::/64
		} `json:"ipv6"`
	} `json:"public_net"`
	PrivateNet []struct {
		IP string `json:"ip"`
	} `json:"private_net"`
	Group *group `json:"placement_group"`
}

// action is a change that goes on when we have the answer.
type action struct {
	ID      int64  `json:"id"`
	Command string `json:"command"`
	Status  string `json:"status"` // running, success, error
	Error   *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Resources []struct {
		ID   int64  `json:"id"`
		Type string `json:"type"`
	} `json:"resources"`
}

// instance turns what Hetzner tells into the host's terms.
func (s server) instance() abi.Instance {
	port, _ := strconv.Atoi(s.Labels[labelPort]) // none is 0, the usual one
	i := abi.Instance{
		Name: s.Name, ID: strconv.FormatInt(s.ID, 10), Status: s.status(), Address: s.address(), SSHUser: s.Labels[labelUser],
		SSHPort: port, CreatedAt: seconds(s.Created),
	}
	if i.Status != abi.StatusRunning && i.Status != abi.StatusCreating {
		i.Message = "the server is " + s.Status
	}
	return i
}

// status is the host's word for a server's status. Source: Hetzner Cloud API, "Servers", property status.
func (s server) status() abi.Status {
	switch s.Status {
	case "initializing", "starting":
		return abi.StatusCreating
	case "running":
		return abi.StatusRunning
	case "off", "stopping", "deleting": // until it is gone it has its name
		return abi.StatusStopped
	}
	return abi.StatusUnknown // migrating, rebuilding, unknown
}

// address is the public IPv4 address, else the first of the IPv6 network, else the one in the first network, which comes first where it was asked for.
func (s server) address() string {
	private := ""
	if len(s.PrivateNet) > 0 {
		private = s.PrivateNet[0].IP
	}
	if s.Labels[labelReach] == reachPrivate {
		return private
	}
	if s.PublicNet.IPv4.IP != "" {
		return s.PublicNet.IPv4.IP
	}
	if p, err := netip.ParsePrefix(s.PublicNet.IPv6.IP); err == nil {
		return p.Masked().Addr().Next().String()
	}
	return private
}

// asLabel makes a label's value of any text, of what is left of it.
func asLabel(text string) string {
	value := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, text)
	return strings.Trim(value[:min(len(value), 63)], "-_.")
}

// state is what the host keeps with a machine.
type state struct {
	Group int64 `json:"group"` // the placement group that was made for the runner; 0 is none
	Key   int64 `json:"key"`   // the SSH key, where it could not be taken away; 0 is none
}

func (s state) raw() abi.Raw {
	data, _ := json.Marshal(s) // numbers always marshal
	return abi.Raw(data)
}

// seconds turns the API's time into UTC and seconds; "" when it is no time.
func seconds(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
