package credentials_test

import (
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

var ec2 = map[string]string{"service": "ec2", "region": "eu-west-1"}

// wantKeys signs for EC2 and checks whose keys did.
func (c *clouds) wantKeys(t *testing.T, config credentials.Config, id, session string) {
	t.Helper()
	config.Kind = credentials.AWS4
	for range 2 {
		h, secrets, err := c.sign(t, config, credentials.Grant{}, ec2)
		if err != nil {
			t.Fatalf("%v; the log says %s", err, c.log)
		}
		scope := "Credential=" + id + "/" + c.now.Now().UTC().Format("20060102") + "/eu-west-1/ec2/aws4_request"
		if got := h.Get("Authorization"); !strings.Contains(got, scope) || h.Get("X-Amz-Security-Token") != session {
			t.Errorf("signed by %q with the session %q, want %s and %q", got, h.Get("X-Amz-Security-Token"), scope, session)
		}
		if all := strings.Join(secrets, "\n"); !strings.Contains(all, "secret-of-"+id) || !strings.Contains(all, session) {
			t.Error("a key does not count as secret")
		}
	}
}

func TestAWSStaticKeys(t *testing.T) {
	c := newClouds(t)
	c.wantKeys(t, credentials.Config{AccessKeyID: "AKIASTATIC", Secret: "secret-of-AKIASTATIC"}, "AKIASTATIC", "")
	c.wantKeys(t, credentials.Config{AccessKeyID: "ASIASTATIC", Secret: "secret-of-ASIASTATIC", SessionToken: "session-token"}, "ASIASTATIC", "session-token")
}

func TestAWSEnvironment(t *testing.T) {
	c := newClouds(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret-of-AKIAENV")
	c.wantKeys(t, credentials.Config{}, "AKIAENV", "")
}

func TestAWSProfile(t *testing.T) {
	c := newClouds(t)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", write(t, "credentials", "[ci]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret-of-AKIAPROFILE\n"))
	c.wantKeys(t, credentials.Config{Profile: "ci"}, "AKIAPROFILE", "")
}

// TestAWSBundle checks that authorities of the operator's own do not keep the library from working, which only its own client takes.
func TestAWSBundle(t *testing.T) {
	c := newClouds(t)
	server := httptest.NewTLSServer(c)
	defer server.Close()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	t.Setenv("AWS_CA_BUNDLE", write(t, "ca.pem", string(bundle)))
	t.Setenv("AWS_ENDPOINT_URL_STS", server.URL)
	c.serveSTS("127.0.0.1", "AssumeRole", func(*http.Request) bool { return true })
	c.store = credentials.NewStore(credentials.Options{Now: c.now.Now, Logger: slog.New(slog.NewTextHandler(c.log, nil))})
	t.Cleanup(c.store.Close)
	base := credentials.Config{AccessKeyID: "AKIABASE", Secret: "secret-of-AKIABASE", RoleARN: "arn:aws:iam::1:role/ci"}
	c.wantKeys(t, base, "ASIAROLE", "token-of-the-role")
}

// TestAWSInstanceMetadata gets the keys of the instance that the agent runs on, by IMDSv2, and renews them.
func TestAWSInstanceMetadata(t *testing.T) {
	c := newClouds(t)
	generation := 0
	c.HandleFunc("169.254.169.254/", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			w.Write([]byte("session-of-imds"))
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "session-of-imds":
			w.WriteHeader(http.StatusUnauthorized) // as with IMDSv1 switched off
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/":
			w.Write([]byte("ci-role"))
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/ci-role":
			generation++
			answer(w, 200, object{
				"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": fmt.Sprint("ASIAIMDS", generation), "SecretAccessKey": fmt.Sprint("secret-of-ASIAIMDS", generation),
				"Token": "token-of-the-instance", "Expiration": c.now.Now().Add(6 * time.Hour).UTC().Format(time.RFC3339),
			})
		default:
			http.NotFound(w, r)
		}
	})
	c.wantKeys(t, credentials.Config{}, "ASIAIMDS1", "token-of-the-instance")
	c.now.pass(59*time.Minute + 30*time.Second) // the library takes an hour for the longest
	c.wantKeys(t, credentials.Config{}, "ASIAIMDS2", "token-of-the-instance")
}

// serveSTS gives temporary keys for what right accepts.
func (c *clouds) serveSTS(host, action string, right func(*http.Request) bool) {
	c.HandleFunc(host+"/", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("Action") != action || r.FormValue("RoleArn") != "arn:aws:iam::1:role/ci" || !right(r) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>you sent %s</Message></Error></ErrorResponse>`, r.Header.Get("Authorization"))
			return
		}
		fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>
			<SecretAccessKey>secret-of-ASIAROLE</SecretAccessKey><SessionToken>token-of-the-role</SessionToken><Expiration>%[2]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`,
			action, c.now.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
}

func TestAWSWebIdentity(t *testing.T) {
	c := newClouds(t)
	c.serveSTS("sts.eu-west-1.amazonaws.com", "AssumeRoleWithWebIdentity", func(r *http.Request) bool {
		return r.FormValue("WebIdentityToken") == "a-token-of-the-cluster"
	})
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write(t, "token", "a-token-of-the-cluster"))
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/ci")
	c.wantKeys(t, credentials.Config{Region: "eu-west-1"}, "ASIAROLE", "token-of-the-role")
}

func TestAWSAssumeRole(t *testing.T) {
	c := newClouds(t)
	c.serveSTS("sts.us-east-1.amazonaws.com", "AssumeRole", func(r *http.Request) bool {
		return r.FormValue("ExternalId") == "ext" && strings.Contains(r.Header.Get("Authorization"), "Credential=AKIABASE/")
	})
	base := credentials.Config{AccessKeyID: "AKIABASE", Secret: "secret-of-AKIABASE", RoleARN: "arn:aws:iam::1:role/ci", ExternalID: "ext"}
	c.wantKeys(t, base, "ASIAROLE", "token-of-the-role")
}

func TestAWSNoCredentials(t *testing.T) {
	c := newClouds(t)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	_, _, err := c.sign(t, credentials.Config{Kind: credentials.AWS4}, credentials.Grant{}, ec2)
	if err == nil || !strings.Contains(err.Error(), "the agent's log says why") || !strings.Contains(c.log.String(), "consequence=") {
		t.Errorf("got %v, and in the log %s", err, c.log)
	}
}

func TestAWSParams(t *testing.T) {
	c := newClouds(t)
	config := credentials.Config{Kind: credentials.AWS4, AccessKeyID: "AKIASTATIC", Secret: "secret-of-AKIASTATIC"}
	for name, params := range map[string]map[string]string{
		"none": nil, "no region": {"service": "ec2"}, "a path": {"service": "ec2/x", "region": "r"}, "more": {"service": "ec2", "region": "r", "key": "v"},
	} {
		h, _, err := c.sign(t, config, credentials.Grant{}, params)
		if kinded, ok := err.(interface{ Kind() string }); !ok || kinded.Kind() != "invalid" || len(h) > 0 {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
