package job

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// flagDefaults are GitLab Runner's feature flags with their defaults. All of them are resolved and handed to the job, those that
// mean nothing here too, because scripts look at them. Source: GitLab Runner documentation, "Feature flags".
var flagDefaults = map[string]bool{
	"FF_USE_DIRECT_DOWNLOAD": true, "FF_USE_FASTZIP": true, "FF_TIMESTAMPS": true, "FF_MASK_ALL_DEFAULT_TOKENS": true,
	"FF_USE_GIT_BUNDLE_URIS": true, "FF_USE_GITALY_CORRELATION_ID": true, "FF_SECRET_RESOLVING_FAILS_IF_MISSING": true,
	"FF_USE_EXPONENTIAL_BACKOFF_STAGE_RETRY": true, "FF_USE_ADAPTIVE_REQUEST_CONCURRENCY": true,
	"FF_ENABLE_JOB_INPUTS_INTERPOLATION": true, "FF_USE_DOCKER_AUTOSCALER_DIAL_STDIO": true, "FF_USE_POD_ACTIVE_DEADLINE_SECONDS": true,

	"FF_NETWORK_PER_BUILD": false, "FF_SCRIPT_SECTIONS": false, "FF_HASH_CACHE_KEYS": false, "FF_GIT_URLS_WITHOUT_TOKENS": false,
	"FF_USE_GIT_NATIVE_CLONE": false, "FF_USE_GIT_PROACTIVE_AUTH": false, "FF_DISABLE_UMASK_FOR_DOCKER_EXECUTOR": false,
	"FF_ENABLE_BASH_EXIT_CODE_CHECK": false, "FF_USE_LEGACY_BASH_EVAL": false, "FF_POSIXLY_CORRECT_ESCAPES": false,
	"FF_ENABLE_JOB_CLEANUP": false, "FF_RESOLVE_FULL_TLS_CHAIN": false, "FF_USE_INIT_WITH_DOCKER_EXECUTOR": false,
	"FF_USE_NATIVE_CONTAINER_STOP": false, "FF_LOG_IMAGES_CONFIGURED_FOR_JOB": false, "FF_CLEAN_UP_FAILED_CACHE_EXTRACT": false,
	"FF_USE_PARALLEL_CACHE_TRANSFER": false, "FF_USE_PARALLEL_ARTIFACT_TRANSFER": false, "FF_USE_LEGACY_S3_CACHE_ADAPTER": false,
	"FF_USE_LEGACY_GCS_CACHE_ADAPTER": false, "FF_USE_DYNAMIC_TRACE_FORCE_SEND_INTERVAL": false,
	"FF_DISABLE_AUTOMATIC_TOKEN_ROTATION": false, "FF_USE_JOB_ROUTER": false, "FF_CONCRETE": false,
	"FF_SCRIPT_TO_STEP_MIGRATION": false, "FF_SUSPENDABLE_ENVIRONMENTS": false, "FF_EXPORT_HIGH_CARDINALITY_METRICS": false,
	"FF_USE_FLEETING_ACQUIRE_HEARTBEATS": false,

	// Of other executors and systems.
	"FF_USE_POWERSHELL_PATH_RESOLVER": false, "FF_USE_WINDOWS_LEGACY_PROCESS_STRATEGY": false, "FF_USE_WINDOWS_JOB_OBJECT": false,
	"FF_DISABLE_POWERSHELL_STDIN": false, "FF_USE_LEGACY_KUBERNETES_EXECUTION_STRATEGY": false, "FF_KUBERNETES_HONOR_ENTRYPOINT": false,
	"FF_USE_ADVANCED_POD_SPEC_CONFIGURATION": false, "FF_PRINT_POD_EVENTS": false, "FF_USE_DUMB_INIT_WITH_KUBERNETES_EXECUTOR": false,
	"FF_DISABLE_UMASK_FOR_KUBERNETES_EXECUTOR": false, "FF_WAIT_FOR_POD_TO_BE_REACHABLE": false,
}

// withoutEffect are flags that would change what a job does and do not yet: whoever sets one is told. Not among them are those whose
// effect is there whatever they say: scripts need no other quoting (FF_POSIXLY_CORRECT_ESCAPES, FF_USE_LEGACY_BASH_EVAL), and
// archives are always packed by all processors (FF_USE_FASTZIP).
var withoutEffect = []string{"FF_USE_PARALLEL_CACHE_TRANSFER", "FF_USE_PARALLEL_ARTIFACT_TRANSFER", "FF_USE_JOB_ROUTER", "FF_CONCRETE", "FF_SCRIPT_TO_STEP_MIGRATION", "FF_SUSPENDABLE_ENVIRONMENTS"}

// umaskFlag has the helper leave its umask alone; the checkout is given to the build container's user instead.
const umaskFlag = "FF_DISABLE_UMASK_FOR_DOCKER_EXECUTOR"

// flags are the feature flags of one job.
type flags map[string]bool

// resolveFlags asks the runner's configuration first, then the job's variables, then its environment, then the defaults. What
// can't be read counts as not set and is warned of.
func resolveFlags(r *config.Runner, job coordinator.Variables, environment coordinator.Variables) (flags, []string) {
	out, warnings := maps.Clone(flags(flagDefaults)), []string(nil)
	for name := range out {
		if on, ok := r.FeatureFlags[name]; ok {
			out[name] = on
			continue
		}
		value := job.Get(name)
		if value == "" {
			value = environment.Get(name)
		}
		if value == "" {
			continue
		}
		on, err := strconv.ParseBool(value)
		if err != nil {
			warnings = append(warnings, "feature flag "+name+": "+strconv.Quote(value)+" is neither true nor false; using "+strconv.FormatBool(out[name]))
			continue
		}
		out[name] = on
	}
	for _, name := range withoutEffect {
		if out[name] {
			warnings = append(warnings, "feature flag "+name+" has no effect in this version of Millwright")
		}
	}
	slices.Sort(warnings)
	return out, warnings
}

// changed lists the flags that differ from their defaults, as "FF_A:true, FF_B:false".
func (f flags) changed() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if f[name] != flagDefaults[name] {
			list = append(list, name+":"+strconv.FormatBool(f[name]))
		}
	}
	return strings.Join(list, ", ")
}

func (f flags) variables() coordinator.Variables {
	var out coordinator.Variables
	for _, name := range slices.Sorted(maps.Keys(f)) {
		out = append(out, coordinator.Variable{Key: name, Value: strconv.FormatBool(f[name]), Public: true})
	}
	return out
}
