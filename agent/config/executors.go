package config

import (
	"cmp"
	"slices"
)

// Sections of executors and features that stand beside docker and machine. Names and units are GitLab's.

// Autoscaler is [runners.autoscaler], of the executors instance and docker-autoscaler.
type Autoscaler struct {
	Plugin                    string         `toml:"plugin"`
	PluginConfig              map[string]any `toml:"plugin_config"` // passed on as JSON, every type kept
	CapacityPerInstance       int            `toml:"capacity_per_instance"`
	MaxUseCount               int            `toml:"max_use_count"` // 0 = no limit
	MaxInstances              int            `toml:"max_instances"` // 0 = the group's maximum
	DeleteInstancesOnShutdown bool           `toml:"delete_instances_on_shutdown"`
	InstanceReadyCommand      string         `toml:"instance_ready_command"`
	InstanceAcquireTimeout    Duration       `toml:"instance_acquire_timeout"`       // default 15m
	UpdateInterval            Duration       `toml:"update_interval"`                // default 1m
	UpdateIntervalExpecting   Duration       `toml:"update_interval_when_expecting"` // default 2s
	DeletionRetryInterval     Duration       `toml:"deletion_retry_interval"`        // default 1m
	ShutdownDeletionInterval  Duration       `toml:"shutdown_deletion_interval"`     // default 10s
	ShutdownDeletionRetries   int            `toml:"shutdown_deletion_retries"`      // default 3
	FailureThreshold          int            `toml:"failure_threshold"`              // default 3
	ReservationThrottling     *bool          `toml:"reservation_throttling"`         // default true
	LogInternalIP             bool           `toml:"log_internal_ip"`
	LogExternalIP             bool           `toml:"log_external_ip"`
	OperationTimeBuckets      []float64      `toml:"instance_operation_time_buckets"`
	CreationTimeBuckets       []float64      `toml:"instance_creation_time_buckets"`
	IsRunningTimeBuckets      []float64      `toml:"instance_is_running_time_buckets"`
	DeletionTimeBuckets       []float64      `toml:"instance_deletion_time_buckets"`
	ReadinessTimeBuckets      []float64      `toml:"instance_readiness_time_buckets"`
	LifeDurationBuckets       []float64      `toml:"instance_life_duration_buckets"`
	ScaleThrottle             ScaleThrottle  `toml:"scale_throttle"`
	ConnectorConfig           Connector      `toml:"connector_config"`
	StateStorage              StateStorage   `toml:"state_storage"`
	VMIsolation               VMIsolation    `toml:"vm_isolation"`
	Policy                    []ScalePolicy  `toml:"policy"`
}

// ScaleThrottle is [runners.autoscaler.scale_throttle].
type ScaleThrottle struct {
	Limit int `toml:"limit"` // new instances per second; 0 = 100, -1 = no limit
	Burst int `toml:"burst"`
}

// Connector is a connector_config table: how an instance is reached.
type Connector struct {
	OS                   string   `toml:"os"`
	Arch                 string   `toml:"arch"`
	Protocol             string   `toml:"protocol"`      // ssh, winrm, winrm+https
	ProtocolPort         int      `toml:"protocol_port"` // 0 = the protocol's own
	Username             string   `toml:"username"`
	Password             Secret   `toml:"password"`
	KeyPath              string   `toml:"key_path"`
	UseStaticCredentials bool     `toml:"use_static_credentials"`
	Keepalive            Duration `toml:"keepalive"` // default 30s
	Timeout              Duration `toml:"timeout"`   // default 10m
	UseExternalAddr      bool     `toml:"use_external_addr"`
}

// StateStorage is [runners.autoscaler.state_storage].
type StateStorage struct {
	Enabled                      bool   `toml:"enabled"`
	Dir                          string `toml:"dir"`
	KeepInstanceWithAcquisitions bool   `toml:"keep_instance_with_acquisitions"`
}

// VMIsolation is [runners.autoscaler.vm_isolation].
type VMIsolation struct {
	Enabled         bool           `toml:"enabled"`
	NestingHost     string         `toml:"nesting_host"`
	NestingConfig   map[string]any `toml:"nesting_config"`
	Image           string         `toml:"image"`
	ConnectorConfig Connector      `toml:"connector_config"`
}

