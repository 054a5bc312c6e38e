package config

import (
	"os"
	"path/filepath"
)

// DefaultOperator is what LoadOperator would return if there were no millwright.toml beside configPath.
func DefaultOperator(configPath string) *Operator {
	dir := filepath.Dir(configPath)
	defaults := operatorDefaults()
	said := operatorEnv(os.LookupEnv)
	value := func(key string) string {
		v, ok := said[key].(string)
		if !ok {
			v = defaults[key].(string)
		}
		if !filepath.IsAbs(v) {
			v = filepath.Join(dir, v)
		}
		return v
	}
	return &Operator{
		Path: filepath.Join(dir, "millwright.toml"), StateDir: value("state_dir"), PoliciesDir: value("policies_dir"), DriversDir: value("drivers_dir"),
	}
}
