package main

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/awsapi"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

const (
	// deadlineMS bounds one request.
	deadlineMS = 20_000
	credential = "aws"
)

// service is one of AWS's APIs.
type service struct{ name, version string }

var (
	scaling = service{"autoscaling", "2011-01-01"}
	compute = service{"ec2", "2016-11-15"}
	connect = service{"ec2-instance-connect", "2018-04-02"}
)

// url is where a service answers.
func (p place) url(s service) string {
	if p.endpoint != "" {
		return p.endpoint + "/"
	}
	suffix := ".amazonaws.com/"
	if strings.HasPrefix(p.region, "cn-") {
		suffix = ".amazonaws.com.cn/"
	}
	return "https://" + s.name + "." + p.region + suffix
}

// send sends one signed request. Its error is for one without an answer.
func (p place) send(s service, action string, headers map[string][]string, body []byte) (abi.HTTPResponse, error) {
	res := host.HTTPSend(abi.HTTPRequest{
		Method: "POST", URL: p.url(s), DeadlineMS: deadlineMS, Headers: headers, Body: body,
		Sign: &abi.Sign{Scheme: "aws4", Credential: credential, Params: map[string]string{"service": s.name, "region": p.region}},
	})
	if res.Error != nil {
		return res, unanswered(action, p.url(s), res.Error)
	}
	return res, nil
}

// form is the parameters of a call.
type form map[string]string

// list sets PREFIX.1, PREFIX.2 and so on.
func (f form) list(prefix string, values ...string) form {
	for i, v := range values {
		f[prefix+"."+strconv.Itoa(i+1)] = v
	}
	return f
}

// query makes one call of a query API and returns the root of the answer. Every failure is an *abi.Error.
func (p place) query(s service, action string, f form) (awsapi.Element, error) {
	values := url.Values{"Action": {action}, "Version": {s.version}}
	for name, v := range f {
		values.Set(name, v)
	}
	res, err := p.send(s, action, map[string][]string{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}, []byte(values.Encode()))
	if err != nil {
		return awsapi.Element{}, err
	}
	root, err := awsapi.Parse(string(res.Body))
	switch {
	case res.Status >= 300:
		return awsapi.Element{}, refused(s, action, res, root)
	case err != nil:
		return awsapi.Element{}, nonsense(s, action, err.Error())
	case root.Name != action+"Response":
		return awsapi.Element{}, nonsense(s, action, "it is no "+action+"Response")
	}
	return root, nil
}

// maxPages bounds a list in pages.
const maxPages = 20

// pages calls until the last page of an answer of Auto Scaling.
func (p place) pages(action string, f form, each func(result awsapi.Element)) error {
	for range maxPages {
		root, err := p.query(scaling, action, f)
		if err != nil {
			return err
		}
		result := child(root, action+"Result")
		each(result)
		next := result.At("NextToken")
		if next == "" {
			return nil
		}
		f["NextToken"] = next
	}
	return nonsense(scaling, action, "it has no last page")
}

// child is the first child of a name, an empty element where there is none.
func child(e awsapi.Element, name string) awsapi.Element {
	for _, c := range e.Children {
		if c.Name == name {
			return c
		}
	}
	return awsapi.Element{}
}

func nonsense(s service, action, why string) error {
	return &abi.Error{Kind: abi.Transient, Message: "the answer of " + s.name + " to " + action + " makes no sense: " + why}
}
