// Package awsapi is what drivers of AWS share: the reader of its XML, and what its refusals mean.
package awsapi

import (
	"errors"
	"strconv"
	"strings"
)

// Element is a part of an answer. Attributes and prefixes of names are left out: the answers mean nothing by them.
type Element struct {
	Name     string
	Text     string // what stands in it directly
	Children []Element
}

// At returns the text below a path of names, "" when there is no such element.
func (e Element) At(path ...string) string {
	for _, name := range path {
		found := false
		for _, c := range e.Children {
			if c.Name == name {
				e, found = c, true
				break
			}
		}
		if !found {
			return ""
		}
	}
	return e.Text
}

// Items returns the items of the set below a path of names.
func (e Element) Items(path ...string) []Element {
	for _, name := range path {
		found := false
		for _, c := range e.Children {
			if c.Name == name {
				e, found = c, true
				break
			}
		}
		if !found {
			return nil
		}
	}
	return e.Children
}

// maxDepth bounds how deep elements lie in each other.
const maxDepth = 64

var errXML = errors.New("it is no XML")

// Parse reads a document. encoding/xml would be a third of the module; of XML, AWS uses elements, text and entities.
// Document types are refused.
func Parse(data string) (Element, error) {
	p := xmlParser{rest: data}
	open := []Element{{}}
	for {
		text, tag, err := p.next()
		if err != nil {
			return Element{}, err
		}
		top := &open[len(open)-1]
		if top.Text += text; tag == "" {
			break
		}
		name := strings.TrimSuffix(strings.TrimPrefix(tag, "/"), "/")
		if i := strings.IndexAny(name, " \t\r\n"); i >= 0 {
			name = name[:i]
		}
		name = name[strings.IndexByte(name, ':')+1:]
		if !strings.HasPrefix(tag, "/") {
			if len(open) > maxDepth || name == "" {
				return Element{}, errXML
			}
			open = append(open, Element{Name: name})
		}
		if strings.HasPrefix(tag, "/") || strings.HasSuffix(tag, "/") {
			done := open[len(open)-1]
			if len(open) < 2 || done.Name != name {
				return Element{}, errXML
			}
			open = open[:len(open)-1]
			parent := &open[len(open)-1]
			parent.Children = append(parent.Children, done)
		}
	}
	if root := open[0]; len(open) == 1 && len(root.Children) == 1 && strings.TrimSpace(root.Text) == "" {
		return root.Children[0], nil
	}
	return Element{}, errXML
}

type xmlParser struct{ rest string }

// next returns the text before the next tag and what stands in that tag; at the end the tag is "".
func (p *xmlParser) next() (text, tag string, err error) {
	for {
		before, after, found := strings.Cut(p.rest, "<")
		plain, err := unescape(before)
		if err != nil {
			return "", "", err
		}
		text += plain
		if p.rest = after; !found {
			return text, "", nil
		}
		var closed bool
		switch {
		case strings.HasPrefix(after, "?"):
			_, p.rest, closed = strings.Cut(after, "?>")
		case strings.HasPrefix(after, "!--"):
			_, p.rest, closed = strings.Cut(after[3:], "-->")
		case strings.HasPrefix(after, "![CDATA["):
			var verbatim string
			verbatim, p.rest, closed = strings.Cut(after[8:], "]]>")
			text += verbatim
		case strings.HasPrefix(after, "!"):
		default:
			if tag, p.rest, closed = strings.Cut(after, ">"); closed && tag != "" {
				return text, tag, nil
			}
			closed = false
		}
		if !closed {
			return "", "", errXML
		}
	}
}

var entities = map[string]string{"lt": "<", "gt": ">", "amp": "&", "quot": `"`, "apos": "'"}

// unescape replaces entities.
func unescape(text string) (string, error) {
	if !strings.Contains(text, "&") {
		return text, nil
	}
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "&")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, rest, found := strings.Cut(after, ";")
		value, known := entities[name]
		if number, ok := strings.CutPrefix(name, "#"); ok && found {
			base := 10
			if hex, ok := strings.CutPrefix(number, "x"); ok {
				number, base = hex, 16
			}
			n, err := strconv.ParseUint(number, base, 21)
			value, known = string(rune(n)), err == nil
		}
		if !found || !known {
			return "", errXML
		}
		out.WriteString(value)
		text = rest
	}
}
