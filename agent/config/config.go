// Package config reads config.toml, GitLab Runner's own file, unchanged, and millwright.toml beside it, as one immutable value:
// parse, default, validate, diff. Whoever holds a Config may read it from any goroutine and never writes it.
package config

import (
	"fmt"
	"net/url"
	"time"
)

// Config is config.toml. Field names are GitLab's keys in Go's spelling; the comment gives units and defaults where they are not
// plain. Source: GitLab Runner documentation, "Advanced configuration".
type Config struct {
	Path string `toml:"-"` // the file it came from

	Concurrent       int               `toml:"concurrent"`     // jobs at once over all runners; default 1
	CheckInterval    int               `toml:"check_interval"` // seconds; 0 or less means 3
	LogLevel         string            `toml:"log_level"`
	LogFormat        string            `toml:"log_format"` // runner, text, json
	ListenAddress    string            `toml:"listen_address"`
	ShutdownTimeout  int               `toml:"shutdown_timeout"`   // seconds; 0 or less means 30
	ConnectionMaxAge *Duration         `toml:"connection_max_age"` // default 15m; 0 or less = unlimited
	SentryDSN        Secret            `toml:"sentry_dsn"`         // default: the variable SENTRY_DSN
	User             string            `toml:"user"`               // whose rights jobs of the executor shell get; default: the agent's
	Labels           map[string]string `toml:"labels"`
	SessionServer    SessionServer     `toml:"session_server"`
	Machine          MachineGlobal     `toml:"machine"`
	Runners          []Runner          `toml:"runners"`
}

// Duration is a TOML duration string such as "20m0s"; a bare integer counts nanoseconds.
type Duration time.Duration

// SessionServer is [session_server].
type SessionServer struct {
	ListenAddress    string `toml:"listen_address"`
	AdvertiseAddress string `toml:"advertise_address"`
	SessionTimeout   int    `toml:"session_timeout"` // seconds; default 1800
}

// MachineGlobal is [machine], the settings of docker+machine as a whole.
type MachineGlobal struct {
	ShutdownDrain ShutdownDrain `toml:"shutdown_drain"`
}

// ShutdownDrain is [machine.shutdown_drain].
type ShutdownDrain struct {
	Enabled      bool     `toml:"enabled"`
	Concurrency  int      `toml:"concurrency"`   // default 3
	MaxRetries   int      `toml:"max_retries"`   // default 3
	RetryBackoff Duration `toml:"retry_backoff"` // default 5s
}

// Runner is one [[runners]] entry.
type Runner struct {
	Name            string    `toml:"name"`
	URL             string    `toml:"url" env:"CI_SERVER_URL"`
	ID              int64     `toml:"id"`
	Token           Secret    `toml:"token" env:"CI_SERVER_TOKEN"`
	TokenObtainedAt time.Time `toml:"token_obtained_at"`
	TokenExpiresAt  time.Time `toml:"token_expires_at"`
	TLSCAFile       string    `toml:"tls-ca-file" env:"CI_SERVER_TLS_CA_FILE"`
	TLSCertFile     string    `toml:"tls-cert-file" env:"CI_SERVER_TLS_CERT_FILE"`
	TLSKeyFile      string    `toml:"tls-key-file" env:"CI_SERVER_TLS_KEY_FILE"`

	Executor               string            `toml:"executor"`
	Limit                  int               `toml:"limit"`               // 0 or less = none
	RequestConcurrency     int               `toml:"request_concurrency"` // less than 1 is 1
	StrictCheckInterval    bool              `toml:"strict_check_interval"`
	UnhealthyRequestsLimit int               `toml:"unhealthy_requests_limit"`            // default 3
	UnhealthyInterval      Duration          `toml:"unhealthy_interval"`                  // default 60m
	OutputLimit            int               `toml:"output_limit"`                        // kibibytes; 0 or less means 4096
	FinalUpdateRetryLimit  int               `toml:"job_status_final_update_retry_limit"` // default 10
	PrepareTimeout         Duration          `toml:"prepare_timeout"`
	GetSourcesTimeout      Duration          `toml:"get_sources_timeout"`
	Labels                 map[string]string `toml:"labels"`

	Shell                string   `toml:"shell"`
	BuildsDir            string   `toml:"builds_dir"` // default /builds in containers
	CacheDir             string   `toml:"cache_dir"`  // default /cache in containers
	Environment          []string `toml:"environment" flag:"env" env:"RUNNER_ENV"`
	CloneURL             string   `toml:"clone_url" env:"CLONE_URL"`
	PreGetSourcesScript  string   `toml:"pre_get_sources_script"`
	PostGetSourcesScript string   `toml:"post_get_sources_script"`
	PreBuildScript       string   `toml:"pre_build_script"`
	PostBuildScript      string   `toml:"post_build_script"`
	DebugTraceDisabled   bool     `toml:"debug_trace_disabled"`
	CleanGitConfig       *bool    `toml:"clean_git_config"`
	SafeDirectory        *bool    `toml:"safe_directory_checkout"`

	FeatureFlags   map[string]bool `toml:"feature_flags" env:"FEATURE_FLAGS"`
	CustomBuildDir struct {
		Enabled *bool `toml:"enabled"`
	} `toml:"custom_build_dir"`
	Artifact struct {
		UploadTimeout         Duration `toml:"upload_timeout"`          // default 1h
		ResponseHeaderTimeout Duration `toml:"response_header_timeout"` // default 10m
	} `toml:"artifact"`
	Cache   Cache    `toml:"cache"`
	Docker  Docker   `toml:"docker"`
	Machine *Machine `toml:"machine"`

	UseSlotCgroups     bool        `toml:"use_slot_cgroups"`
	SlotCgroupTemplate string      `toml:"slot_cgroup_template"`
	Autoscaler         *Autoscaler `toml:"autoscaler"`
	Instance           *Instance   `toml:"instance"`
	SSH                *SSH        `toml:"ssh"`
	Custom             *Custom     `toml:"custom"`
	Monitoring         *Monitoring `toml:"monitoring"`
	Referees           *Referees   `toml:"referees"`
}

