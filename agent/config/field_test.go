package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table of GitLab Runner's names, as its documentation and `register --help` have them.
func TestFields(t *testing.T) {
	fields := map[string]Field{}
	flags := map[string]string{}
	for _, f := range Fields() {
		fields[f.Path] = f
		if other := flags[f.Flag]; other != "" {
			t.Errorf("--%s is %s and %s", f.Flag, other, f.Path)
		}
		flags[f.Flag] = f.Path
	}
	for path, want := range map[string]string{
		"url": "url CI_SERVER_URL", "token": "token CI_SERVER_TOKEN", "name": "name RUNNER_NAME", "executor": "executor RUNNER_EXECUTOR",
		"limit": "limit RUNNER_LIMIT", "output_limit": "output-limit RUNNER_OUTPUT_LIMIT", "request_concurrency": "request-concurrency RUNNER_REQUEST_CONCURRENCY",
		"environment": "env RUNNER_ENV", "builds_dir": "builds-dir RUNNER_BUILDS_DIR", "clone_url": "clone-url CLONE_URL", "shell": "shell RUNNER_SHELL",
		"pre_get_sources_script": "pre-get-sources-script RUNNER_PRE_GET_SOURCES_SCRIPT",
		"tls-ca-file":            "tls-ca-file CI_SERVER_TLS_CA_FILE", "tls-key-file": "tls-key-file CI_SERVER_TLS_KEY_FILE",
		"feature_flags": "feature-flags FEATURE_FLAGS", "custom_build_dir.enabled": "custom_build_dir-enabled CUSTOM_BUILD_DIR_ENABLED",
		"docker.image": "docker-image DOCKER_IMAGE", "docker.userns_mode": "docker-userns DOCKER_USERNS_MODE", "docker.tls_verify": "docker-tlsverify DOCKER_TLS_VERIFY",
		"docker.tls_cert_path": "docker-cert-path DOCKER_CERT_PATH", "docker.services_privileged": "docker-services_privileged DOCKER_SERVICES_PRIVILEGED",
		"docker.allowed_users": "docker-allowed_users DOCKER_ALLOWED_USERS", "docker.service_gpus": "docker-service_gpus DOCKER_SERVICE_GPUS",
		"docker.services_devices": "docker-services_devices DOCKER_SERVICES_DEVICES", "docker.ulimit": "docker-ulimit DOCKER_ULIMIT",
		"docker.cpuset_cpus": "docker-cpuset-cpus DOCKER_CPUSET_CPUS", "docker.enable_ipv6": "docker-enable-ipv6 DOCKER_ENABLE_IPV6",
		"docker.wait_for_services_timeout": "docker-wait-for-services-timeout DOCKER_WAIT_FOR_SERVICES_TIMEOUT",
		"machine.IdleCount":                "machine-idle-nodes MACHINE_IDLE_COUNT", "machine.IdleScaleFactor": "machine-idle-scale-factor MACHINE_IDLE_SCALE_FACTOR",
		"machine.MachineDriver": "machine-machine-driver MACHINE_DRIVER", "machine.MachineName": "machine-machine-name MACHINE_NAME",
		"machine.MachineOptions": "machine-machine-options MACHINE_OPTIONS", "machine.MachineOptionsWithName": "machine-machine-options-with-name MACHINE_OPTIONS_WITH_NAME",
		"machine.MaxRemovalAttempts": "machine-max-removal-attempts MACHINE_MAX_REMOVAL_ATTEMPTS", "machine.OffPeakIdleCount": "machine-off-peak-idle-count MACHINE_OFF_PEAK_IDLE_COUNT",
		"cache.Type": "cache-type CACHE_TYPE", "cache.MaxUploadedArchiveSize": "cache-max_uploaded_archive_size CACHE_MAXIMUM_UPLOADED_ARCHIVE_SIZE",
		"cache.s3.AuthenticationType": "cache-s3-authentication_type CACHE_S3_AUTHENTICATION_TYPE", "cache.s3.RoleARN": "cache-s3-role-arn CACHE_S3_ROLE_ARN",
		"cache.s3.ServerSideEncryptionKeyID": "cache-s3-server-side-encryption-key-id CACHE_S3_SERVER_SIDE_ENCRYPTION_KEY_ID",
		"cache.gcs.CredentialsFile":          "cache-gcs-credentials-file GOOGLE_APPLICATION_CREDENTIALS", "cache.gcs.AccessID": "cache-gcs-access-id CACHE_GCS_ACCESS_ID",
		"cache.azure.AccountKey": "cache-azure-account-key CACHE_AZURE_ACCOUNT_KEY", "ssh.identity_file": "ssh-identity-file SSH_IDENTITY_FILE",
		"custom.run_exec": "custom-run-exec CUSTOM_RUN_EXEC", "referees.metrics.query_interval": "referees-metrics-query-interval REFEREES_METRICS_QUERY_INTERVAL",
	} {
		if f := fields[path]; f.Flag+" "+strings.Join(f.Env, " ") != want {
			t.Errorf("%s: --%s, %v; want %s", path, f.Flag, f.Env, want)
		}
	}
	for _, path := range []string{"id", "token_expires_at", "autoscaler.plugin", "machine.autoscaling", "docker.services"} {
		if f, ok := fields[path]; ok {
			t.Errorf("%s has the flag --%s", path, f.Flag)
		}
	}
}

