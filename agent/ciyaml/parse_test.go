package ciyaml

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestGoodFiles(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.good.yml")
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := Parse(filepath.Base(file), data)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(p, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".yml")+".json", string(text)+"\n")
		})
	}
}

func TestBadFiles(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.bad.yml")
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := Parse(filepath.Base(file), data)
			var problems Problems
			if !errors.As(err, &problems) || p != nil {
				t.Fatalf("got %v, %v; want problems alone", p, err)
			}
			golden(t, strings.TrimSuffix(file, ".yml")+".txt", problems.Error()+"\n")
		})
	}
}

func TestHostileFiles(t *testing.T) {
	bomb := "a0: &a0 [x, x]\n"
	for i := 1; i < 40; i++ {
		n := string(rune('0'+i/10)) + string(rune('0'+i%10))
		last := string(rune('0'+(i-1)/10)) + string(rune('0'+(i-1)%10))
		if i == 1 {
			last = "0"
		}
		bomb += ".b" + n + ": &a" + n + " [*a" + last + ", *a" + last + "]\n"
	}
	tests := map[string]string{
		"too long":       strings.Repeat("#", maxBytes+1),
		"deep flow":      "a: " + strings.Repeat("[", 5000),
		"deep list":      strings.Repeat("- ", 5000) + "x",
		"alias bomb":     strings.Replace(bomb, "a0:", ".a0:", 1) + "job:\n  script: *a39\n",
		"deep condition": "a:\n  script: x\n  rules: [{if: '" + strings.Repeat("(", 500) + "'}]",
		"long condition": "a:\n  script: x\n  rules: [{if: '" + strings.Repeat("$A || ", 5000) + "$A'}]",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse("x.yml", []byte(text)); err == nil || len(err.Error()) > 2000 {
				t.Errorf("got %.300v; want a short refusal", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("fuzz.yml", data)
		if (p == nil) == (err == nil) {
			t.Fatalf("got %v and %v", p, err)
		}
		if p == nil {
			return
		}
		jobs, err := p.Resolve([]Variable{{Key: "CI", Value: "true"}}, nil)
		for _, j := range jobs {
			if err == nil && (j.Name == "" || len(j.Script) == 0) {
				t.Fatalf("job %+v", j)
			}
		}
	})
}
