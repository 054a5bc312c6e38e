package cases

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write puts one file of cases into a folder of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRun(t *testing.T) {
	echo := func(export string, input []byte) ([]byte, error) {
		switch {
		case export == "observe":
			return nil, nil
		case strings.Contains(string(input), "bad"):
			return nil, errors.New("that is bad")
		}
		return input, nil
	}
	turns := 0
	for name, tc := range map[string]struct {
		text, want string
		call       func(string, []byte) ([]byte, error)
	}{
		"the same value":           {`{"input":{"a":1,"b":2},"output":{"b":2.0,"a":1}}`, "", echo},
		"another value":            {`{"input":{"a":1},"output":{"a":2}}`, "want {\"a\":2}", echo},
		"texts, to the byte":       {`[{"name":"x","input":"{\"a\":1}","expect":"{\"a\":1}"}]`, "", echo},
		"texts that differ":        {`[{"name":"x","input":"{\"a\":1}","expect":"{\"a\": 1}"}]`, "want {\"a\": 1}", echo},
		"the error":                {`{"input":"bad","error":"is bad"}`, "", echo},
		"another error":            {`{"input":"bad","error":"boom"}`, `got the error "that is bad"; want the error "boom"`, echo},
		"no error":                 {`{"input":{},"error":"boom"}`, `got {}; want the error "boom"`, echo},
		"an error all of a sudden": {`{"input":"bad","output":{}}`, "that is bad", echo},
		"nothing to say":           {`{"export":"observe","input":{},"output":null}`, "", echo},
		"no JSON":                  {`{"input":"junk","output":{}}`, "is no JSON", echo},
		"not the same again": {`{"input":{},"output":{}}`, "the same input gave 1, and then 2", func(string, []byte) ([]byte, error) {
			turns++
			return []byte{byte('0' + turns)}, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := Read(write(t, tc.text))
			if err != nil || len(all) != 1 {
				t.Fatalf("%d cases, %v", len(all), err)
			}
			err = all[0].Run(tc.call)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestRead(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"no list":             {`3`, "is no list of cases"},
		"none":                {`[]`, "holds no case"},
		"nothing is expected": {`[{"about":"a","input":{},"ouput":{}}]`, "case 1 (a) says nothing of what must come"},
	} {
		t.Run(name, func(t *testing.T) {
			if all, err := Read(write(t, tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, %v; want %q", all, err, tc.want)
			}
		})
	}
	all, err := Read(write(t, `[{"policy":"periods","input":"","expect":"{}"},{"kind":"snapshot","input":""},{"input":{},"output":{}}]`))
	if err != nil || len(all) != 3 || all[0].For("burst") || !all[0].For("periods") || all[1].For("periods") || !all[2].For("burst") {
		t.Errorf("got %+v, %v", all, err)
	}
}
