package credentials

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestPublishedSignatures holds the signer to requests whose signatures AWS has published: the test suite of Signature Version 4, the
// IAM User Guide and the S3 API Reference.
func TestPublishedSignatures(t *testing.T) {
	suite := material{id: "AKIDEXAMPLE", token: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	s3 := material{id: "AKIAIOSFODNN7EXAMPLE", token: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	for name, tc := range map[string]struct {
		keys                 material
		url, service, header string
		at                   time.Time
		signed, signature    string
	}{
		"get-vanilla": {suite, "https://example.amazonaws.com/", "service", "", time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC),
			"host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		"ListUsers": {suite, "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", "iam", "application/x-www-form-urlencoded; charset=utf-8",
			time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC), "content-type;host;x-amz-date", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
		"bucket lifecycle": {s3, "https://examplebucket.s3.amazonaws.com/?lifecycle", "s3", "", time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC),
			"host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		"list objects": {s3, "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J", "s3", "", time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC),
			"host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodGet, tc.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tc.header != "" {
				r.Header.Set("Content-Type", tc.header)
			}
			secrets, err := signAWS4(attachment{
				ctx: t.Context(), request: r, params: map[string]string{"service": tc.service, "region": "us-east-1"}, material: tc.keys, now: tc.at,
			})
			if err != nil {
				t.Fatal(err)
			}
			want := "AWS4-HMAC-SHA256 Credential=" + tc.keys.id + "/" + tc.at.Format("20060102") + "/us-east-1/" + tc.service +
				"/aws4_request, SignedHeaders=" + tc.signed + ", Signature=" + tc.signature
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if all := strings.Join(secrets, "\n"); !strings.Contains(all, tc.signature) || !strings.Contains(all, tc.keys.token) || !strings.Contains(all, tc.keys.id) {
				t.Error("a guest might see the signature or a key")
			}
		})
	}
}

func TestServicesThatMintCredentials(t *testing.T) {
	for _, service := range []string{"sts", "STS", "iam", "sso"} {
		r, _ := http.NewRequest(http.MethodGet, "https://sts.amazonaws.com/", nil)
		_, err := attachAWS4(attachment{ctx: t.Context(), request: r, params: map[string]string{"service": service, "region": "us-east-1"}})
		if p, ok := err.(problem); !ok || p.kind != kindDenied || r.Header.Get("Authorization") != "" {
			t.Errorf("%s: %v", service, err)
		}
	}
}
