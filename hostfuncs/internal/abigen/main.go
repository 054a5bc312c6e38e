// Command abigen makes of the structs in sdk/go/abi, their tags and their comments all that must agree with them: the codec of guests
// (sdk/go/abi/codec_gen.go), the JSON Schemas of the payloads (hostfuncs/schema) and the tables of hostfuncs/ABI.md.
//
//	go generate ./sdk/go/abi
//
// A test fails when one of them is not what this program would write.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", ".", "the root of the repository")
	flag.Parse()
	files, err := generate(*root)
	if err != nil {
		log.Fatalf("abigen: %v", err)
	}
	for name, data := range files {
		path := filepath.Join(*root, filepath.FromSlash(name))
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			log.Fatalf("abigen: %v", err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			log.Fatalf("abigen: %v", err)
		}
		fmt.Println("wrote", name)
	}
}

// generate returns all that is made of the shapes, by path from the root.
func generate(root string) (map[string][]byte, error) {
	s, err := parse(filepath.Join(root, "sdk", "go", "abi"))
	if err != nil {
		return nil, err
	}
	if err := unknownLimits(s); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if files["sdk/go/abi/"+codecFile], err = codec(s); err != nil {
		return nil, err
	}
	for _, k := range kinds {
		if files["hostfuncs/schema/"+k.name+".json"], err = schema(s, k); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", k.name, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "hostfuncs", "ABI.md"))
	if err != nil {
		return nil, err
	}
	with, err := tables(s, string(text))
	files["hostfuncs/ABI.md"] = []byte(with)
	return files, err
}
