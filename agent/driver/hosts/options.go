package hosts

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// The names of the drivers.
const (
	Generic = "generic"
	None    = "none"
)

// Names are those of the drivers here.
func Names() []string { return []string{Generic, None} }

// The options; docker-machine's but for the last one.
const (
	optAddress    = "generic-ip-address"
	optUser       = "generic-ssh-user"
	optPort       = "generic-ssh-port"
	optKey        = "generic-ssh-key"
	optEnginePort = "generic-engine-port"
	optURL        = "url"
	optCerts      = "none-cert-path"
)

// Describe returns what a driver says of itself.
func Describe(name string) abi.Describe {
	d := abi.Describe{ABI: abi.Version, Kind: abi.KindDriver, Name: name}
	if name == None {
		d.Summary = "an engine that is there already, by its URL"
		d.Options = []abi.Option{
			{Name: optURL, Type: abi.OptionString, Required: true, Help: "where the engine answers over TLS: tcp://HOST:2376"},
			{Name: optCerts, Type: abi.OptionString, Env: "DOCKER_CERT_PATH", Required: true, Help: "folder with ca.pem, cert.pem and key.pem for it"},
		}
		return d
	}
	d.Summary = "hosts that are there already, by SSH; each machine leases one"
	d.Options = []abi.Option{
		{Name: optAddress, Type: abi.OptionList, Env: "GENERIC_IP_ADDRESS", Required: true, Help: "hosts: HOST or HOST:SSHPORT (IPv6 with a port: [ADDRESS]:SSHPORT), separated by commas, or the option repeated; docker-machine takes one"},
		{Name: optUser, Type: abi.OptionString, Env: "GENERIC_SSH_USER", Default: "root", Help: "login; another one than root needs sudo without a password"},
		{Name: optPort, Type: abi.OptionInt, Env: "GENERIC_SSH_PORT", Default: "22", Help: "SSH port, of hosts that name none"},
		{Name: optKey, Type: abi.OptionString, Env: "GENERIC_SSH_KEY", Role: abi.RoleFile, Help: "path of a private key without passphrase, which is read for each login (default: ~/.ssh/id_ed25519, id_ecdsa or id_rsa)"},
		{Name: optEnginePort, Type: abi.OptionInt, Env: "GENERIC_ENGINE_PORT", Default: "2376", Help: "where the engine is to listen"},
	}
	return d
}

// host is one that can be leased.
type host struct {
	address    string
	sshPort    int
	enginePort int
}

// key is what makes it one host.
func (h host) key() string { return net.JoinHostPort(h.address, strconv.Itoa(h.sshPort)) }

// settings are a driver's options, read.
type settings struct {
	hosts []host
	user  string
}

// read turns options into settings and lists what is wrong with them.
func read(name string, o abi.Options) (settings, []abi.Problem) {
	r := &reader{options: o}
	if name == None {
		return settings{hosts: r.engine()}, r.problems
	}
	return settings{hosts: r.hosts(), user: or(o.Get(optUser), "root")}, r.problems
}

type reader struct {
	options  abi.Options
	problems []abi.Problem
}

func (r *reader) bad(option, format string, args ...any) {
	r.problems = append(r.problems, abi.Problem{Option: option, Message: fmt.Sprintf(format, args...)})
}

// hosts reads those of generic, each once.
func (r *reader) hosts() (all []host) {
	ssh, engine := r.port(optPort, 22), r.port(optEnginePort, 2376)
	for _, entry := range strings.Split(strings.Join(r.options[optAddress], ","), ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		h := host{entry, ssh, engine}
		if name, port, err := net.SplitHostPort(entry); err == nil {
			h.address = name
			if h.sshPort, err = strconv.Atoi(port); err != nil || h.sshPort < 1 || h.sshPort > 65535 {
				r.bad(optAddress, "%q has no port from 1 to 65535", entry)
			}
		}
		h.address = strings.Trim(h.address, "[]")
		if !isHost(h.address) {
			r.bad(optAddress, "%q is no host; give a name, an IP address, or one of these with a port", entry)
		}
		if !slices.ContainsFunc(all, func(x host) bool { return x.key() == h.key() }) {
			all = append(all, h)
		}
	}
	if len(all) == 0 {
		r.bad(optAddress, "is missing; name at least one host")
	}
	if key := r.options.Get(optKey); key != "" && !filepath.IsAbs(key) {
		r.bad(optKey, "%q is no absolute path", key)
	}
	return all
}

// engine reads that of none.
func (r *reader) engine() []host {
	text := r.options.Get(optURL)
	u, err := url.Parse(text)
	switch {
	case text == "":
		r.bad(optURL, "is missing; give tcp://HOST:2376")
		return nil
	case err != nil || (u.Scheme != "tcp" && u.Scheme != "https") || !isHost(u.Hostname()) || strings.Trim(u.Path, "/") != "" || u.User != nil:
		r.bad(optURL, "%q is not allowed; give tcp://HOST:PORT of an engine with TLS: without it whoever reaches the port is root there", text)
		return nil
	}
	if path := r.options.Get(optCerts); !filepath.IsAbs(path) {
		r.bad(optCerts, "%q is no absolute path of a folder", path)
	}
	port := 2376
	if text := u.Port(); text != "" {
		port, _ = strconv.Atoi(text) // the URL's parser let digits alone through
	}
	if port < 1 || port > 65535 {
		r.bad(optURL, "%q has no port from 1 to 65535", text)
	}
	return []host{{address: u.Hostname(), sshPort: port, enginePort: port}}
}

func (r *reader) port(option string, otherwise int) int {
	text := r.options.Get(option)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 65535 {
		r.bad(option, "%q is no port; use 1 to 65535", text)
	}
	return n
}

// isHost tells a name or an IP address.
func isHost(s string) bool {
	if net.ParseIP(s) != nil {
		return true
	}
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
