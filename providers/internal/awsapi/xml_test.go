package awsapi_test

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/providers/internal/awsapi"
)

func TestXML(t *testing.T) {
	e, err := awsapi.Parse("<?xml version=\"1.0\"?>\n<!-- c --><ns:A xmlns:ns=\"http://x/y/\">\n<b a=\"1\">1 &lt;&#x41;&#66;</b><c/><set><item><![CDATA[<x>]]></item><item>2</item></set></ns:A>\n")
	if err != nil || e.Name != "A" || e.At("b") != "1 <AB" || e.At("c") != "" || len(e.Items("set")) != 2 || e.Items("set")[0].Text != "<x>" || e.At("no", "b") != "" {
		t.Errorf("got %+v, %v", e, err)
	}
	for name, text := range map[string]string{
		"nothing": "", "text": "hello", "two roots": "<a/><b/>", "not closed": "<a><b></b>", "crossed": "<a><b></a></b>", "an entity": "<a>&nbsp;</a>",
		"half an entity": "<a>&lt</a>", "a document type": "<!DOCTYPE a><a/>", "half a tag": "<a", "half a comment": "<a><!-- </a>", "deep": strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100),
		"an end first": "</a>", "no name": "<></>",
	} {
		if e, err := awsapi.Parse(text); err == nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func FuzzXML(f *testing.F) {
	f.Add("<a b='c'>&amp;<d/></a>")
	f.Fuzz(func(t *testing.T, text string) {
		if e, err := awsapi.Parse(text); err == nil && e.Name == "" {
			t.Errorf("a root without a name of %q", text)
		}
	})
}
