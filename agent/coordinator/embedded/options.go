package embedded

import (
	"log/slog"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// Options say what a server serves and how. The zero value is a server without a project on a loopback address.
type Options struct {
	// Addr is where to listen, host:port; "" is a free port of 127.0.0.1. A job in a container must be able to reach it.
	Addr string
	// URL is what runners and jobs are told, scheme and host only; "" is http:// and the address.
	URL string
	// Dir keeps the repository, artifacts and traces, of one server only; "" is a temporary folder that Close removes.
	Dir string
	// Root is the folder to serve as the project's repository: as it is, with what is changed and not yet committed, without what
	// git ignores. Nothing in it is changed. "" is none; then only Enqueue gives jobs.
	Root string
	// Project is the project's path in the coordinator, as group/name; "" is local/<name of Root>.
	Project string
	// Branch names the branch; "" is the current one, and main where there is none.
	Branch string
	// Variables come from outside the file and win over all others. Secret makes masked ones.
	Variables []coordinator.Variable
	// RegistrationToken registers runners the old way; "" has it switched off, as newer servers do.
	RegistrationToken config.Secret
	// PersonalToken may reset the token of any runner; "" is none.
	PersonalToken config.Secret
	// TokenLifetime is how long a runner's token holds from when it is given out; 0 = for ever.
	TokenLifetime time.Duration
	// Registry, when set, is announced as the project's container registry (host:port), with credentials.
	Registry string

	// OnEvent gets each change of a job or of the pipeline, in order, from one goroutine. It may call the server,
	// but not Close, which waits for it.
	OnEvent func(Event)
	Log     *slog.Logger

	LongPoll      time.Duration // how long a job request may wait; 0 = 50 s, negative = not at all
	CommitTimeout time.Duration // from the 201 to the state running; 0 = 2 min
	StuckTimeout  time.Duration // silence of a running job; 0 = 60 min
	TraceInterval time.Duration // what runners are told; 0 = 3 s
	JobTimeout    time.Duration // of jobs that name none; 0 = 1 h
	// AcceptTimeout is how long a final update is put off (202) while bytes of the trace are missing; 0 = 5 min.
	AcceptTimeout time.Duration

	MaxArtifactBytes int64 // per upload; 0 = 1 GiB
	MaxTraceBytes    int64 // per job; 0 = 100 MiB

	// DirectDownload answers direct_download=true with a redirect to a second address that plays the object store.
	DirectDownload bool
}

func (o Options) withDefaults() Options {
	duration := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	duration(&o.LongPoll, 50*time.Second)
	duration(&o.CommitTimeout, 2*time.Minute)
	duration(&o.StuckTimeout, time.Hour)
	duration(&o.TraceInterval, 3*time.Second)
	duration(&o.JobTimeout, time.Hour)
	duration(&o.AcceptTimeout, 5*time.Minute)
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.MaxArtifactBytes <= 0 {
		o.MaxArtifactBytes = 1 << 30
	}
	if o.MaxTraceBytes <= 0 {
		o.MaxTraceBytes = 100 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	return o
}

// Secret is a variable from outside whose value is masked in traces, kept from services and never expanded.
func Secret(name, value string) coordinator.Variable {
	return coordinator.Variable{Key: name, Value: value, Masked: true, Raw: true}
}
