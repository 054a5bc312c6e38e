package shell

import "strings"

// setting is one of git's settings: section.name or section.subsection.name, whose subsection may have dots, and a value.
type setting struct{ key, value string }

// writeSettings writes a file of git's settings. A key may come more than once.
func (s *Script) writeSettings(file string, list []setting) {
	var b strings.Builder
	for _, kv := range list {
		b.WriteString(kv.text())
	}
	s.Line("printf '%s' " + Quote(b.String()) + " > " + Quote(file))
}

// text is the setting as a file holds it. Source: git-config(1), "Syntax".
func (kv setting) text() string {
	first, last := strings.IndexByte(kv.key, '.'), strings.LastIndexByte(kv.key, '.')
	section := kv.key[:first]
	if first < last {
		section += ` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(kv.key[first+1:last]) + `"`
	}
	value := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(kv.value)
	return "[" + section + "]\n\t" + kv.key[last+1:] + ` = "` + value + "\"\n"
}
