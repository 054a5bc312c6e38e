package journal

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// object is a JSON object. encoding/json writes its keys in order, so equal objects are equal bytes.
type object = map[string]any

// saveConfig writes config.json in docker-machine's version 3, so that docker-machine and gitlab-runner see the machine too. Keys
// that we do not know stay as they are. A file that would not change is not written.
func (j *Journal) saveConfig(dir string, m fleet.Machine, change func(what string)) error {
	return writeConfig(dir, machineConfig(j.Store(), dir, m), change)
}

// writeConfig lays ours over the config.json of a machine's folder.
func writeConfig(dir string, ours object, change func(what string)) error {
	path := filepath.Join(dir, configFile)
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	config := object{}
	if json.Valid(before) {
		decoder := json.NewDecoder(bytes.NewReader(before))
		decoder.UseNumber() // ids that are numbers keep every digit
		if decoder.Decode(&config) != nil || config == nil {
			config = object{}
		}
	}
	overlay(config, ours)
	overlay(config, pluginConfig(dir))
	after, err := json.MarshalIndent(config, "", "    ")
	if err != nil {
		return err
	}
	if bytes.Equal(before, after) {
		return nil
	}
	return replaceFile(path, after, change)
}

// overlay sets src's keys in dst and goes into objects that both have.
func overlay(dst, src object) {
	for key, value := range src {
		inner, ok := value.(object)
		existing, both := dst[key].(object)
		if ok && both {
			overlay(existing, inner)
			continue
		}
		dst[key] = value
	}
}

// pluginConfig is what a docker-machine plug-in knows of its machine, which is the driver's part of config.json: docker-machine could go on with
// it. It is empty for other machines.
func pluginConfig(dir string) object {
	var record struct {
		Config object `json:"config"`
	}
	data, err := os.ReadFile(filepath.Join(dir, driverFile))
	if err != nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if decoder.Decode(&record) != nil || record.Config == nil {
		return nil
	}
	if record.Config["IPAddress"] == "" { // plug-ins that ask each time keep none
		delete(record.Config, "IPAddress")
	}
	return object{"Driver": record.Config}
}

// machineConfig is config.json as docker-machine would have it: its shared fields, and engine options where they were given. What
// its drivers add of their own is not known here. Paths are absolute, as its readers expect.
func machineConfig(store, dir string, m fleet.Machine) object {
	return object{
		"ConfigVersion": 3,
		"DriverName":    m.Driver,
		"Name":          m.Name,
		"Driver": object{
			"IPAddress":      m.Instance.Address,
			"MachineName":    m.Name,
			"SSHUser":        cmp.Or(m.Instance.SSHUser, m.SSHUser, "root"),
			"SSHPort":        cmp.Or(m.Instance.SSHPort, 22),
			"SSHKeyPath":     filepath.Join(dir, "id_ed25519"),
			"StorePath":      store,
			"SwarmMaster":    false,
			"SwarmHost":      "",
			"SwarmDiscovery": "",
		},
		"HostOptions": object{
			"Driver":        "",
			"Memory":        0,
			"Disk":          0,
			"EngineOptions": engineOptions(m.Options),
			"SwarmOptions":  swarmOptions(),
			"AuthOptions":   authOptions(filepath.Join(store, "certs"), dir, m.Options["tls-san"]),
		},
	}
}

func engineOptions(o abi.Options) object {
	return object{
		"ArbitraryFlags":   list(o["engine-opt"]),
		"Dns":              nil,
		"GraphDir":         "",
		"Env":              list(o["engine-env"]),
		"Ipv6":             false,
		"InsecureRegistry": list(o["engine-insecure-registry"]),
		"Labels":           list(o["engine-label"]),
		"LogLevel":         "",
		"StorageDriver":    o.Get("engine-storage-driver"),
		"SelinuxEnabled":   false,
		"TlsVerify":        true,
		"RegistryMirror":   list(o["engine-registry-mirror"]),
		"InstallURL":       o.Get("engine-install-url"),
	}
}

func swarmOptions() object {
	return object{
		"IsSwarm": false, "Address": "", "Discovery": "", "Agent": false, "Master": false, "Host": "tcp://0.0.0.0:3376",
		"Image": "", "Strategy": "spread", "Heartbeat": 0, "Overcommit": 0, "ArbitraryFlags": list(nil),
		"ArbitraryJoinFlags": list(nil), "Env": nil, "IsExperimental": false,
	}
}

func authOptions(certs, dir string, sans []string) object {
	return object{
		"CertDir":              certs,
		"CaCertPath":           filepath.Join(certs, "ca.pem"),
		"CaPrivateKeyPath":     filepath.Join(certs, "ca-key.pem"),
		"CaCertRemotePath":     "",
		"ServerCertPath":       filepath.Join(dir, "server.pem"),
		"ServerKeyPath":        filepath.Join(dir, "server-key.pem"),
		"ClientKeyPath":        filepath.Join(certs, "key.pem"),
		"ServerCertRemotePath": "",
		"ServerKeyRemotePath":  "",
		"ClientCertPath":       filepath.Join(certs, "cert.pem"),
		"ServerCertSANs":       list(sans),
		"StorePath":            dir, // gitlab-runner reads its certificates here
	}
}

// list is never null: docker-machine's readers want [].
func list(values []string) []string {
	if values == nil {
		return []string{}
	}
	return values
}

// isTemp tells whether a file is left of a write that was cut off.
func isTemp(name string) bool { return strings.HasPrefix(name, tempPrefix) }
