// Package archtest holds the table of who may import whom and the test that keeps it. An arrow points at what is imported; there
// is no arrow back. When two packages want each other, the shared values move down, to fleet or sdk/go/abi; where a row needs
// more, it declares a small interface of its own and cli passes the real thing in.
package archtest

// rule is one row: the first that matches a package holds.
type rule struct {
	pkg       string   // path in the module; a trailing /... takes all below
	inner     []string // packages of the project that it may import
	libraries []string // what it may import beside the standard library
	why       string   // the sentence that a violation comes with
}

// neverRule forbids what a package would reach even through others.
type neverRule struct {
	pkg     string
	reaches []string
	why     string
}

var rules = []rule{
	{pkg: "agent/archtest", why: "it reads the tree and needs nothing of it"},
	{pkg: "agent/cmd/millwright", inner: []string{"agent/cli"}, why: "main only picks the command line by its name; put the rest into agent/cli"},
	{pkg: "agent/cmd/millwright-helper/...", inner: []string{"agent/archive"},
		libraries: []string{"github.com/minio/...", "github.com/klauspost/compress/...", "mvdan.cc/sh/v3/...", "github.com/google/go-containerregistry/..."},
		why:       "the helper goes onto every machine and stays slim"},
	{pkg: "agent/cmd/millwright-init", inner: []string{"agent/executor/packed"}, why: "each build container runs it: it stays small"},
	{pkg: "agent/executor/packed", why: "millwright-init and its reader share it; it imports nothing"},
	{pkg: "agent/archive", libraries: []string{"github.com/klauspost/compress/...", "github.com/bmatcuk/doublestar/v4"},
		why: "archives know of files and nothing else; the helper binary holds them"},
	{pkg: "agent/cli/...", inner: []string{"agent/...", "sdk/go/...", "policies", "providers"},
		libraries: []string{"github.com/kardianos/service", "github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term", "golang.org/x/sync/...", "github.com/docker/docker/..."},
		why:       "the command line wires the parts together; logic belongs into the part"},
	{pkg: "agent/config", libraries: []string{"github.com/knadh/koanf/...", "github.com/pelletier/go-toml/v2/..."},
		why: "configuration is a value that everybody reads; it knows nobody"},
	{pkg: "agent/supervisor/...", inner: []string{"agent/config", "agent/coordinator", "agent/driver/...", "agent/executor/...", "agent/feed", "agent/fleet", "agent/grants", "agent/incumbent", "agent/job/...", "agent/journal", "agent/metrics", "agent/migrate", "agent/module/...", "agent/pool", "agent/provision/...", "agent/trace", "agent/wait", "hostfuncs/credentials", "sdk/go/abi", "sdk/go/period"},
		libraries: []string{"golang.org/x/sync/...", "github.com/fsnotify/fsnotify", "github.com/prometheus/client_golang/..."},
		why:       "it starts and stops workers; what a worker does lies in feed, pool and job"},
	{pkg: "agent/coordinator/embedded/...", inner: []string{"agent/config", "agent/ciyaml"}, why: "the embedded coordinator is the other side of the wire; it must not know the agent"},
	{pkg: "agent/ciyaml", libraries: []string{"github.com/goccy/go-yaml/..."}, why: "it reads a file into a value"},
	{pkg: "agent/coordinator", inner: []string{"agent/config", "agent/wait"}, why: "the runner API needs the runner's settings and nothing else"},
	{pkg: "agent/feed", inner: []string{"agent/coordinator", "agent/config"}, why: "it asks for jobs and hands them on; machines come through its own interface"},
	{pkg: "agent/trace", inner: []string{"agent/coordinator", "agent/config", "agent/wait"}, why: "a trace goes to the coordinator; how jobs run is not its matter"},
	{pkg: "agent/job/jobtest", inner: []string{"agent/config", "agent/coordinator/...", "agent/executor/...", "agent/internal/need", "agent/job"}, libraries: []string{"github.com/docker/docker/..."},
		why: "it gives the tests of jobs a coordinator and an engine; only tests import it"},
	{pkg: "agent/job/remotecache", inner: []string{"agent/config", "hostfuncs/signin"},
		libraries: []string{"github.com/aws/aws-sdk-go-v2/...", "github.com/Azure/azure-sdk-for-go/sdk/...", "golang.org/x/oauth2/..."},
		why:       "it signs addresses of stores; what is cached when lies in job"},
	{pkg: "agent/job/remotecache/storetest", inner: []string{"agent/internal/need"}, libraries: []string{"github.com/aws/aws-sdk-go-v2/..."},
		why: "it is the stores' side of the wire, for tests"},
	{pkg: "agent/job/...", inner: []string{"agent/config", "agent/coordinator", "agent/trace", "agent/executor/...", "agent/fleet", "agent/wait"}, libraries: []string{"github.com/minio/..."},
		why: "a job knows stages and scripts; containers are the executor's, machines the pool's"},
	{pkg: "agent/enginetls", why: "it reads three files into a value"},
	{pkg: "agent/executor/process", inner: []string{"agent/executor"}, why: "it runs programs; jobs are not its matter"},
	{pkg: "agent/executor/winrm", inner: []string{"agent/config"}, why: "it speaks to a host; what is run there is its callers' matter"},
	{pkg: "agent/executor/connect", inner: []string{"agent/config", "agent/driver/group", "agent/executor/process", "agent/executor/winrm", "agent/wait"}, libraries: []string{"golang.org/x/crypto/ssh/..."}, why: "it reaches instances; what is done there is its callers' matter"},
	{pkg: "agent/executor/nesting", libraries: []string{"gitlab.com/gitlab-org/fleeting/nesting/...", "google.golang.org/grpc/...", "golang.org/x/crypto/ssh"}, why: "it speaks to a daemon; what its virtual machines are for is its callers' matter"},
	{pkg: "agent/executor/remote", inner: []string{"agent/executor", "agent/executor/process", "agent/wait"}, libraries: []string{"golang.org/x/crypto/ssh/..."}, why: "it runs stages on a host; whose that is, is its callers' matter"},
	{pkg: "agent/executor/...", inner: []string{"agent/config", "agent/enginetls", "agent/driver/group", "agent/executor/connect", "agent/executor/nesting", "agent/executor/packed", "agent/executor/process", "agent/executor/remote", "agent/fleet", "agent/internal/need", "agent/wait"},
		libraries: []string{"github.com/docker/...", "golang.org/x/crypto/ssh/...", "github.com/distribution/reference", "github.com/bmatcuk/doublestar/v4", "github.com/opencontainers/...", "github.com/containerd/errdefs/...", "golang.org/x/sync/..."},
		why:       "an executor runs stages; what they mean lies in job"},
	{pkg: "agent/fleet", inner: []string{"sdk/go/abi"}, why: "plain values import nothing but the ABI's shapes"},
	{pkg: "agent/plan", inner: []string{"agent/fleet", "sdk/go/abi"}, why: "the plan is pure: values in, values out"},
	{pkg: "agent/specvectors", inner: []string{"agent/fleet", "sdk/go/abi"}, why: "it is a table for the tests of others, guests' tests too"},
	{pkg: "agent/pool", inner: []string{"agent/fleet", "agent/plan", "agent/driver", "agent/journal", "agent/wait", "sdk/go/abi"}, why: "the pool owns the fleet; the rest reaches it through interfaces that it defines"},
	{pkg: "agent/migrate", inner: []string{"agent/driver/legacy", "agent/driver/machinefile", "agent/fleet", "agent/journal", "sdk/go/abi"}, libraries: []string{"golang.org/x/sync/..."},
		why: "it moves folders between two stores; drivers and engines are asked through its own interface"},
	{pkg: "agent/garbage", why: "it is a leaf: the process has one collector"},
	{pkg: "agent/wait", why: "it is a leaf, for whoever waits"},
	{pkg: "agent/incumbent", inner: []string{"agent/fleet"}, libraries: []string{"github.com/prometheus/common/..."}, why: "it reads what another program leaves, and decides nothing"},
	{pkg: "agent/journal", inner: []string{"agent/fleet", "sdk/go/abi"}, libraries: []string{"golang.org/x/sys/..."}, why: "the journal stores values"},
	{pkg: "agent/driver/wasm", inner: []string{"agent/config", "agent/driver/group", "agent/fleet", "sdk/go/abi", "agent/module", "hostfuncs/..."},
		libraries: []string{"golang.org/x/crypto/ssh"}, why: "the Wasm driver is a module behind the driver's interface"},
	{pkg: "agent/driver/drivertest/native", inner: []string{"agent/driver", "agent/driver/wasm", "sdk/go/abi", "sdk/go/driver"}, why: "it runs a guest without Wasm, for the tests of drivers"},
	{pkg: "agent/driver/drivertest/original", inner: []string{"agent/driver/legacy/...", "agent/driver/wasm", "agent/fleet", "agent/journal", "agent/migrate", "sdk/go/abi"}, why: "it runs docker-machine's own drivers, for the tests of ours"},
	{pkg: "agent/driver/drivertest/fakearm", inner: []string{"agent/internal/fakecloud", "agent/internal/need"}, why: "it starts a cloud in a process of its own; it must not know drivers"},
	{pkg: "agent/driver/drivertest/fakegce", inner: []string{"agent/internal/fakecloud"}, why: "the cloud is the other side of the wire; it must not know drivers"},
	{pkg: "agent/driver/drivertest/fakeec2", inner: []string{"agent/internal/fakecloud", "sdk/go/abi"}, why: "the cloud is the other side of the wire; it must not know drivers"},
	{pkg: "agent/driver/drivertest/fakeasg", why: "the cloud is the other side of the wire; it must not know drivers"},
	{pkg: "agent/driver/drivertest", inner: []string{"agent/driver", "agent/driver/group", "agent/fleet", "sdk/go/abi"}, libraries: []string{"github.com/google/go-cmp/..."},
		why: "it holds drivers and groups to their contracts, and knows none of them"},
	{pkg: "agent/driver/drivertest/fakerest", why: "it is the other side of the wire; it must not know drivers"},
	{pkg: "agent/driver/drivertest/fakedo", inner: []string{"agent/driver/drivertest/fakerest"}, libraries: []string{"github.com/digitalocean/godo"},
		why: "the cloud is the other side of the wire; it must not know drivers"},
	{pkg: "agent/driver/drivertest/fakehcloud", inner: []string{"agent/driver/drivertest/fakerest"}, libraries: []string{"github.com/hetznercloud/hcloud-go/v2/...", "golang.org/x/crypto/ssh"},
		why: "the cloud is the other side of the wire; it must not know drivers"},
	{pkg: "agent/driver/legacy/legacytest", inner: []string{"agent/internal/need"}, why: "it builds plug-ins for the tests of others"},
	{pkg: "agent/driver/child", why: "it knows processes and texts; what drivers do with them is theirs"},
	{pkg: "agent/driver/fleeting/fleetingtest", inner: []string{"agent/internal/fakecloud", "agent/internal/need"}, libraries: []string{"golang.org/x/crypto/ssh"},
		why: "it is a cloud with the plug-in for it, for the tests of others"},
	{pkg: "agent/driver/group", inner: []string{"agent/config", "agent/driver", "agent/fleet", "agent/journal", "sdk/go/abi"}, why: "a group is a driver that picks names itself; what serves it lies elsewhere"},
	{pkg: "agent/driver/group/grouptest", inner: []string{"agent/driver/group"}, why: "it is a group for the tests of others"},
	{pkg: "agent/driver/fleeting/...", inner: []string{"agent/config", "agent/driver", "agent/driver/child", "agent/driver/group", "agent/executor/process", "sdk/go/abi"},
		libraries: []string{"github.com/hashicorp/go-plugin/...", "github.com/hashicorp/go-hclog", "google.golang.org/grpc/...", "google.golang.org/protobuf/...", "github.com/google/go-containerregistry/...", "github.com/docker/cli/cli/config/..."},
		why:       "it hosts plug-ins that serve groups, and knows neither pools nor jobs"},
	{pkg: "agent/driver/machinefile", inner: []string{"agent/journal"}, why: "it is one file beside a machine's others, made durable as these are"},
	{pkg: "agent/driver/...", inner: []string{"agent/driver/child", "agent/driver/machinefile", "agent/fleet", "sdk/go/abi"}, libraries: []string{"github.com/google/go-cmp/..."}, why: "a driver knows machines and the ABI"},
	{pkg: "agent/provision", inner: []string{"agent/enginetls", "agent/fleet", "agent/journal", "agent/wait", "sdk/go/abi"},
		libraries: []string{"golang.org/x/crypto/ssh/...", "github.com/docker/...", "github.com/containerd/errdefs/...", "golang.org/x/sys/..."}, why: "it makes a fresh machine ready and knows nothing of pools or jobs"},
	{pkg: "agent/provision/instances", inner: []string{"agent/executor/connect", "agent/executor/nesting", "agent/fleet", "agent/provision", "agent/wait", "sdk/go/abi"},
		libraries: []string{"golang.org/x/crypto/ssh/...", "github.com/docker/..."}, why: "it makes an instance ready and knows nothing of pools or jobs"},
	{pkg: "agent/dockermachine", inner: []string{"agent/driver", "agent/driver/hosts", "agent/enginetls", "agent/fleet", "agent/journal", "agent/migrate", "agent/provision", "agent/wait", "sdk/go/abi"},
		libraries: []string{"golang.org/x/crypto/ssh", "golang.org/x/sync/...", "golang.org/x/term"}, why: "it is a command line over drivers, provisioner and store; agent and modules reach it through interfaces"},
	{pkg: "agent/module/moduletest", inner: []string{"hostfuncs/vectors", "sdk/go/abi", "sdk/go/policy", "agent/internal/need", "agent/module", "agent/internal/guests"}, why: "it runs guests as Wasm for the tests of others"},
	{pkg: "agent/module/...", inner: []string{"agent/module/...", "agent/fleet", "agent/garbage", "hostfuncs/...", "policies", "providers", "sdk/go/abi", "sdk/go/policy/rules", "sdk/go/policy/sample"},
		libraries: []string{"github.com/extism/go-sdk", "github.com/tetratelabs/wazero/...", "github.com/klauspost/compress/...", "golang.org/x/sync/..."}, why: "it hosts modules and knows nothing of machines"},
	{pkg: "agent/scaffold", inner: []string{"sdk", "sdk/go/abi", "sdk/go/policy/rules", "examples/drivers"}, why: "it writes files for authors and runs nothing"},
	{pkg: "agent/trial", inner: []string{"agent/module", "agent/plan", "agent/fleet", "sdk/go/abi", "sdk/go/policy/cases", "sdk/go/policy/rules", "sdk/go/policy/sample"},
		why: "it judges a policy as the agent would; how that is shown is cli's"},
	{pkg: "agent/grants", inner: []string{"agent/config", "hostfuncs/..."}, why: "it turns what the operator wrote into what the host functions take, and decides nothing"},
	{pkg: "agent/metrics", inner: []string{"agent/fleet", "sdk/go/abi"}, libraries: []string{"github.com/prometheus/..."}, why: "metrics are fed with values and ask no one"},
	{pkg: "agent/internal/guests/...", inner: []string{"agent/internal/..."}, libraries: []string{"github.com/klauspost/compress/...", "golang.org/x/sync/..."},
		why: "it compiles guests, for builds and tests"},
	{pkg: "agent/internal/fakecloud/...", inner: []string{"agent/internal/fakecloud"}, libraries: []string{"github.com/gliderlabs/ssh", "golang.org/x/crypto/ssh"},
		why: "the fake cloud is the other side of the wire; it must not know the agent"},
	{pkg: "agent/internal/sshd", inner: []string{"agent/internal/need"}, libraries: []string{"golang.org/x/crypto/ssh"}, why: "it is a host for tests; it must not know the agent"},
	{pkg: "agent/internal/nestd/...", inner: []string{"agent/internal/need", "agent/internal/nestd"}, libraries: []string{"gitlab.com/gitlab-org/fleeting/nesting/...", "github.com/gliderlabs/ssh", "golang.org/x/crypto/ssh"}, why: "it is a daemon on an instance, for tests; it must not know the agent"},
	{pkg: "agent/internal/winrmd", inner: []string{"agent/internal/need"}, why: "it is a host for tests; it must not know the agent"},
	{pkg: "agent/internal/crashagent", inner: []string{"agent/...", "sdk/go/abi"}, why: "it is the agent's command line that dies where a test wishes"},
	{pkg: "agent/internal/cloudtrial/...", inner: []string{"agent/...", "hostfuncs/credentials"}, why: "it is the agent in an account, and a look into that account"},
	{pkg: "agent/internal/...", inner: []string{"agent/..."}, libraries: []string{"github.com/google/go-containerregistry/...", "golang.org/x/net/dns/dnsmessage", "github.com/docker/..."},
		why: "help for tests, demo and build; nothing of the agent depends on it but cli"},
	{pkg: "hostfuncs/signin", why: "it is one HTTP client, for all that signs in"},
	{pkg: "hostfuncs/credentials", inner: []string{"hostfuncs/internal/...", "hostfuncs/signin"},
		libraries: []string{"github.com/aws/aws-sdk-go-v2/...", "github.com/Azure/azure-sdk-for-go/sdk/...", "golang.org/x/oauth2/...", "golang.org/x/net/http/httpguts"},
		why:       "it is the operator towards a cloud; who may sign what is decided in httpsend"},
	{pkg: "hostfuncs/...", inner: []string{"sdk/go/abi", "hostfuncs/internal/..."}, libraries: []string{"github.com/extism/go-sdk", "github.com/tetratelabs/wazero/...", "golang.org/x/net/http/httpguts"}, why: "host functions are the sandbox's only door; keep what stands behind it small"},
	{pkg: "policies", why: "it only embeds dist"},
	{pkg: "providers", why: "it only embeds dist"},
	{pkg: "sdk", why: "it only embeds the SDKs, and holds the test that those of the other languages pass"},
	{pkg: "sdk/go/abi", why: "the leaf that both sides share imports nothing"},
	{pkg: "sdk/go/period", why: "guests and host share it; it imports nothing"},
	{pkg: "sdk/go/...", inner: []string{"sdk/go/..."}, why: "whoever imports the SDK gets no other dependency"},
	{pkg: "policies/...", inner: []string{"sdk/go/..."}, why: "a guest imports the SDK alone"},
	{pkg: "providers/internal/...", inner: []string{"sdk/go/...", "providers/internal/..."}, why: "what built-in drivers share is a part of guests, which import the SDK alone"},
	{pkg: "providers/...", inner: []string{"sdk/go/...", "providers/internal/..."}, why: "a guest imports the SDK alone, and what built-in drivers share"},
	{pkg: "examples/...", inner: []string{"sdk/go/..."}, why: "examples are what users copy: they import the SDK alone"},
}

// pure packages may not import these, nor read the clock.
var (
	purePackages   = []string{"agent/plan", "agent/fleet", "sdk/go/abi", "sdk/go/period", "sdk/go/policy/calendar", "policies/periods", "policies/idlescale", "policies/instances"}
	impureImports  = []string{"os", "net", "net/http", "sync", "math/rand", "math/rand/v2", "crypto/rand", "io/fs"}
	clockFunctions = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
)

var never = []neverRule{
	{pkg: "agent/cmd/millwright-helper", reaches: []string{"github.com/tetratelabs/wazero/...", "github.com/docker/docker/..."}, why: "the helper is copied onto every machine"},
	{pkg: "agent/coordinator/embedded", reaches: []string{"agent/pool", "agent/job", "agent/feed"}, why: "the coordinator is the other side of the wire"},
	{pkg: "sdk/go/...", reaches: []string{"agent/...", "github.com/tetratelabs/wazero/..."}, why: "the SDK depends on nothing inside"},
}
