package main

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/policy"
	"github.com/millwright-ci/millwright/sdk/go/policy/policytest"
)

// TestSuite is what every policy passes.
func TestSuite(t *testing.T) { policytest.Suite{Policy: policy.Registered()}.Run(t) }

// TestABIVectors runs hostfuncs/vectors natively and as the module that ships: both give the bytes that stand there.
func TestABIVectors(t *testing.T) { moduletest.PolicyVectors(t, "idlescale") }

// TestRefusesBadSnapshots sends what is no snapshot, natively and as Wasm.
func TestRefusesBadSnapshots(t *testing.T) { moduletest.RefusesBadSnapshots(t, "idlescale") }
