package cloudtrial

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/grants"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

// Account looks into an account by itself, not by the driver that is on trial, with the credential that the agent would take.
type Account struct {
	Driver   string
	Endpoint string // scheme://host[:port]; "": the cloud's own
	Project  string // of google
	Region   string // of amazonec2
	Store    *credentials.Store
}

// ownerMark is the label or tag of all that the drivers make.
const ownerMark = "millwright-owner"

// Left lists what bears the owner's mark and costs something, of every kind that the driver makes. What machines share, the firewall rule and the
// security group, costs nothing, bears no owner and stays.
func (a Account) Left(ctx context.Context, owner string) ([]string, error) {
	if a.Driver == "google" {
		return a.googles(ctx, owner)
	}
	return a.amazons(ctx, owner)
}

// googles asks for VMs and disks in all zones. Source: Compute Engine API v1, "instances.aggregatedList", "disks.aggregatedList".
func (a Account) googles(ctx context.Context, owner string) (left []string, err error) {
	endpoint := a.Endpoint
	if endpoint == "" {
		endpoint = "https://compute.googleapis.com"
	}
	for _, kind := range []string{"instances", "disks"} {
		query := url.Values{"filter": {"labels." + ownerMark + "=" + owner}}
		body, err := a.ask(ctx, http.MethodGet, endpoint+"/compute/v1/projects/"+a.Project+"/aggregated/"+kind+"?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			NextPageToken string
			Items         map[string]map[string]json.RawMessage
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, fmt.Errorf("list of %s: %w", kind, err)
		}
		for zone, part := range page.Items {
			var found []struct{ Name string }
			if raw := part[kind]; raw == nil {
				continue
			} else if err := json.Unmarshal(raw, &found); err != nil {
				return nil, fmt.Errorf("list of %s: %w", kind, err)
			}
			for _, f := range found {
				left = append(left, strings.TrimSuffix(kind, "s")+" "+f.Name+" in "+zone)
			}
		}
		if page.NextPageToken != "" {
			left = append(left, "more "+kind)
		}
	}
	slices.Sort(left)
	return left, nil
}

// kinds of resources that the driver amazonec2 makes, each with the element that holds an id and what is no more.
// Source: EC2 API Reference, the actions named.
var kinds = []struct {
	action, id string
	live       [2]string // a filter, and its values
}{
	{"DescribeInstances", "instanceId", [2]string{"instance-state-name", "pending running shutting-down stopping stopped"}},
	{"DescribeVolumes", "volumeId", [2]string{}},
	{"DescribeNetworkInterfaces", "networkInterfaceId", [2]string{}},
	{"DescribeKeyPairs", "keyPairId", [2]string{}},
	{"DescribeSpotInstanceRequests", "spotInstanceRequestId", [2]string{"state", "open active"}},
}

func (a Account) amazons(ctx context.Context, owner string) (left []string, err error) {
	endpoint := a.Endpoint
	if endpoint == "" {
		endpoint = "https://ec2." + a.Region + ".amazonaws.com"
		if strings.HasPrefix(a.Region, "cn-") {
			endpoint += ".cn"
		}
	}
	for _, k := range kinds {
		form := url.Values{"Action": {k.action}, "Version": {"2016-11-15"}, "Filter.1.Name": {"tag:" + ownerMark}, "Filter.1.Value.1": {owner}}
		if k.live[0] != "" {
			form.Set("Filter.2.Name", k.live[0])
			for i, value := range strings.Fields(k.live[1]) {
				form.Set("Filter.2.Value."+strconv.Itoa(i+1), value)
			}
		}
		body, err := a.ask(ctx, http.MethodPost, endpoint+"/", []byte(form.Encode()))
		if err != nil {
			return nil, err
		}
		ids, err := texts(body, k.action+"Response", k.id)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.action, err)
		}
		left = append(left, ids...)
	}
	return left, nil
}

// texts returns what stands in all elements of a name, each once.
func texts(document []byte, root, name string) (found []string, err error) {
	for decoder, first := xml.NewDecoder(bytes.NewReader(document)), true; ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && !first {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if first && start.Name.Local != root {
			return nil, errors.New("the answer is a " + start.Name.Local)
		}
		first = false
		if start.Name.Local == name {
			var text string
			if err := decoder.DecodeElement(&text, &start); err != nil {
				return nil, err
			}
			if !slices.Contains(found, text) {
				found = append(found, text)
			}
		}
	}
}

// ask sends one signed request.
func (a Account) ask(ctx context.Context, method, address string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	var params map[string]string
	if a.Driver != "google" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		params = map[string]string{"service": "ec2", "region": a.Region}
	}
	if _, err := grants.Builtin(a.Store, a.Driver)[a.Driver].Sign(ctx, req, body, params); err != nil {
		return nil, fmt.Errorf("credential of %s: %w", a.Driver, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.500s", method, req.URL.Path, res.Status, answer)
	}
	return answer, err
}
