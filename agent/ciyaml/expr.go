package ciyaml

import (
	"fmt"
	"regexp"
	"strings"
)

// condition is a parsed rules:if. lookup returns the expanded value of a variable and whether it is set.
//
// The grammar is GitLab's: || binds less than &&, which binds less than ==, !=, =~ and !~; operands are $NAME, "text", 'text',
// /pattern/flags, null and parentheses. Text holds no escapes and no variables. An unset variable is null; null and blank text
// count as false.
// Source: GitLab documentation, "Specify when jobs run with rules", "CI/CD variable expressions".
type condition func(lookup func(string) (string, bool)) (value, error)

// value is what an expression gives: text, or nothing.
type value struct {
	text string
	set  bool
}

func (v value) true() bool { return v.set && strings.TrimSpace(v.text) != "" }

func truth(b bool) value {
	if b {
		return value{"true", true}
	}
	return value{}
}

// parseCondition compiles an expression. Its errors name the place in it.
func parseCondition(text string) (condition, error) {
	p := &expressionParser{text: text}
	if err := p.next(); err != nil {
		return nil, err
	}
	c, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.token != "" {
		return nil, p.unexpected("&&, || or the end")
	}
	return c, nil
}

// maxExpression bounds the depth of recursion too.
const maxExpression = 4096

type expressionParser struct {
	text  string
	at    int    // where the token after this one begins
	token string // the present token; "" at the end
	depth int
}

var (
	expressionToken = regexp.MustCompile(`^(?:\|\||&&|==|!=|=~|!~|\(|\)|null\b|\$\w+|"[^"]*"|'[^']*'|/(?:[^/\\\n]|\\.)*/[ismU]*)`)
	patternForm     = regexp.MustCompile(`^/((?:[^/\\\n]|\\.)*)/([ismU]*)$`)
)

func (p *expressionParser) next() error {
	if len(p.text) > maxExpression {
		return fmt.Errorf("an expression of %d bytes is too long; use %d at most", len(p.text), maxExpression)
	}
	rest := strings.TrimLeft(p.text[p.at:], " \t\r\n")
	p.at = len(p.text) - len(rest)
	p.token = expressionToken.FindString(rest)
	if p.token == "" && rest != "" {
		return fmt.Errorf("%.20q at character %d is not understood; use $NAME, \"text\", /pattern/, null, ==, !=, =~, !~, &&, || and parentheses", rest, p.at+1)
	}
	p.at += len(p.token)
	return nil
}

func (p *expressionParser) unexpected(want string) error {
	if p.token == "" {
		return fmt.Errorf("the expression ends where %s should come", want)
	}
	return fmt.Errorf("%q at character %d stands where %s should come", p.token, p.at-len(p.token)+1, want)
}

func (p *expressionParser) or() (condition, error) {
	return p.chain("||", p.and, func(a, b bool) bool { return a || b })
}

func (p *expressionParser) and() (condition, error) {
	return p.chain("&&", p.comparison, func(a, b bool) bool { return a && b })
}

// chain reads operands with one operator between them.
func (p *expressionParser) chain(operator string, operand func() (condition, error), combine func(a, b bool) bool) (condition, error) {
	left, err := operand()
	for err == nil && p.token == operator {
		if err = p.next(); err != nil {
			break
		}
		var right condition
		if right, err = operand(); err != nil {
			break
		}
		first := left
		left = func(lookup func(string) (string, bool)) (value, error) {
			a, err := first(lookup)
			if err != nil {
				return value{}, err
			}
			b, err := right(lookup)
			return truth(combine(a.true(), b.true())), err
		}
	}
	return left, err
}

func (p *expressionParser) comparison() (condition, error) {
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	operator := p.token
	switch operator {
	case "==", "!=", "=~", "!~":
	default:
		return left, nil
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	isPattern := strings.HasPrefix(p.token, "/")
	if match := operator == "=~" || operator == "!~"; match != isPattern && !(match && strings.HasPrefix(p.token, "$")) {
		if match {
			return nil, p.unexpected("a /pattern/ or a $NAME that holds one")
		}
		return nil, p.unexpected("a $NAME, a \"text\" or null (a /pattern/ goes with =~)")
	}
	named := p.token
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	return compare(operator, left, right, named), nil
}

// compare joins two operands. named is the right one as written: an error must not show what a variable holds, it may be a secret.
func compare(operator string, left, right condition, named string) condition {
	return func(lookup func(string) (string, bool)) (value, error) {
		a, err := left(lookup)
		if err != nil {
			return value{}, err
		}
		b, err := right(lookup)
		if err != nil {
			return value{}, err
		}
		switch operator {
		case "==":
			return truth(a == b), nil
		case "!=":
			return truth(a != b), nil
		}
		if !b.set {
			return truth(operator == "!~"), nil
		}
		re, err := compilePattern(b.text)
		if err != nil {
			return value{}, fmt.Errorf("what %s holds is not a /pattern/", named)
		}
		return truth(re.MatchString(a.text) == (operator == "=~")), nil
	}
}

// compilePattern compiles /pattern/flags.
func compilePattern(text string) (*regexp.Regexp, error) {
	m := patternForm.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("%.60q is not a /pattern/", text)
	}
	source := strings.ReplaceAll(m[1], `\/`, `/`)
	if m[2] != "" {
		source = "(?" + m[2] + ")" + source
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, fmt.Errorf("pattern %.60q: %w", text, err)
	}
	return re, nil
}

func (p *expressionParser) operand() (condition, error) {
	token := p.token
	if token == "" {
		return nil, p.unexpected("an operand")
	}
	constant := func(v value) condition {
		return func(func(string) (string, bool)) (value, error) { return v, nil }
	}
	var c condition
	switch {
	case token == "(":
		return p.parentheses()
	case token == "null":
		c = constant(value{})
	case token[0] == '$':
		c = func(lookup func(string) (string, bool)) (value, error) {
			text, ok := lookup(token[1:])
			return value{text, ok}, nil
		}
	case token[0] == '"' || token[0] == '\'':
		c = constant(value{token[1 : len(token)-1], true})
	case token[0] == '/':
		if _, err := compilePattern(token); err != nil {
			return nil, err
		}
		c = constant(value{token, true})
	default:
		return nil, p.unexpected("an operand")
	}
	return c, p.next()
}

func (p *expressionParser) parentheses() (condition, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("more than %d parentheses are too deep", maxDepth)
	}
	defer func() { p.depth-- }()
	if err := p.next(); err != nil {
		return nil, err
	}
	c, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.token != ")" {
		return nil, p.unexpected("a closing parenthesis")
	}
	return c, p.next()
}
