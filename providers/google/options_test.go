package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/specvectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestOptionTable compares the options with docker-machine's: names, types, environment names and defaults.
func TestOptionTable(t *testing.T) {
	drivertest.OptionTable(t, google{}.Describe().Options, specvectors.DriverOptions("google"))
}

// base is what every set of options needs.
var base = []string{"google-project=project-1"}

func TestValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		list    []string
		problem string // "" is none at all
		warning bool
	}{
		"defaults":                  {nil, "", false},
		"a family":                  {[]string{"google-machine-image=debian-cloud/global/images/family/debian-12"}, "", false},
		"an image by its URL":       {[]string{"google-machine-image=https://www.googleapis.com/compute/v1/projects/debian-cloud/global/images/debian-12-v1"}, "", false},
		"an image without project":  {[]string{"google-machine-image=debian-12"}, "PROJECT/global/images/NAME", false},
		"a region as a zone":        {[]string{"google-zone=us-central1"}, "that is a region", true},
		"a region of AWS's form":    {[]string{"google-zone=us-central-1"}, "Google writes us-central1 for the region; a zone of it is us-central1-a", true},
		"a zone of AWS's form":      {[]string{"google-zone=us-central-1-b"}, "Google writes us-central1", true},
		"a family past its end":     {[]string{"google-machine-image=ubuntu-os-cloud/global/images/family/ubuntu-1804-lts"}, "Ubuntu 18.04 has had no fixes since 2023-05", true},
		"an image past its end":     {[]string{"google-machine-image=debian-cloud/global/images/debian-9-stretch-v20220621"}, "such as debian-cloud/global/images/family/debian-12", true},
		"an image of one's own":     {[]string{"google-machine-image=my-project/global/images/family/debian-9"}, "", false},
		"no zone at all":            {[]string{"google-zone=GOOGLE-ZONE"}, "a zone is such as us-central1-a", true},
		"a zone of two directions":  {[]string{"google-zone=northamerica-northeast1-a"}, "", false},
		"GPUs, type first":          {[]string{"google-accelerator=type=nvidia-tesla-t4,count=2"}, "", false},
		"GPUs, count first":         {[]string{"google-accelerator=count=2,type=nvidia-tesla-t4"}, "", false},
		"GPUs, no count":            {[]string{"google-accelerator=type=nvidia-tesla-t4"}, "type=T,count=N", false},
		"GPUs, count of none":       {[]string{"google-accelerator=type=nvidia-tesla-t4,count=0"}, "type=T,count=N", false},
		"GPUs, twice the type":      {[]string{"google-accelerator=type=a,type=b,count=1"}, "type=T,count=N", false},
		"GPUs, a third part":        {[]string{"google-accelerator=type=nvidia-tesla-t4,count=1,zone=a"}, "type=T,count=N", false},
		"GPUs, half a GPU":          {[]string{"google-accelerator=type=nvidia-tesla-t4,count=0.5"}, "type=T,count=N", false},
		"GPUs, no type":             {[]string{"google-accelerator=count=1"}, "type=T,count=N", false},
		"GPUs that end":             {[]string{"google-accelerator=type=a,count=1", "google-maintenance-policy=TERMINATE"}, "", false},
		"GPUs, something else":      {[]string{"google-accelerator=nvidia-tesla-t4"}, "type=T,count=N", false},
		"GPUs that migrate":         {[]string{"google-accelerator=type=a,count=1", "google-maintenance-policy=MIGRATE"}, "can't move", false},
		"preemptible that migrates": {[]string{"google-preemptible", "google-maintenance-policy=MIGRATE"}, "can't move", false},
		"a policy that is none":     {[]string{"google-maintenance-policy=migrate"}, "MIGRATE or TERMINATE", false},
		"spot and preemptible":      {[]string{"google-preemptible", "google-spot"}, "either google-spot or google-preemptible", false},
		"a label":                   {[]string{"google-label=team:ci"}, "", false},
		"a label with =":            {[]string{"google-label=team=ci"}, "key:value", false},
		"a label of ours":           {[]string{"google-label=millwright-owner:me"}, "the driver's own", false},
		"a label in capitals":       {[]string{"google-label=Team:ci"}, "lower-case", false},
		"metadata":                  {[]string{"google-metadata=a=b=c"}, "", false},
		"metadata without =":        {[]string{"google-metadata=a"}, "key=value", false},
		"a port":                    {[]string{"google-open-port=8080", "google-open-port=53/udp"}, "", false},
		"a port of no protocol":     {[]string{"google-open-port=80/icmp"}, "8080/udp", false},
		"a port that is none":       {[]string{"google-open-port=99999"}, "8080/udp", false},
		"a tag":                     {[]string{"google-tags=ci, build-1"}, "", false},
		"a tag in capitals":         {[]string{"google-tags=CI"}, "63 at most", false},
		"a disk of nothing":         {[]string{"google-disk-size=0"}, "from 1 to", false},
		"a shared network":          {[]string{"google-network=projects/host/global/networks/n", "google-subnetwork=projects/host/regions/r/subnetworks/s"}, "", false},
		"a network that is none":    {[]string{"google-network=host/n"}, "/networks/", false},
		"an address in a fleet":     {[]string{"google-address=my-address"}, "one machine at a time", true},
		"an address that is none":   {[]string{"google-address=My Address"}, "an IP address", false},
		"a hyperdisk":               {[]string{"google-disk-type=hyperdisk-balanced", "google-provisioned-iops=3000"}, "", false},
		"iops of a plain disk":      {[]string{"google-provisioned-iops=3000"}, "a hyperdisk does", true},
		"a factor that is none":     {[]string{"google-operation-backoff-multipler=two"}, "a number", false},
		"a scope that is none":      {[]string{"google-scopes=compute"}, "URLs such as", false},
		"a login with a space":      {[]string{"google-username=a b"}, "a login of", false},
		"adopting":                  {[]string{"google-use-existing"}, "is left alone", true},
		"bulk":                      {inBulk, "", false},
		"bulk, all of it": {append([]string{"google-location-zone=us-central1-a", "google-location-zone=us-central1-b:DENY", "google-flex-stockout-cooldown=0s",
			"google-flex-selection=machine-type=n2-standard-4,disk-type=hyperdisk-balanced,disk-iops=3000,disk-throughput=140"}, inBulk...), "", false},
		"bulk of nowhere":           {[]string{"google-bulk-insert"}, "is missing; google-bulk-insert wants one", false},
		"bulk in a zone":            {[]string{"google-bulk-insert", "google-region=us-central1-a"}, "a region, such as", false},
		"bulk, and a zone":          {append([]string{"google-zone=us-central1-b"}, inBulk...), "as google-location-zone", false},
		"bulk, and an address":      {append([]string{"google-address=mine"}, inBulk...), "no address", false},
		"bulk, and adopting":        {append([]string{"google-use-existing"}, inBulk...), "without google-bulk-insert", false},
		"bulk, a zone elsewhere":    {append([]string{"google-location-zone=europe-west1-b"}, inBulk...), "a zone of the region", false},
		"bulk, a preference":        {append([]string{"google-location-zone=us-central1-b:MAYBE"}, inBulk...), "ZONE:DENY", false},
		"bulk, a selection of none": {append([]string{"google-flex-selection=n2-standard-4"}, inBulk...), "machine-type=T", false},
		"bulk, a cooldown":          {append([]string{"google-flex-stockout-cooldown=10m"}, inBulk...), "for capacity_memory", true},
		"selections without bulk":   {[]string{"google-flex-selection=machine-type=n2-standard-4"}, "says nothing without google-bulk-insert", true},
		"waiting for COS":           {[]string{"google-cos-wait-for-cloud-init"}, "Container-Optimized OS has one", true},
		"not waiting for COS":       {[]string{"google-cos-wait-for-cloud-init=false"}, "", false},
		"a URL for containers":      {[]string{"google-cos-docker-network-readiness-url=https://gitlab.example.com"}, "no container is tried", true},
		"TLS by metadata":           {[]string{"google-cos-tls-via-metadata"}, "certificates go to the machine over SSH", true},
		"a back-off":                {[]string{"google-operation-backoff-max-interval=60"}, "no creation is waited for", true},
	} {
		t.Run(name, func(t *testing.T) {
			native.Validate(t, google{}, append(slices.Clone(base), tc.list...), tc.problem, tc.warning)
		})
	}
}

