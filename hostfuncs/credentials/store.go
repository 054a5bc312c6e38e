package credentials

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/hostfuncs/internal/redact"
)

// Options are what a Store needs. The zero value works.
type Options struct {
	// HTTP is what sign-ins go through; nil is a client of the store's own, which uses the environment's proxy.
	HTTP   *http.Client
	Now    func() time.Time // nil is time.Now
	Logger *slog.Logger     // told why a credential can't be used, which no guest is; nil is slog.Default()
}

// Store holds the operator's credentials and the tokens fetched for them. It is safe for concurrent use.
type Store struct {
	host *host

	mu       sync.Mutex // guards what follows
	named    map[string]*credential
	provided map[string]*credential // where named has none of the name
	reported map[string]time.Time   // when the log was last told of a credential
}

// credential is one section with what was fetched for it.
type credential struct {
	config Config
	kind   kind
	cache  *cache
	tls    *keyPair
}

// NewStore returns a store without credentials. Close it to end the fetches that are under way.
func NewStore(o Options) *Store {
	return &Store{host: newHost(o), named: map[string]*credential{}, provided: map[string]*credential{}, reported: map[string]time.Time{}}
}

// Set replaces the credentials, by name. One whose configuration is as it was keeps its tokens; one of an unknown kind can't be used.
func (s *Store) Set(configs map[string]Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	named := make(map[string]*credential, len(configs))
	for name, c := range configs {
		if old := s.named[name]; old != nil && old.config == c {
			named[name] = old
		} else if made := s.make(name, c); made != nil {
			named[name] = made
		}
	}
	s.named = named
}

// Provide adds a credential that is there as long as Set names none of its name: what a built-in driver goes by when the operator says
// nothing. Given again as it was it keeps its tokens.
func (s *Store) Provide(name string, c Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.provided[name]; old != nil && old.config == c {
		return
	}
	if made := s.make(name, c); made != nil {
		s.provided[name] = made
	}
}

// make returns a credential without tokens, nil when there is no such kind.
func (s *Store) make(name string, c Config) *credential {
	k, ok := kinds[c.Kind]
	if !ok {
		s.host.log.Error("credential ignored", "credential", name, "error", "the kind is not known", "kind", c.Kind)
		return nil
	}
	made := &credential{config: c, kind: k, tls: &keyPair{config: c}}
	if k.fetch != nil {
		made.cache = newCache(s.host, k.fetch(s.host, c), func(err error) { s.report(name, c, err) })
	}
	return made
}

// Close ends the fetches under way. Nothing can be signed after it.
func (s *Store) Close() { s.host.close() }

// report tells the operator why a credential can't be used, now and then and not as often as a guest tries. What a server said may
// repeat what it was sent.
func (s *Store) report(name string, c Config, err error) {
	now := s.host.now()
	s.mu.Lock()
	again := now.Sub(s.reported[name]) < retryAfter
	if !again {
		s.reported[name] = now
	}
	s.mu.Unlock()
	if again {
		return
	}
	secret, _ := c.secret()
	text := redact.New(secret, string(c.SessionToken)).String(describe(err))
	s.host.log.Warn("credential not usable", "credential", name, "kind", c.Kind, "error", text, "consequence", "requests that it should sign are not sent")
}

// Signer returns the credential of that name as a module may use it by its grant. What the name stands for is looked up at each use,
// so that a signer stays good when the store's credentials change.
func (s *Store) Signer(name string, g Grant) *Signer {
	g.Scopes = slices.Clone(g.Scopes)
	return &Signer{store: s, name: name, grant: g, key: strings.Join(g.Scopes, " ")}
}

// Signer attaches one credential to requests. It is what httpsend.Credential wants.
type Signer struct {
	store *Store
	name  string
	grant Grant
	key   string // of the scopes
}

func (s *Signer) credential() *credential {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if c := s.store.named[s.name]; c != nil {
		return c
	}
	return s.store.provided[s.name]
}

// Scheme is the scheme that the credential signs with, "" when there is no such credential any more.
func (s *Signer) Scheme() string {
	if c := s.credential(); c != nil {
		return c.config.Kind
	}
	return ""
}

// Sign attaches the credential to r, whose body is body, and returns the values that must not come back to the guest. params are the
// guest's. It blocks while a token is fetched. The text of an error is for guests too; what may not be told is in the log.
func (s *Signer) Sign(ctx context.Context, r *http.Request, body []byte, params map[string]string) ([]string, error) {
	c := s.credential()
	if c == nil {
		return nil, problem{kindCredential, "there is no such credential any more"}
	}
	if err := c.kind.check(params); err != nil {
		return nil, err
	}
	if c.cache == nil {
		return nil, nil // it belongs to the connection
	}
	key := cacheKey{scopes: s.key}
	if c.kind.about != nil {
		key.about = c.kind.about(c.config, r)
	}
	m, err := c.cache.get(ctx, key, s.grant.Scopes)
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, problem{kindCredential, "it can't be used at the moment; the agent's log says why"}
	}
	return c.kind.attach(attachment{
		ctx: ctx, request: r, body: body, params: params, material: m, header: s.grant.Header, now: s.store.host.now(),
	})
}

// TLS is the configuration of the connection that the request needs, nil for any. It is the same value as long as nothing changed.
func (s *Signer) TLS() (*tls.Config, error) {
	c := s.credential()
	if c == nil || c.config.Kind != ClientTLS {
		return nil, nil
	}
	config, err := c.tls.get()
	if err != nil {
		s.store.report(s.name, c.config, err)
		return nil, problem{kindCredential, "it can't be used at the moment; the agent's log says why"}
	}
	return config, nil
}

// Refused tells that a server did not accept the credential (status 401), so that a token which was withdrawn is fetched anew.
func (s *Signer) Refused() {
	if c := s.credential(); c != nil && c.cache != nil {
		c.cache.drop(s.key)
	}
}
