package main

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/awsapi"
	"github.com/millwright-ci/millwright/providers/internal/rest"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

const (
	// deadlineMS bounds one request.
	deadlineMS = 20_000
	// apiVersion is the EC2 API's, whose only one is in use since 2016.
	apiVersion = "2016-11-15"
	credential = "amazonec2"
)

// place is whom to call.
type place struct {
	region   string
	endpoint string // without a slash at the end
}

// form is the parameters of a call.
type form struct{ url.Values }

func newForm() form { return form{url.Values{}} }

// put sets a parameter, unless the value is empty.
func (f form) put(name, value string) {
	if value != "" {
		f.Set(name, value)
	}
}

// list sets NAME.1, NAME.2 and so on.
func (f form) list(name string, values ...string) {
	for i, v := range values {
		f.Set(name+"."+strconv.Itoa(i+1), v)
	}
}

// filter adds a filter: what is looked for has one of the values.
func (f form) filter(name string, values ...string) {
	n := 1
	for f.Has("Filter." + strconv.Itoa(n) + ".Name") {
		n++
	}
	prefix := "Filter." + strconv.Itoa(n)
	f.Set(prefix+".Name", name)
	f.list(prefix+".Value", values...)
}

// tags adds the tags of what a call makes: resources are types such as instance.
func (f form) tags(all []tag, resources ...string) {
	for i, resource := range resources {
		prefix := "TagSpecification." + strconv.Itoa(i+1)
		f.Set(prefix+".ResourceType", resource)
		for j, t := range all {
			f.Set(prefix+".Tag."+strconv.Itoa(j+1)+".Key", t.key)
			f.Set(prefix+".Tag."+strconv.Itoa(j+1)+".Value", t.value)
		}
	}
}

// answer is what the API said, and when it was there.
type answer struct {
	awsapi.Element
	date string // of the answer, as HTTP writes it; we have no clock
}

// call sends one request. Every failure, a status of 300 or more included, is an *abi.Error.
func (p place) call(action string, f form) (answer, error) {
	f.Set("Action", action)
	f.Set("Version", apiVersion)
	res := host.HTTPSend(abi.HTTPRequest{
		Method: "POST", URL: p.endpoint + "/", DeadlineMS: deadlineMS, Body: []byte(f.Encode()),
		Headers: map[string][]string{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}},
		Sign:    &abi.Sign{Scheme: "aws4", Credential: credential, Params: map[string]string{"service": "ec2", "region": p.region}},
	})
	if res.Error != nil {
		return answer{}, p.unanswered(action, res.Error)
	}
	root, err := awsapi.Parse(string(res.Body))
	if res.Status >= 300 {
		return answer{}, refused(action, res, root)
	}
	if err != nil {
		return answer{}, p.nonsense(action, err.Error())
	}
	if root.Name != action+"Response" {
		return answer{}, p.nonsense(action, "it is a "+opts.Short(root.Name))
	}
	return answer{root, rest.Header(res.Headers, "Date")}, nil
}

// maxPages bounds a list in pages of 1,000 entries.
const maxPages = 200

// pages calls until the last page. It is not complete when there were more than maxPages.
func (p place) pages(action string, f form, each func(answer)) (complete bool, err error) {
	for range maxPages {
		a, err := p.call(action, f)
		if err != nil {
			return false, err
		}
		each(a)
		next := a.At("nextToken")
		if next == "" {
			return true, nil
		}
		f.Set("NextToken", next)
	}
	return false, nil
}

func (p place) nonsense(action, why string) error {
	return &abi.Error{Kind: abi.Transient, Message: "the answer of " + p.endpoint + " to " + action + " makes no sense: " + why}
}

// clientToken makes a token of texts. The same texts give the same one, by which the cloud knows a request that it has had. It takes 64 characters.
func clientToken(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:])
}