func TestFieldParse(t *testing.T) {
	fields := map[string]Field{}
	for _, f := range Fields() {
		fields[f.Path] = f
	}
	for _, tt := range []struct {
		path, text string
		want       any // nil: refused
	}{
		{"limit", "0x10", int64(16)}, {"limit", "many", nil},
		{"docker.privileged", "true", true}, {"docker.privileged", "yes", nil},
		{"machine.IdleScaleFactor", "1.5", 1.5}, {"machine.IdleScaleFactor", "x", nil},
		{"unhealthy_interval", "1 h 30 min", "1h30m0s"}, {"unhealthy_interval", "3600", nil},
		{"docker.volumes", "/a,b", []string{"/a,b"}},
		{"docker.sysctls", `{"a": "1"}`, map[string]string{"a": "1"}}, {"docker.sysctls", `{"a": 1}`, nil},
		{"docker.services_devices", `{"a": ["b"]}`, map[string][]string{"a": {"b"}}},
		{"feature_flags", `{"FF_X": true}`, map[string]bool{"FF_X": true}},
		{"cache.s3.SecretKey", "s", "s"},
	} {
		got, err := fields[tt.path].Parse(tt.text)
		if (err == nil) != (tt.want != nil) {
			t.Errorf("%s = %s: %v", tt.path, tt.text, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.path, diff)
		}
	}
	if got := fields["docker.volumes"].Split("/a, /b,"); !cmp.Equal(got, []string{"/a", "/b"}) {
		t.Errorf("%q", got)
	}
}

// A runner's key outlives its token where the entry has an id; copied ids don't make two runners one.
func TestKeys(t *testing.T) {
	runners := []Runner{
		{Name: "a", URL: "https://one.example", ID: 7, Token: "glrt-first"},
		{Name: "a", URL: "https://two.example/", ID: 7, Token: "glrt-other"},
		{Name: "a", Token: "glrt-noid"},
		{Name: "copied", URL: "https://one.example", ID: 8, Token: "glrt-x"},
		{Name: "copied", URL: "https://one.example", ID: 8, Token: "glrt-y"},
	}
	want := []string{"a/7@one.example", "a/7@two.example", "a/noid", "copied/x", "copied/y"}
	if diff := cmp.Diff(want, Keys(runners)); diff != "" {
		t.Error(diff)
	}
	runners[0].Token = "glrt-second"
	if got := runners[0].Key(); got != want[0] {
		t.Errorf("after a rotation: %s", got)
	}
}
