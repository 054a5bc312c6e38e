package fakecloud

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Command is the life of a cloud that is a process of its own, with the flags of the command serve. It prints the API's address on the
// first line of out, logs to stderr, and ends with SIGTERM, SIGINT, or in when --until-eof is given.
func Command(args []string, in io.Reader, out io.Writer) error {
	o := Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.StringVar(&o.Listen, "listen", "127.0.0.1:0", "host:port of the API")
	flags.BoolVar(&o.Machines, "machines", false, "running machines answer SSH and the Docker API on ports of 127.0.0.1")
	jobs := flags.Bool("jobs", false, "with --machines: their engines take jobs, which only pretend to run")
	path := flags.String("ledger", "", "file that the ledger is appended to, a line of JSON each")
	eof := flags.Bool("until-eof", false, "end when standard input does, so as not to outlive a parent that died")
	flags.Func("settings", `how the cloud behaves, as JSON: {"boot_ms":500,"quota":10}`, func(text string) error {
		return json.Unmarshal([]byte(text), &o.Settings)
	})
	var faults []Fault
	flags.Func("fault", `something that goes wrong, as JSON: {"op":"create","status":503,"times":3}; may be repeated`, func(text string) error {
		var f Fault
		err := json.Unmarshal([]byte(text), &f)
		faults = append(faults, f)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *jobs {
		o.Engine = Jobs()
	}
	if *path != "" {
		f, err := os.OpenFile(*path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		defer f.Close()
		o.Ledger = f
	}
	cloud, err := Start(o)
	if err != nil {
		return err
	}
	defer cloud.Close()
	for _, f := range faults {
		cloud.Inject(f)
	}
	fmt.Fprintln(out, cloud.URL())
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	if *eof {
		go func() {
			_, _ = io.Copy(io.Discard, in)
			ended <- os.Interrupt
		}()
	}
	<-ended
	return nil
}
