package credentials

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/millwright-ci/millwright/hostfuncs/signin"
)

// awsAge is how long keys without an expiry are used before they are looked for again, since a profile's file may have changed.
const awsAge = 5 * time.Minute

// aws is the fetch of an aws4 credential: its own keys or those that the library's default chain finds, and then the role that they assume.
func (h *host) aws(c Config) fetch {
	return func(ctx context.Context, _ []string, _ string) (material, error) {
		options := append(h.awsOptions(c), config.WithDefaultRegion("us-east-1"))
		if c.AccessKeyID != "" {
			secret, err := c.secret()
			if err != nil {
				return material{}, err
			}
			if c.RoleARN == "" { // the rest of the environment does not matter then
				return material{token: secret, id: c.AccessKeyID, session: string(c.SessionToken), expires: h.now().Add(fileAge)}, nil
			}
			options = append(options, config.WithCredentialsProvider(
				credentials.NewStaticCredentialsProvider(c.AccessKeyID, secret, string(c.SessionToken))))
		}
		cfg, err := config.LoadDefaultConfig(ctx, options...)
		if err != nil {
			return material{}, err
		}
		provider := cfg.Credentials
		if c.RoleARN != "" {
			provider = stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), c.RoleARN, func(o *stscreds.AssumeRoleOptions) {
				o.RoleSessionName = "millwright"
				if c.ExternalID != "" {
					o.ExternalID = aws.String(c.ExternalID)
				}
			})
		}
		keys, err := provider.Retrieve(ctx)
		if err != nil {
			return material{}, err
		}
		m := material{token: keys.SecretAccessKey, id: keys.AccessKeyID, session: keys.SessionToken, expires: h.now().Add(awsAge)}
		if keys.CanExpire {
			m.expires = keys.Expires
		}
		return m, nil
	}
}

// awsOptions are what a section says of where the library is to look.
func (h *host) awsOptions(c Config) []func(*config.LoadOptions) error {
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(h.awsClient)}
	if c.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(c.Profile))
	}
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	if c.ConfigFile != "" {
		options = append(options, config.WithSharedConfigFiles([]string{c.ConfigFile}))
	}
	if c.CredentialsFile != "" {
		options = append(options, config.WithSharedCredentialsFiles([]string{c.CredentialsFile}))
	}
	return options
}

// regionTime bounds the search for a region, which ends at an instance metadata service that may not be there.
const regionTime = 5 * time.Second

// Region returns the region that a credential of the kind aws4 belongs to: what its section says, then its profile, then the environment, then
// the instance metadata. "" is that none of them knows.
func (s *Signer) Region(ctx context.Context) (string, error) {
	c := s.credential()
	if c == nil || c.config.Kind != AWS4 {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, regionTime)
	defer cancel()
	cfg, err := config.LoadDefaultConfig(ctx, s.store.host.awsOptions(c.config)...)
	if err != nil {
		return "", err
	}
	if cfg.Region == "" {
		with := append(s.store.host.awsOptions(c.config), config.WithEC2IMDSRegion())
		if found, err := config.LoadDefaultConfig(ctx, with...); err == nil { // else we run on no instance
			return found.Region, nil
		}
	}
	return cfg.Region, nil
}

// newAWSClient returns the library's own client, which takes AWS_CA_BUNDLE as no other does, with the proxy of all sign-ins.
func newAWSClient() config.HTTPClient {
	return awshttp.NewBuildableClient().WithTimeout(fetchTime).WithTransportOptions(func(t *http.Transport) { t.Proxy = signin.Proxy })
}

// mints are the services whose answers are credentials: signing for them would hand the guest some of its own.
var mints = map[string]bool{"sts": true, "iam": true, "sso": true, "sso-oauth": true, "signin": true, "rolesanywhere": true, "cognito-identity": true}

func attachAWS4(a attachment) ([]string, error) {
	service := strings.ToLower(a.params["service"])
	if mints[service] {
		return nil, problem{kindDenied, fmt.Sprintf("requests to %s are not signed for modules, since that service gives out credentials", service)}
	}
	return signAWS4(a)
}

// signAWS4 signs by Signature Version 4.
// Source: IAM User Guide, "Create a signed AWS API request"; for S3 also S3 API Reference, "Authenticating Requests".
func signAWS4(a attachment) ([]string, error) {
	sum := sha256.Sum256(a.body)
	hash := hex.EncodeToString(sum[:])
	service := a.params["service"]
	isS3 := strings.HasPrefix(service, "s3")
	if isS3 {
		a.request.Header.Set("X-Amz-Content-Sha256", hash)
	}
	keys := aws.Credentials{AccessKeyID: a.material.id, SecretAccessKey: a.material.token, SessionToken: a.material.session}
	err := v4.NewSigner().SignHTTP(a.ctx, keys, a.request, hash, service, a.params["region"], a.now, func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = isS3
	})
	if err != nil {
		return nil, problem{kindCredential, "the request can't be signed"}
	}
	header := a.request.Header.Get("Authorization")
	_, signature, _ := strings.Cut(header, "Signature=")
	return append(a.material.secrets(), a.material.id, header, cmp.Or(signature, header)), nil
}
