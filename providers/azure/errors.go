package main

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// meaning is what a code of the cloud's is to the host, and what to do about it.
type meaning struct {
	kind abi.ErrorKind
	todo string
}

const (
	todoCapacity = "try another " + optSize + ", " + optZone + " or " + optLocation + ": alternatives in millwright.toml"
	todoQuota    = "raise the quota of the subscription in this location, or lower limit"
	todoRights   = "give the agent's application or identity the role of the driver's documentation"
	todoSignIn   = "see AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_TENANT_ID, or [credentials.azure] in millwright.toml"
	todoThere    = "see that image, size, network, security group and identity are there"
	todoRegister = "register it: az provider register --namespace Microsoft.Compute, and Microsoft.Network"
	todoTerms    = "accept its terms: az vm image terms accept; and give " + optPlan
)

// codeGroupMissing is that of a resource group that there is not.
const codeGroupMissing = "ResourceGroupNotFound"

// meanings are those of the codes of refusals and of failed operations, in lower case.
// Source: Azure documentation, "Troubleshoot common Azure deployment errors", "Common error codes for virtual machines".
var meanings = map[string]meaning{
	"skunotavailable": {abi.Capacity, todoCapacity}, "allocationfailed": {abi.Capacity, todoCapacity}, "zonalallocationfailed": {abi.Capacity, todoCapacity},
	"overconstrainedallocationrequest": {abi.Capacity, todoCapacity}, "overconstrainedzonalallocationrequest": {abi.Capacity, todoCapacity},
	"insufficientcapacity": {abi.Capacity, todoCapacity}, "spotcapacityexceeded": {abi.Capacity, todoCapacity},

	"quotaexceeded": {abi.Quota, todoQuota}, "resourcequotaexceeded": {abi.Quota, todoQuota}, "publicipcountlimitreached": {abi.Quota, todoQuota},
	"subnetisfull":               {abi.Quota, "use a larger " + optSubnetPrefix + ", in another " + optSubnet},
	"publicipcountlimitexceeded": {abi.Quota, todoQuota},
	"availabilitysetmaximumvirtualmachinescountexceeded": {abi.Quota, "an availability set has 200 machines at most; leave " + optAvailabilitySet + " empty"},

	"toomanyrequests": {abi.RateLimited, ""}, "subscriptionrequeststhrottled": {abi.RateLimited, ""}, "operationthrottled": {abi.RateLimited, ""},

	"authorizationfailed": {abi.Auth, todoRights}, "linkedauthorizationfailed": {abi.Auth, todoRights}, "authenticationfailed": {abi.Auth, todoSignIn},
	"invalidauthenticationtoken": {abi.Auth, todoSignIn}, "expiredauthenticationtoken": {abi.Auth, todoSignIn},
	"invalidauthenticationtokentenant": {abi.Auth, "the subscription is of another tenant: " + todoSignIn},
	"missingsubscriptionregistration":  {abi.Auth, todoRegister}, "subscriptionnotregistered": {abi.Auth, todoRegister},
	"readonlydisabledsubscription": {abi.Auth, "the subscription is switched off; see its billing"},
	"subscriptionnotfound":         {abi.Auth, "see " + optSubscription + " and that the agent's application or identity may see it"},
	"invalidsubscriptionid":        {abi.Invalid, "see " + optSubscription},

	"requestdisallowedbypolicy": {abi.Invalid, "a policy of the subscription forbids it"}, "requestdisallowedbyazure": {abi.Invalid, "try another " + optLocation},
	"resourcepurchasevalidationfailed": {abi.Invalid, todoTerms}, "vmmarketplaceinvalidinput": {abi.Invalid, todoTerms}, "marketplacepurchaseeligibilityfailed": {abi.Invalid, todoTerms},
	"platformimagenotfound": {abi.Invalid, todoThere}, "imagenotfound": {abi.Invalid, todoThere}, "invalidresourcereference": {abi.Invalid, todoThere},
	"parentresourcenotfound": {abi.Invalid, todoThere}, "invalidparameter": {abi.Invalid, ""}, "invalidresourcelocation": {abi.Invalid, ""},
	"invalidresourcegrouplocation": {abi.Conflict, ""}, "locationnotavailableforresourcetype": {abi.Invalid, "try another " + optLocation},

	"preconditionfailed": {abi.Conflict, ""}, "conflict": {abi.Conflict, ""}, "anotheroperationinprogress": {abi.Conflict, ""},
	"resourcegroupbeingdeleted": {abi.Conflict, ""}, "propertychangenotallowed": {abi.Conflict, ""}, "operationpreempted": {abi.Conflict, ""},
	"nicinuse": {abi.Conflict, ""}, "nicreservedforanothervm": {abi.Conflict, ""}, "publicipaddresscannotbedeleted": {abi.Conflict, ""},
	"publicipaddressinuse": {abi.Conflict, ""}, "dnsrecordinuse": {abi.Conflict, "another " + optDNS + " is needed: names are unique in a location"},
	"diskinuse": {abi.Conflict, ""}, "attacheddiskcannotbedeleted": {abi.Conflict, ""},

	"retryableerror": {abi.Transient, ""}, "referencedresourcenotprovisioned": {abi.Transient, ""}, "internalservererror": {abi.Transient, ""},
	"internaloperationerror": {abi.Transient, ""}, "internalexecutionerror": {abi.Transient, ""}, "networkinginternaloperationerror": {abi.Transient, ""},
	"osprovisioningtimedout": {abi.Transient, ""}, "vmstarttimedout": {abi.Transient, ""}, "servertimeout": {abi.Transient, ""},
}

