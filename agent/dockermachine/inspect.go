package dockermachine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"text/template"

	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/migrate"
)

// Inspect prints what is known of a machine: config.json, or what a template makes of it.
func (c *Machines) Inspect(names []string, format string) error {
	e, err := c.one(names)
	if err != nil {
		return err
	}
	config, err := c.config(e)
	if err != nil {
		return err
	}
	if format == "" {
		text, err := json.MarshalIndent(config, "", "    ")
		if err != nil {
			return err
		}
		c.say("%s", text)
		return nil
	}
	layout, err := template.New("inspect").Funcs(template.FuncMap{
		"json":       func(v any) (string, error) { text, err := json.Marshal(v); return string(text), err },
		"prettyjson": func(v any) (string, error) { text, err := json.MarshalIndent(v, "", "    "); return string(text), err },
	}).Parse(format)
	if err != nil {
		return fmt.Errorf("Template parsing error: %w", err) //nolint:staticcheck // docker-machine's words
	}
	var out bytes.Buffer
	if err := layout.Execute(&out, config); err != nil {
		return fmt.Errorf("Template parsing error: %w", err) //nolint:staticcheck // docker-machine's words
	}
	c.say("%s", out.String())
	return nil
}

// secretField is what docker-machine's drivers and plug-ins call the fields that hold credentials.
var secretField = regexp.MustCompile(`(?i)(token|password|passwd|secret|credentials?|accesskey|secretkey|apikey)$`)

// config is the machine's config.json without credentials, with the fields of docker-machine's driver, which our own drivers keep elsewhere.
// Numbers keep all their digits.
func (c *Machines) config(e journal.Entry) (map[string]any, error) {
	data, err := os.ReadFile(filepath.Join(c.o.Store.Dir(e.Machine.Name), "config.json"))
	if err != nil {
		return nil, fmt.Errorf("machine %s: %w", e.Machine.Name, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var config map[string]any
	if err := decoder.Decode(&config); err != nil {
		return nil, fmt.Errorf("machine %s: config.json: %w", e.Machine.Name, err)
	}
	driver, ok := config["Driver"].(map[string]any)
	maps.DeleteFunc(driver, func(name string, value any) bool {
		text, isText := value.(string)
		return isText && text != "" && secretField.MatchString(name)
	})
	if ok && e.Kind != journal.KindForeign {
		for name, value := range migrate.DriverFields(e.Machine) {
			if _, there := driver[name]; !there {
				driver[name] = value
			}
		}
	}
	return config, nil
}