// Key identifies the runner across reloads and restarts: its machines are journalled under it. It does not reveal the token, and where
// the entry has GitLab's id it outlives a change of the token.
func (r *Runner) Key() string {
	u, err := url.Parse(r.URL)
	if r.ID == 0 || err != nil {
		return r.Name + "/" + ShortToken(r.Token)
	}
	return fmt.Sprintf("%s/%d@%s", r.Name, r.ID, u.Host)
}

// Keys are the keys of entries, in their order. Entries that have the id of another by mistake, as copied ones do, go by their tokens.
func Keys(runners []Runner) []string {
	tokens := map[string]map[string]bool{}
	for _, r := range runners {
		if tokens[r.Key()] == nil {
			tokens[r.Key()] = map[string]bool{}
		}
		tokens[r.Key()][ShortToken(r.Token)] = true
	}
	keys := make([]string, len(runners))
	for i, r := range runners {
		if keys[i] = r.Key(); len(tokens[keys[i]]) > 1 {
			r.ID = 0
			keys[i] = r.Key()
		}
	}
	return keys
}

// Machine is [runners.machine].
type Machine struct {
	IdleCount              int           `toml:"IdleCount" flag:"idle-nodes"`
	IdleScaleFactor        float64       `toml:"IdleScaleFactor"` // an integer is accepted
	IdleCountMin           int           `toml:"IdleCountMin"`
	IdleTime               int           `toml:"IdleTime"` // seconds
	MaxGrowthRate          int           `toml:"MaxGrowthRate"`
	MaxBuilds              int           `toml:"MaxBuilds"`
	MachineName            string        `toml:"MachineName" env:"MACHINE_NAME"` // holds one %s
	MachineDriver          string        `toml:"MachineDriver" env:"MACHINE_DRIVER"`
	MachineOptions         []string      `toml:"MachineOptions" env:"MACHINE_OPTIONS"`                   // name=value or a bare name
	MachineOptionsWithName []string      `toml:"MachineOptionsWithName" env:"MACHINE_OPTIONS_WITH_NAME"` // %s is the machine's name
	MaxRemovalAttempts     int           `toml:"MaxRemovalAttempts"`                                     // 0 = 30
	Autoscaling            []Autoscaling `toml:"autoscaling"`
	OffPeakPeriods         []string      `toml:"OffPeakPeriods"` // no effect since GitLab Runner 14.0
	OffPeakTimezone        string        `toml:"OffPeakTimezone"`
	OffPeakIdleCount       int           `toml:"OffPeakIdleCount"`
	OffPeakIdleTime        int           `toml:"OffPeakIdleTime"`
}

