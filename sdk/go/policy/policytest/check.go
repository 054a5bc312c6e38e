package policytest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/rules"
)

// Check returns why the host would refuse a proposal, or cut its reason; nil when it would not.
func Check(p abi.Proposal) error {
	return errors.Join(append(rules.Problems(p), rules.Wordy(p.Reason))...)
}

// CheckDescribe returns what is wrong with what a policy says of itself; nil when nothing is.
func CheckDescribe(d abi.Describe) error {
	var problems []error
	if !rules.Name(d.Name) {
		problems = append(problems, fmt.Errorf("name: %q is none; use %s", d.Name, rules.NameForm))
	}
	if strings.ContainsAny(d.Summary, "\r\n") {
		problems = append(problems, errors.New("summary: has several lines; use one"))
	}
	if len(d.Options) > 0 {
		problems = append(problems, errors.New("options: are for drivers; a policy has its config"))
	}
	if d.WantHistory != nil {
		if err := rules.Wish(*d.WantHistory); err != nil {
			problems = append(problems, fmt.Errorf("want_history: %w", err))
		}
	}
	return errors.Join(problems...)
}
