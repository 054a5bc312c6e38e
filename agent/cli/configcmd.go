package cli

import (
	"os"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
)

func (a *app) configCommand() *cobra.Command { return &cobra.Command{Use: "config"} }

func (a *app) loadConfig(path string) (*config.Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseTmp(data)
}

func parseTmp(data []byte) (*config.Config, error) {
	c := &config.Config{Concurrent: 1}
	return c, toml.Unmarshal(data, c)
}

func (a *app) execConfig(path string) (*config.Config, error) {
	if path == "" {
		return parseTmp(defaultExecConfig)
	}
	return a.loadConfig(path)
}
