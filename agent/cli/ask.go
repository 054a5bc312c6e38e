package cli

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// asker asks for what flags, variables and template leave open.
type asker struct {
	in     *bufio.Reader
	out    io.Writer
	silent bool // nobody is there: take the default, or fail
}

func newAsker(in io.Reader, out io.Writer, silent bool) *asker {
	return &asker{in: bufio.NewReader(in), out: out, silent: silent}
}

// ask returns the answer to a question, or standard for an empty one. It asks again when the answer is empty and there is no standard,
// unless optional. what says how to answer without being asked.
func (a *asker) ask(question, standard, what string, optional bool) (string, error) {
	if a.silent {
		if standard == "" && !optional {
			return "", fmt.Errorf("%s is missing; give it with %s", strings.ToLower(question), what)
		}
		return standard, nil
	}
	for {
		fmt.Fprintf(a.out, "%s:\n[%s]: ", question, standard)
		line, err := a.in.ReadString('\n')
		answer := strings.TrimSpace(line)
		switch {
		case answer != "":
			return answer, nil
		case standard != "" && err == nil || optional && err == nil:
			return standard, nil
		case err != nil:
			return "", fmt.Errorf("%s: no answer, since the input ends; give it with %s", strings.ToLower(question), what)
		}
	}
}

// choose asks until the answer is one of the words.
func (a *asker) choose(question, standard, what string, words []string) (string, error) {
	for {
		answer, err := a.ask(question+" ("+strings.Join(words, ", ")+")", standard, what, false)
		if err != nil {
			return "", err
		}
		for _, w := range words {
			if w == answer {
				return answer, nil
			}
		}
		if a.silent {
			return "", fmt.Errorf("%s: %q is not one of %s", strings.ToLower(question), answer, strings.Join(words, ", "))
		}
		fmt.Fprintf(a.out, "%q is none of them.\n", answer)
		standard = ""
	}
}
