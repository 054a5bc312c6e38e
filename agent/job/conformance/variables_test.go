package conformance

import "github.com/millwright-ci/millwright/agent/coordinator"

// variableRows are about the values that a script sees.
func variableRows() []row {
	file := script([]string{"printf '[%s]\n' \"$(cat $F)\"", "echo $F", "wc -c <$F"})
	file.Variables = coordinator.Variables{{Key: "F", Value: "v=$C", File: true}, {Key: "C", Value: "x"}}
	raw := script([]string{`printf '{%s} %s\n' "$R" "$S"`})
	raw.Variables = coordinator.Variables{{Key: "R", Value: "$C", Raw: true}, {Key: "C", Value: "x"}, {Key: "S", Value: "<$R>"}}
	return []row{
		{n: 15, name: "one pass", payload: with(script([]string{"env | grep ^A= ; echo [$A]"}), "A", "$B", "B", "$C", "C", "x"), want: []string{"\nA=$C\n[$C]\n"}},
		{n: 16, name: "dollars and unknown names", payload: with(script([]string{`echo "<$P> <$U>"`}), "P", "a$$b", "U", "${NOPE}z"), want: []string{"\n<a$b> <z>\n"}},
		{n: 17, name: "raw variables", payload: raw, want: []string{"\n{$C} <$C>\n"}},
		{n: 18, name: "file variable", payload: file, want: []string{"\n[v=x]\n", "\n/builds/group/project.tmp/F\n", "\n3\n"}},
		{n: 19, name: "the last one wins", payload: with(script([]string{"echo $K"}), "K", "one", "K", "two"), want: []string{"\ntwo\n"}, not: []string{"\none\n"}},
		{n: 20, name: "the payload's status wins", payload: with(script([]string{"echo 1$CI_JOB_STATUS"}, "echo 2$CI_JOB_STATUS"), "CI_JOB_STATUS", "mine"), want: []string{"\n1mine\n", "\n2mine\n"}},
	}
}