// Autoscaling is one [[runners.machine.autoscaling]] section. It replaces all four values of Machine, those it leaves out too.
type Autoscaling struct {
	Periods         []string `toml:"Periods"`
	Timezone        string   `toml:"Timezone"` // "" means Local
	IdleCount       int      `toml:"IdleCount"`
	IdleScaleFactor float64  `toml:"IdleScaleFactor"`
	IdleCountMin    int      `toml:"IdleCountMin"`
	IdleTime        int      `toml:"IdleTime"` // seconds
}

// Docker is [runners.docker].
type Docker struct {
	Host        string `toml:"host"`
	TLSCertPath string `toml:"tls_cert_path" flag:"cert-path" env:"DOCKER_CERT_PATH"`
	TLSVerify   bool   `toml:"tls_verify" flag:"tlsverify"`

	Image               string   `toml:"image"`
	HelperImage         string   `toml:"helper_image"`
	HelperImageFlavor   string   `toml:"helper_image_flavor"`
	PullPolicy          []string `toml:"pull_policy"` // a string or a list in the file; default always
	AllowedPullPolicies []string `toml:"allowed_pull_policies"`
	Runtime             string   `toml:"runtime"`
	Isolation           string   `toml:"isolation"`

	AllowedImages             []string `toml:"allowed_images"`
	AllowedServices           []string `toml:"allowed_services"`
	AllowedPrivilegedImages   []string `toml:"allowed_privileged_images"`
	AllowedPrivilegedServices []string `toml:"allowed_privileged_services"`
	AllowedUsers              []string `toml:"allowed_users" flag:"allowed_users"`

	Privileged                 bool                `toml:"privileged"`
	ServicesPrivileged         *bool               `toml:"services_privileged" flag:"services_privileged"`
	DisableEntrypointOverwrite bool                `toml:"disable_entrypoint_overwrite"`
	User                       string              `toml:"user"`
	GroupAdd                   []string            `toml:"group_add"`
	CapAdd                     []string            `toml:"cap_add"`
	CapDrop                    []string            `toml:"cap_drop"`
	SecurityOpt                []string            `toml:"security_opt"`
	ServicesSecurityOpt        []string            `toml:"services_security_opt"`
	UsernsMode                 string              `toml:"userns_mode" flag:"userns"`
	PidMode                    string              `toml:"pid_mode"`
	IpcMode                    string              `toml:"ipcmode" env:"DOCKER_IPCMODE,DOCKER_IPC_MODE"`
	Hostname                   string              `toml:"hostname"`
	MacAddress                 string              `toml:"mac_address"`
	Devices                    []string            `toml:"devices"`
	DeviceCgroupRules          []string            `toml:"device_cgroup_rules"`
	ServicesDevices            map[string][]string `toml:"services_devices" flag:"services_devices"`
	Gpus                       string              `toml:"gpus"`
	ServiceGpus                string              `toml:"service_gpus" flag:"service_gpus"`
	ShmSize                    int64               `toml:"shm_size"` // bytes
	Tmpfs                      map[string]string   `toml:"tmpfs"`
	ServicesTmpfs              map[string]string   `toml:"services_tmpfs"`
	Sysctls                    map[string]string   `toml:"sysctls"`
	Ulimit                     map[string]string   `toml:"ulimit"` // name to soft or soft:hard
	OomKillDisable             bool                `toml:"oom_kill_disable"`
	OomScoreAdjust             int                 `toml:"oom_score_adjust"`
	CgroupParent               string              `toml:"cgroup_parent"`
	ContainerLabels            map[string]string   `toml:"container_labels"`
	LogOptions                 map[string]string   `toml:"log_options"`

	CPUS                     string `toml:"cpus"` // a fraction such as 1.5
	CPUSetCPUs               string `toml:"cpuset_cpus"`
	CPUSetMems               string `toml:"cpuset_mems"`
	CPUShares                int64  `toml:"cpu_shares"`
	Memory                   string `toml:"memory"`
	MemorySwap               string `toml:"memory_swap"`
	MemoryReservation        string `toml:"memory_reservation"`
	ServiceCPUS              string `toml:"service_cpus"`
	ServiceCPUSetCPUs        string `toml:"service_cpuset_cpus"`
	ServiceCPUShares         int64  `toml:"service_cpu_shares"`
	ServiceMemory            string `toml:"service_memory"`
	ServiceMemorySwap        string `toml:"service_memory_swap"`
	ServiceMemoryReservation string `toml:"service_memory_reservation"`
	ServiceCgroupParent      string `toml:"service_cgroup_parent"`
	ServiceSlotCgroup        string `toml:"service_slot_cgroup_template"`

	NetworkMode            string          `toml:"network_mode"`
	NetworkMTU             int             `toml:"network_mtu"`
	EnableIPv6             bool            `toml:"enable_ipv6"`
	DNS                    []string        `toml:"dns"`
	DNSSearch              []string        `toml:"dns_search"`
	ExtraHosts             []string        `toml:"extra_hosts"`
	Links                  []string        `toml:"links"`
	Services               []DockerService `toml:"services"`
	ServicesLimit          *int            `toml:"services_limit"`            // default -1 = none
	WaitForServicesTimeout int             `toml:"wait_for_services_timeout"` // seconds; 0 means 30, negative = no wait

	Volumes         []string          `toml:"volumes"`
	VolumesFrom     []string          `toml:"volumes_from"`
	VolumeDriver    string            `toml:"volume_driver"`
	VolumeDriverOps map[string]string `toml:"volume_driver_ops"`
	VolumeKeep      bool              `toml:"volume_keep"`
	DisableCache    bool              `toml:"disable_cache"`
	CacheDir        string            `toml:"cache_dir"`
}

