package shell

import "strings"

// setting is one of git's settings: section.name or section.subsection.name, whose subsection may have dots, and a value.
type setting struct{ key, value string }

// writeSettings writes a file of git's settings, as git itself would. A key may come more than once.
func (s *Script) writeSettings(file string, list []setting) {
	var b strings.Builder
	for i, kv := range list {
		if i == 0 || kv.section() != list[i-1].section() {
			b.WriteString("[" + kv.section() + "]\n")
		}
		b.WriteString("\t" + kv.name() + " = " + kv.text() + "\n")
	}
	s.Line("printf '%s' " + Quote(b.String()) + " > " + Quote(file))
}

func (kv setting) name() string { return kv.key[strings.LastIndexByte(kv.key, '.')+1:] }

// section is the heading that the setting stands below. Source: git-config(1), "Syntax".
func (kv setting) section() string {
	first, last := strings.IndexByte(kv.key, '.'), strings.LastIndexByte(kv.key, '.')
	if first == last {
		return kv.key[:first]
	}
	return kv.key[:first] + ` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(kv.key[first+1:last]) + `"`
}

// text is the value as a file holds it.
func (kv setting) text() string {
	value := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(kv.value)
	if strings.ContainsAny(value, "#;") || strings.TrimSpace(kv.value) != kv.value {
		return `"` + value + `"`
	}
	return value
}
