package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/scaffold"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// languages say how people write a language, and how the test of a module in it is run.
var languages = map[string]struct{ name, test string }{
	"go": {"Go", "go test ."}, "rust": {"Rust", "cargo test"}, "assemblyscript": {"AssemblyScript", "npm test"},
}

func (a *app) moduleNew(kind string) *cobra.Command {
	known := strings.Join(scaffold.Languages(kind), ", ")
	c := &cobra.Command{
		Use: "new NAME", Short: "Make a folder with a " + kind + " to start from", Args: oneArg("the module's name"),
		Long: "Makes a folder with a " + kind + " of that name to start from: source, test, settings, README and the SDK. It builds and passes its test\n" +
			"at once, wherever it lies, and needs nothing but the language's compiler. Languages: " + known + ".",
	}
	language := c.Flags().String("lang", "go", "language: "+known)
	dir := c.Flags().String("dir", "", "the folder to make; NAME in the present one without it")
	c.RunE = func(c *cobra.Command, args []string) error {
		host, err := module.NewHost(module.Options{Logger: a.quietLogger()})
		if err != nil {
			return err
		}
		defer host.Close(c.Context())
		made, err := scaffold.Make(scaffold.Order{Kind: kind, Language: *language, Name: args[0], Reserved: host.BuiltinsOf(kind), Dir: *dir})
		if err != nil {
			return err
		}
		fmt.Fprintf(a.out, "%s: a %s in %s, with its SDK; %s says what is what. Next:\n\n", made, kind, languages[*language].name, filepath.Join(made, "README.md"))
		fmt.Fprintf(a.out, "  cd %s\n  ./build.sh\n  %s\n", shellQuoted(made), languages[*language].test)
		if kind == abi.KindPolicy {
			fmt.Fprintf(a.out, "  millwright policy test %s.wasm --vectors cases\n", args[0])
		} else {
			fmt.Fprintf(a.out, "  millwright driver test %[1]s.wasm --option %[1]s-endpoint=%[2]s\n", args[0], cloudMark)
		}
		return nil
	}
	return c
}

// shellQuoted quotes a path for a shell where it has to be.
func shellQuoted(path string) string {
	if strings.ContainsAny(path, " \t'\"$&;()<>|*?[]#~`\\!{}") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