// TestGPUs has both orders mean the same, and machines that can't move for maintenance end.
func TestGPUs(t *testing.T) {
	for name, tc := range map[string]struct {
		list              []string
		gpus, maintenance string
	}{
		"none":        {nil, "null", ""},
		"type first":  {[]string{"google-accelerator=type=nvidia-tesla-t4,count=2"}, `[{"acceleratorCount":2,"acceleratorType":"T4"}]`, "TERMINATE"},
		"count first": {[]string{"google-accelerator=count=2,type=nvidia-tesla-t4"}, `[{"acceleratorCount":2,"acceleratorType":"T4"}]`, "TERMINATE"},
		"moves":       {[]string{"google-maintenance-policy=MIGRATE"}, "null", "MIGRATE"},
		"ends":        {[]string{"google-maintenance-policy=TERMINATE"}, "null", "TERMINATE"},
	} {
		o, wrong := wasm.ParseOptions(google{}.Describe(), append(slices.Clone(base), tc.list...), nil)
		s, problems := read(o)
		if len(wrong)+len(problems) > 0 {
			t.Fatal(wrong, problems)
		}
		b := s.body(request("m1", o))
		gpus, err := json.Marshal(b.GuestAccelerators)
		want := strings.Replace(tc.gpus, "T4", "https://www.googleapis.com/compute/v1/projects/project-1/zones/us-central1-a/acceleratorTypes/nvidia-tesla-t4", 1)
		if err != nil || string(gpus) != want {
			t.Errorf("%s: %s, %v; want %s", name, gpus, err, want)
		}
		policy := ""
		if b.Scheduling != nil {
			policy = b.Scheduling.OnHostMaintenance
		}
		if policy != tc.maintenance {
			t.Errorf("%s: at maintenance %q, want %q", name, policy, tc.maintenance)
		}
	}
}