// ScalePolicy is one [[runners.autoscaler.policy]] section.
type ScalePolicy struct {
	Periods          []string `toml:"periods"` // five fields, as in Unix cron
	Timezone         string   `toml:"timezone"`
	IdleCount        int      `toml:"idle_count"` // free job slots
	IdleTime         Duration `toml:"idle_time"`
	ScaleFactor      float64  `toml:"scale_factor"`
	ScaleFactorLimit int      `toml:"scale_factor_limit"`
	PreemptiveMode   *bool    `toml:"preemptive_mode"` // default: IdleCount > 0
}

// ActivePeriods returns the expressions that make the section active: where none are given, it always is.
func (p *ScalePolicy) ActivePeriods() []string {
	if len(p.Periods) == 0 {
		return []string{"* * * * *"}
	}
	return slices.Clone(p.Periods)
}

// Preemptive tells whether jobs are asked for only while a slot is free.
func (p *ScalePolicy) Preemptive() bool {
	if p.PreemptiveMode == nil {
		return p.IdleCount > 0
	}
	return *p.PreemptiveMode
}

// Rate returns how fast instances of an autoscaler with max_instances are created: so many a second after burst at once. 0 a second sets no
// bound.
func (t ScaleThrottle) Rate(maxInstances int) (perSecond, burst int) {
	if t.Limit < 0 {
		return 0, 0
	}
	perSecond = cmp.Or(t.Limit, defaultScaleLimit)
	switch {
	case t.Burst > 0:
		return perSecond, t.Burst
	case maxInstances > 0:
		return perSecond, maxInstances
	}
	return perSecond, perSecond
}

// defaultScaleLimit is how many instances a second scale_throttle lets be created where it does not say.
const defaultScaleLimit = 100

// Instance is [runners.instance].
type Instance struct {
	AllowedImages     []string `toml:"allowed_images"`
	UseCommonBuildDir bool     `toml:"use_common_build_dir"`
}

// SSH is [runners.ssh].
type SSH struct {
	User                         string `toml:"user"`
	Password                     Secret `toml:"password"`
	Host                         string `toml:"host"`
	Port                         string `toml:"port"` // default 22
	IdentityFile                 string `toml:"identity_file"`
	DisableStrictHostKeyChecking *bool  `toml:"disable_strict_host_key_checking" env:"DISABLE_STRICT_HOST_KEY_CHECKING"`
	KnownHostsFile               string `toml:"known_hosts_file" env:"KNOWN_HOSTS_FILE"`
}

// Custom is [runners.custom]. Timeouts are seconds.
type Custom struct {
	ConfigExec          string   `toml:"config_exec"`
	ConfigArgs          []string `toml:"config_args"`
	ConfigExecTimeout   *int     `toml:"config_exec_timeout"` // default 3600, as the next two
	PrepareExec         string   `toml:"prepare_exec"`
	PrepareArgs         []string `toml:"prepare_args"`
	PrepareExecTimeout  *int     `toml:"prepare_exec_timeout"`
	RunExec             string   `toml:"run_exec"`
	RunArgs             []string `toml:"run_args"`
	CleanupExec         string   `toml:"cleanup_exec"`
	CleanupArgs         []string `toml:"cleanup_args"`
	CleanupExecTimeout  *int     `toml:"cleanup_exec_timeout"`
	GracefulKillTimeout *int     `toml:"graceful_kill_timeout"` // default 600, as the next
	ForceKillTimeout    *int     `toml:"force_kill_timeout"`
}

// Monitoring is [runners.monitoring].
type Monitoring struct {
	JobQueuingDurations []JobQueuingDuration `toml:"job_queuing_durations"`
}

// JobQueuingDuration is one [[runners.monitoring.job_queuing_durations]] section.
type JobQueuingDuration struct {
	Periods               []string `toml:"periods"`
	Timezone              string   `toml:"timezone"`
	Threshold             Duration `toml:"threshold"`
	JobsRunningForProject string   `toml:"jobs_running_for_project"` // regular expression
}

// Referees is [runners.referees].
type Referees struct {
	Metrics struct {
		PrometheusAddress string   `toml:"prometheus_address"`
		QueryInterval     int      `toml:"query_interval"` // seconds
		Queries           []string `toml:"queries"`        // name:promql
	} `toml:"metrics"`
}
