package credentials

import "log/slog"

// The kinds of credentials, which are also the signing schemes that a guest may name.
const (
	Bearer    = "bearer"
	Basic     = "basic"
	Header    = "header"
	AWS4      = "aws4"
	Google    = "google-oauth2"
	Azure     = "azure-ad"
	Keystone  = "keystone"
	ClientTLS = "client-tls"
)

// Config is one [credentials.NAME] section. Which fields a kind reads is said at each; the others are ignored.
type Config struct {
	Kind string

	// The secret of the credential, from the first of these that is given: a bearer's token, a header's value, the password of basic
	// and keystone, the secret of an application credential, the secret access key of aws4, the client secret of azure-ad.
	Secret     Secret
	SecretFile string // a file that holds nothing else; read again when it may have changed
	SecretEnv  string // the name of an environment variable

	Username string // basic, keystone

	// aws4. Without AccessKeyID the AWS library's default chain finds the credentials: environment, profiles, web identity, containers
	// and instance metadata (IMDSv2). With a profile the environment's keys do not count.
	AccessKeyID  string
	SessionToken Secret // of temporary keys
	Profile      string // of the shared configuration files; "" is the library's default
	ConfigFile   string // in the place of ~/.aws/config; CredentialsFile is in the place of ~/.aws/credentials
	Region       string // of the STS that gives temporary keys; "" is the library's default, or us-east-1
	RoleARN      string // a role to assume with what was found
	ExternalID   string // that the role asks for

	// google-oauth2; of aws4 see ConfigFile. "" finds the application default credentials: the file that GOOGLE_APPLICATION_CREDENTIALS names,
	// gcloud's own, the metadata server.
	CredentialsFile string

	// azure-ad. With a secret it is an application's; with TokenFile, or AZURE_FEDERATED_TOKEN_FILE in the environment, a workload
	// identity; else the managed identity of the machine.
	TenantID  string
	ClientID  string
	TokenFile string
	Authority string // URL of another cloud's sign-in; "" is the library's default

	// keystone: a password needs Username and one of the projects, an application credential only its ID.
	AuthURL                 string // as OS_AUTH_URL
	UserDomain              string // name; "" is Default
	Project                 string // name
	ProjectID               string
	ProjectDomain           string // name; "" is Default
	ApplicationCredentialID string

	// client-tls; CAFile also keystone's.
	CertFile string
	KeyFile  string
	CAFile   string // of the authorities that the server's certificate may come from; "" is the system's
}

// Grant is what a module's grant says of how a credential is used.
type Grant struct {
	Header string   // header: which header the secret goes into
	Scopes []string // google-oauth2: any number; azure-ad: exactly one
}

// Secret is a string that never shows itself: it prints as [redacted] in %v, %#v and slog.
type Secret string

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