// TestMetadata joins what the options give, files among it, whose content the host has put in the place of their paths.
func TestMetadata(t *testing.T) {
	s, problems := read(abi.Options{
		optProject: {testProject}, optMetadata: {"a=1", "b=2", "install-nvidia-driver=True"}, optMetadataFile: {"b=of a file=with two lines\n"}, optUserdata: {"#cloud-config"},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := map[string]string{}
	for _, i := range s.metadata {
		got[i.Key] = i.Value
	}
	want := map[string]string{"a": "1", "b": "of a file=with two lines\n", "install-nvidia-driver": "True", "user-data": "#cloud-config"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWithoutProject checks that nothing is asked of the cloud when the project is missing.
func TestWithoutProject(t *testing.T) {
	_, err := nativeDriver.List(t.Context(), abi.ListRequest{Owner: testOwner, Options: abi.Options{}})
	if err == nil || !strings.Contains(err.Error(), "google-project: is missing") {
		t.Errorf("got %v", err)
	}
}

func TestUserLabel(t *testing.T) {
	for _, user := range []string{"ubuntu", "root", "_apt", "Build.Er", "x-ray", "a-b_c9"} {
		label := userLabel(user)
		if got := userOf(label); got != user || !labelValue.MatchString(label) {
			t.Errorf("%s became the label %s and then %s", user, label, got)
		}
	}
}
