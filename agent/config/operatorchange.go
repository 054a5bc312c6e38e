package config

import (
	"maps"
	"reflect"
	"slices"
)

// atStart are the keys of millwright.toml that are read at the start alone.
var atStart = []string{"state_dir", "policies_dir", "drivers_dir", "legacy_drivers", "ca_file", "resume_jobs"}

// ChangedKeys returns the keys of millwright.toml whose values differ between two readings, in order, and those of them that take effect
// after a restart only. Of sections with names, such as [grants.NAME], it returns the names. It shows no values.
func ChangedKeys(before, after *Operator) (keys, restart []string) {
	keys = changedIn(reflect.ValueOf(*before), reflect.ValueOf(*after), "")
	slices.Sort(keys)
	for _, key := range keys {
		if slices.Contains(atStart, key) {
			restart = append(restart, key)
		}
	}
	return keys, restart
}

func changedIn(before, after reflect.Value, at string) (keys []string) {
	for name, i := range fieldsOf(before.Type()) {
		b, a := before.Field(i), after.Field(i)
		switch {
		case reflect.DeepEqual(b.Interface(), a.Interface()):
		case b.Kind() == reflect.Struct:
			keys = append(keys, changedIn(b, a, at+name+".")...)
		case b.Kind() == reflect.Map:
			for section := range changedNames(b, a) {
				keys = append(keys, at+name+"."+section)
			}
		default:
			keys = append(keys, at+name)
		}
	}
	return keys
}

// changedNames are the keys of two maps under which they differ.
func changedNames(before, after reflect.Value) map[string]bool {
	names := map[string]bool{}
	for _, m := range []reflect.Value{before, after} {
		for _, k := range m.MapKeys() {
			names[k.String()] = true
		}
	}
	maps.DeleteFunc(names, func(name string, _ bool) bool {
		k := reflect.ValueOf(name)
		b, a := before.MapIndex(k), after.MapIndex(k)
		return b.IsValid() && a.IsValid() && reflect.DeepEqual(b.Interface(), a.Interface())
	})
	return names
}