// problem is what the API says of a failure.
type problem struct {
	Code    string    `json:"code"`
	Message string    `json:"message"`
	Details []problem `json:"details"`
}

// known returns the problem, or the first of its details, whose code we know.
func (p problem) known() (problem, meaning, bool) {
	if m, ok := p.meaning(); ok && m.kind != abi.Transient && m.kind != abi.Conflict {
		return p, m, true
	}
	for _, d := range p.Details {
		if found, m, ok := d.known(); ok {
			return found, m, true
		}
	}
	m, ok := p.meaning()
	return p, m, ok
}

func (p problem) meaning() (meaning, bool) {
	code := strings.ToLower(p.Code)
	if code == "operationnotallowed" {
		if words := strings.ToLower(p.Message); strings.Contains(words, "quota") || strings.Contains(words, "limit") {
			return meaning{abi.Quota, todoQuota}, true
		}
		return meaning{kind: abi.Conflict}, true
	}
	if m, ok := meanings[code]; ok {
		return m, true
	}
	switch {
	case strings.Contains(code, "quota"), strings.HasSuffix(code, "limitreached"), strings.HasSuffix(code, "limitexceeded"):
		return meaning{abi.Quota, todoQuota}, true
	case strings.HasSuffix(code, "allocationfailed"):
		return meaning{abi.Capacity, todoCapacity}, true
	}
	return meaning{}, false
}

// failure is the problem as an error. The cloud's code says more than its status; a status of 200 is that of an operation that failed later.
func (p problem) failure(status int) *abi.Error {
	found, m, ok := p.known()
	if !ok {
		m.kind = rest.KindOf(status)
		switch {
		case status == 200:
			m.kind = abi.Transient
		case status == 412:
			m.kind = abi.Conflict
		case status == 401:
			m.todo = todoSignIn
		case status == 403:
			m.todo = todoRights
		}
	}
	code := settings.Or(found.Code, strconv.Itoa(status))
	return rest.Told(m.kind, code, settings.Or(found.Message, "the cloud answered with status "+strconv.Itoa(status)), m.todo)
}

// refused is the error for an answer with a status of 300 or more.
func refused(res abi.HTTPResponse) *abi.Error {
	var body struct {
		Error problem `json:"error"`
		problem
	}
	_ = json.Unmarshal(res.Body, &body) // what is no JSON has no code
	if body.Error.Code == "" {
		body.Error = body.problem
	}
	e := body.Error.failure(res.Status)
	if e.Kind == abi.RateLimited || e.Kind == abi.Transient || e.Kind == abi.Conflict {
		e.RetryAfterS = rest.RetryAfter(res.Headers)
	}
	return e
}

// unanswered is the error for a request that got no answer. It may have been carried out all the same.
func (p place) unanswered(err *abi.HTTPError) *abi.Error {
	e := &abi.Error{Kind: abi.Transient, Code: err.Kind, Message: p.endpoint + ": " + err.Message}
	switch err.Kind {
	case "denied":
		e.Kind = abi.Auth
	case "credential":
		e.Kind = abi.Auth
		e.Message += "; " + todoSignIn
	case "invalid":
		e.Kind = abi.Invalid
	}
	return e
}
