package job

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// resolveSecrets gives the job those of its secrets whose value is here already: a masked variable of the secret's name that the coordinator
// sent, or one of the runner's environment. It asks no store, and names what stays out; that fails the job unless the flag says otherwise.
func (r *run) resolveSecrets() error {
	if len(r.p.Job.Secrets) == 0 {
		return nil
	}
	defer r.trace.Section("resolve_secrets", "Resolving secrets")()
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(r.p.Job.Secrets)) {
		store, isFile := readSecret(r.p.Job.Secrets[name])
		value, ok := r.givenSecret(name)
		if !ok {
			missing = append(missing, name)
			r.trace.Warningln(fmt.Sprintf("Secret %s: this version of Millwright resolves no secrets of stores; the variable stays unset. "+
				"In the place of %s it takes a masked CI/CD variable of that name, or one in the runner's environment", name, store))
			continue
		}
		r.trace.Mask(config.Secret(value))
		secret := coordinator.Variable{Key: name, Value: value, Masked: true, Raw: true, File: isFile}
		r.secrets = append(r.secrets, secret)
		r.vars.add(secret)
		r.trace.Println(fmt.Sprintf("Secret %s: taken from the variable of that name; %s is not asked", name, store))
	}
	if len(missing) > 0 && r.flags["FF_SECRET_RESOLVING_FAILS_IF_MISSING"] {
		return configurationError("secrets can't be resolved: %s; set FF_SECRET_RESOLVING_FAILS_IF_MISSING to false to go on without them", strings.Join(missing, ", "))
	}
	return nil
}

// givenSecret looks for a secret's value among the variables. One that is not masked may be a placeholder: it counts only when the
// operator has set it.
func (r *run) givenSecret(name string) (value string, ok bool) {
	if i, known := r.vars.index[name]; known && r.vars.list[i].Masked {
		return r.vars.content(name), true
	}
	for _, v := range assign(r.p.Runner.Environment) {
		if v.Key == name {
			value, ok = r.vars.expand(v.Value), true
		}
	}
	return value, ok
}

// secretStores are the keys of a secret that say where it is. Source: GitLab's documentation, "CI/CD YAML syntax reference", secrets.
var secretStores = []string{"vault", "gcp_secret_manager", "azure_key_vault", "aws_secrets_manager", "gitlab_secrets_manager"}

// readSecret tells which store a secret is in, and whether its variable is a file, as it is unless file says otherwise.
func readSecret(raw json.RawMessage) (store string, isFile bool) {
	store, isFile = "its store", true
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return store, isFile
	}
	for _, key := range secretStores {
		if value := fields[key]; len(value) > 0 && string(value) != "null" {
			store = key
		}
	}
	if json.Unmarshal(fields["file"], &isFile) != nil {
		isFile = true
	}
	return store, isFile
}