// DockerService is one [[runners.docker.services]] section.
type DockerService struct {
	Name        string   `toml:"name"`
	Alias       string   `toml:"alias"` // separated by space or comma
	Command     []string `toml:"command"`
	Entrypoint  []string `toml:"entrypoint"`
	Environment []string `toml:"environment"`
}

// Cache is [runners.cache].
type Cache struct {
	Type                   string     `toml:"Type"` // s3, gcs, azure; "" = local only
	Path                   string     `toml:"Path"`
	Shared                 bool       `toml:"Shared"`
	MaxUploadedArchiveSize int64      `toml:"MaxUploadedArchiveSize" flag:"max_uploaded_archive_size" env:"CACHE_MAXIMUM_UPLOADED_ARCHIVE_SIZE"` // bytes; 0 = none
	S3                     CacheS3    `toml:"s3"`
	GCS                    CacheGCS   `toml:"gcs"`
	Azure                  CacheAzure `toml:"azure"`
}

// CacheS3 is [runners.cache.s3].
type CacheS3 struct {
	ServerAddress             string `toml:"ServerAddress"` // host[:port]
	AccessKey                 string `toml:"AccessKey"`
	SecretKey                 Secret `toml:"SecretKey"`
	SessionToken              Secret `toml:"SessionToken"`
	BucketName                string `toml:"BucketName"`
	BucketLocation            string `toml:"BucketLocation"`
	Insecure                  bool   `toml:"Insecure"`
	AuthenticationType        string `toml:"AuthenticationType" flag:"authentication_type"` // access-key, iam
	ServerSideEncryption      string `toml:"ServerSideEncryption"`
	ServerSideEncryptionKeyID string `toml:"ServerSideEncryptionKeyID"`
	DualStack                 *bool  `toml:"DualStack"` // default true
	PathStyle                 *bool  `toml:"PathStyle"`
	Accelerate                bool   `toml:"Accelerate"`
	RoleARN                   string `toml:"RoleARN"`
	UploadRoleARN             string `toml:"UploadRoleARN"`

	AssumeRoleMaxConcurrency            int  `toml:"AssumeRoleMaxConcurrency"` // 0 = 5, -1 = no limit
	DisableAssumeRoleCredentialsCaching bool `toml:"DisableAssumeRoleCredentialsCaching"`
}

// CacheGCS is [runners.cache.gcs].
type CacheGCS struct {
	CredentialsFile string `toml:"CredentialsFile" env:"GOOGLE_APPLICATION_CREDENTIALS"`
	AccessID        string `toml:"AccessID"`
	PrivateKey      Secret `toml:"PrivateKey"`
	BucketName      string `toml:"BucketName"`
	UniverseDomain  string `toml:"UniverseDomain"`
}

// CacheAzure is [runners.cache.azure].
type CacheAzure struct {
	AccountName   string `toml:"AccountName"`
	AccountKey    Secret `toml:"AccountKey"`
	ContainerName string `toml:"ContainerName"`
	StorageDomain string `toml:"StorageDomain"`
}
