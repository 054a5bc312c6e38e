package remotecache

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/millwright-ci/millwright/agent/config"
)

// s3Keys are the keys that links are signed with: the configuration's own, else those of the AWS library's default chain (environment, web
// identity, profiles, containers, instance metadata), or of the role that either assumes.
type s3Keys struct {
	config config.CacheS3
	roles  Roles

	mu        sync.Mutex // guards providers
	providers map[string]aws.CredentialsProvider
}

func newS3Keys(c config.CacheS3, roles Roles) *s3Keys {
	return &s3Keys{config: c, roles: roles, providers: map[string]aws.CredentialsProvider{}}
}

// roleLife is how long the keys of a role hold, and roleLeft what is left of it at least when a link is signed: the link ends with them.
const (
	roleLife = time.Hour
	roleLeft = 30 * time.Minute
)

// get returns the keys for a verb. UploadRoleARN is a role for uploads alone.
func (k *s3Keys) get(ctx context.Context, verb Verb) (aws.Credentials, error) {
	role := k.config.RoleARN
	if verb == Put {
		role = cmp.Or(role, k.config.UploadRoleARN)
	}
	provider, err := k.provider(ctx, role)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("credentials: %w", err)
	}
	keys, err := provider.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("credentials: %w", err)
	}
	return keys, nil
}

// provider returns the one for a role, "" being none. It reads files and the environment, once.
func (k *s3Keys) provider(ctx context.Context, role string) (aws.CredentialsProvider, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.providers[role]; p != nil {
		return p, nil
	}
	own, fixed := static(k.config)
	if fixed && role == "" {
		p := credentials.StaticCredentialsProvider{Value: own}
		k.providers[role] = p
		return p, nil
	}
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(signTime)),
		awsconfig.WithDefaultRegion(cmp.Or(k.config.BucketLocation, defaultRegion)),
	}
	if fixed {
		options = append(options, awsconfig.WithCredentialsProvider(credentials.StaticCredentialsProvider{Value: own}))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, err
	}
	p := cfg.Credentials
	if role != "" {
		p = k.assume(cfg, role)
	}
	k.providers[role] = p
	return p, nil
}

// assume returns the provider of a role's keys.
func (k *s3Keys) assume(cfg aws.Config, role string) aws.CredentialsProvider {
	p := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName, o.Duration = "millwright-cache", roleLife
	})
	asked := asked{p, k.roles, nil}
	if n := k.config.AssumeRoleMaxConcurrency; n >= 0 {
		asked.slots = make(chan struct{}, cmp.Or(n, defaultAssumes))
	}
	if k.config.DisableAssumeRoleCredentialsCaching {
		return asked
	}
	return &kept{cache: aws.NewCredentialsCache(asked, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = roleLeft }), roles: k.roles}
}

// defaultAssumes is how many keys of a role are asked for at the same time.
const defaultAssumes = 5
