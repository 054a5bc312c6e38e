package cli

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/incumbent"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// observation is what the flags of `run` say of a gitlab-runner that is to be watched.
type observation struct {
	on      bool
	store   string
	metrics string
}

func observeFlags(flags *pflag.FlagSet) *observation {
	o := &observation{}
	flags.BoolVar(&o.on, "observe", false, "only watch a gitlab-runner that works by this config.toml, and tell what would be done")
	flags.StringVar(&o.store, "observe-store", "", "with --observe: docker-machine's folder (MACHINE_STORAGE_PATH, else .docker/machine in the home folder)")
	flags.StringVar(&o.metrics, "observe-metrics", "", "with --observe: URL of gitlab-runner's metrics (by listen_address of the file)")
	return o
}

// incumbent returns who is to be watched, nil without --observe. c is the file as it stands.
func (o *observation) incumbent(c *config.Config, log *slog.Logger) (*incumbent.Incumbent, error) {
	if !o.on {
		return nil, nil
	}
	store, err := filepath.Abs(cmp.Or(o.store, incumbent.DefaultStore()))
	if err != nil {
		return nil, fmt.Errorf("--observe-store: %w", err)
	}
	url := o.metrics
	if url == "" && c.ListenAddress != "" {
		address, err := supervisor.ListenAddress(c.ListenAddress)
		if err != nil {
			return nil, err
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("listen_address: %w", err)
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		url = "http://" + net.JoinHostPort(host, port) + "/metrics"
	}
	log.Info("Watching", "store", store, "metrics", cmp.Or(url, "none"))
	return incumbent.New(incumbent.Options{Store: store, Metrics: url, Log: log}), nil
}
