package docker

import (
	"context"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor"
)

// Options are what the executor needs to know of one job, in plain values.
type Options struct {
	Host     string // tcp://10.0.0.7:2376, unix:///var/run/docker.sock; "" means that of Config, else of the environment
	CertPath string // folder with ca.pem, cert.pem and key.pem; "" means no TLS
	Config   *config.Docker
	// Dial, if set, connects to the engine, whatever Host is; it is called with names that mean nothing.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	Pwsh    bool // scripts of the build container are for PowerShell 7, which its image must have
	Console executor.Console
	// ServiceOutput takes the output of the services as it comes (CI_DEBUG_SERVICES); nil leaves it on the engine.
	ServiceOutput io.Writer
	Log           *slog.Logger

	// Expand expands variables in names of images and the like; Env is the engine-side environment of the build and helper
	// containers, ServiceEnv that of services before their own variables, each as NAME=value.
	Expand     func(string) string
	Env        []string
	ServiceEnv []string

	Image    Image
	Services []Service

	Name        Name
	BuildsDir   string // absolute path in the containers
	ProjectDir  string // absolute; relative volumes are joined to it
	KeepBuilds  bool   // the builds volume outlives the job (GIT_STRATEGY=fetch)
	Protected   bool   // the job's ref or a cache key is protected
	UserOverAny string // the job's own user, used unless Config.User is set

	// HelperArchive returns the path of the archive that holds the image millwright/helper:<arch>, arch in Go's words (amd64);
	// "" when there is none.
	HelperArchive func(arch string) string

	Auth  Auth
	Flags Flags

	EngineFacts *EngineFacts // nil remembers nothing

	Init Init

	// First, if set, returns what can be done ahead of the first stages. Prepare calls it when it knows all else.
	First func(executor.Ready) First

	// Silence is how long the engine may not answer before what runs on it is given up; 0 is 45 seconds.
	Silence time.Duration

	// Handle is of an executor of an agent before, whose work Resume takes up; nil makes everything anew.
	Handle []byte
}

// Init is about millwright-init, the first process of build containers. Scripts run without it where it is not.
type Init struct {
	Path string // where the helper's scripts put it, in both containers; "" runs none
	Word string // see packed.WordVariable
}

// First is what a job can tell of its first stages before their turn. What comes of it shows when they are run: with other scripts, or after
// a failure, that is as if nothing had been told.
type First struct {
	Helper, Build []byte // the scripts of the first stage at each place; nil where none is known
	// HelperPlain says that no lines of somebody else's are in Helper: any POSIX shell runs it alike.
	HelperPlain bool
	// HelperEnds says that no stage runs at the helper's place once one has run at the build's.
	HelperEnds bool
}

// Flags are the feature flags that matter here.
type Flags struct {
	NetworkPerBuild bool // FF_NETWORK_PER_BUILD
	Init            bool // FF_USE_INIT_WITH_DOCKER_EXECUTOR
	NativeStop      bool // FF_USE_NATIVE_CONTAINER_STOP
	Owner           bool // FF_DISABLE_UMASK_FOR_DOCKER_EXECUTOR: Prepare finds out the build container's user
}

// Image is the job's image as the payload names it, unexpanded. An empty Name means that of the configuration.
type Image struct {
	Name       string
	Entrypoint []string // none leaves the image's; [""] clears it
	PullPolicy []string
	Platform   string
}

// Service is a service of the job or of the configuration.
type Service struct {
	Image
	User    string
	Alias   string // separated by space or comma
	Command []string
	Env     []string // its own variables, expanded
	// HealthPort is HEALTHCHECK_TCP_PORT of its variables; "" means the exposed ports.
	HealthPort string
	Configured bool // it comes from config.toml, so it is always allowed
}

// Name holds what names and labels are made of.
type Name struct {
	ShortToken    string
	Token         config.Secret // only a hash of it is used
	SystemID      string
	Agent         string // the owner id of the agent's state directory, for Sweep; "" leaves what is left behind alone
	ProjectID     int64
	Slot          int // CI_CONCURRENT_ID
	ProjectSlot   int // CI_CONCURRENT_PROJECT_ID; 0 for docker+machine
	JobID         int64
	PipelineID    int64
	JobURL        string
	SHA           string
	BeforeSHA     string
	Ref           string
	Timeout       time.Duration
	RunnerVersion string // CI_RUNNER_VERSION in helper_image
	RunnerCommit  string // CI_RUNNER_REVISION in helper_image
}
