package fakegce

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
)

// What docker-machine's own driver asks for beside what ours does: it looks whether the project is there, waits for each operation by asking for it
// again, and puts the key on a VM that is there already.

func (c *Cloud) getProject(r *request) (any, error) {
	return object{"kind": "compute#project", "name": r.path["project"]}, nil
}

func (c *Cloud) getOperation(r *request) (any, error) {
	for _, op := range c.operations {
		if text(op.object, "name") == r.path["operation"] && op.project == r.path["project"] {
			return maps.Clone(op.object), nil
		}
	}
	return nil, refuse(http.StatusNotFound, "notFound", "The resource 'operations/%s' was not found", r.path["operation"])
}

// setMetadata replaces all metadata of a VM, as the API does.
func (c *Cloud) setMetadata(r *request) (any, error) {
	_, i, err := c.find(r)
	if err != nil {
		return nil, err
	}
	if text(r.body, "fingerprint") != fingerprintOf(i.object) {
		return nil, refuse(http.StatusPreconditionFailed, "conditionNotMet", "Supplied fingerprint does not match current metadata fingerprint.")
	}
	op := c.begin(r, "setMetadata", text(i.object, "selfLink"), text(i.object, "id"))
	op.finish = func() { i.object["metadata"] = r.body }
	c.authorize(i, r.body)
	return c.due(op), nil
}

// fingerprintOf is that of a VM's metadata, which a change of it must name.
func fingerprintOf(vm object) string {
	metadata, _ := vm["metadata"].(object)
	data, _ := json.Marshal(metadata["items"]) // it came as JSON
	sum := sha256.Sum256(data)
	return base64.URLEncoding.EncodeToString(sum[:8])
}

// fingerprinted is a VM as it is shown to whoever asks for all of it.
func fingerprinted(vm object) object {
	metadata, _ := vm["metadata"].(object)
	metadata = maps.Clone(metadata)
	if metadata == nil {
		metadata = object{"kind": "compute#metadata"}
	}
	metadata["fingerprint"] = fingerprintOf(vm)
	vm["metadata"] = metadata
	return vm
}

// Instances returns what the cloud holds of all VMs of a project, by name.
func (c *Cloud) Instances(project string) map[string]map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	out := map[string]map[string]any{}
	for _, k := range slices.Sorted(maps.Keys(c.instances)) {
		if i := c.instances[k]; i.project == project {
			out[i.name] = c.show(i)
		}
	}
	return out
}
