package conformance

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// serviceRows are about the containers beside the job's.
func serviceRows() []row {
	return []row{
		{n: 71, name: "names of services", run: pings("false", "ping -c1 -W2 db; ping -c1 -W2 db2; ping -c1 -W2 millwright-test-busybox")},
		{n: 74, name: "a service that opens its port", run: health("while :; do nc -l -p 8080 </dev/null; done", false)},
		{n: 74, name: "a service that does not", run: health("echo no port here; sleep 1000", true)},
		{n: 77, name: "network per build", run: pings("true", "ping -c1 -W2 db2; ping -c1 -W2 build; echo $CI_BUILD_NETWORK_NAME")},
	}
}

// pings has a job with the service db,db2 call by names, with FF_NETWORK_PER_BUILD or without.
func pings(perBuild, line string) func(*testing.T, *jobtest.Bench) {
	return func(t *testing.T, b *jobtest.Bench) {
		payload := with(script([]string{line}), "FF_NETWORK_PER_BUILD", perBuild)
		payload.Services = []coordinator.Image{{Name: b.Image, Alias: "db,db2", Command: []string{"sleep", "1000"}}}
		e := b.Run(t, t.Context(), payload, nil)
		jobtest.CheckTrace(t, e, []string{"PING db", "1 packets received", "Job succeeded"}, nil)
	}
}

// health has a job wait for a service's port 8080.
func health(command string, warned bool) func(*testing.T, *jobtest.Bench) {
	return func(t *testing.T, b *jobtest.Bench) {
		payload := script([]string{"echo ran"})
		payload.Services = []coordinator.Image{{
			Name: b.Image, Alias: "db", Command: []string{"sh", "-c", command},
			Variables: coordinator.Variables{{Key: "HEALTHCHECK_TCP_PORT", Value: "8080"}},
		}}
		e := b.Run(t, t.Context(), payload, func(_ *job.Params, r *config.Runner) { r.Docker.WaitForServicesTimeout = 3 })
		jobtest.CheckTrace(t, e, []string{"Waiting for services to be up and running (timeout 3 seconds)...", "\nran\n", "Job succeeded"}, nil)
		block := []string{"*** WARNING: Service " + b.Image + " probably didn't start properly.", "Health check error:", "Health check container logs:", "Service container logs:", "no port here", "*********"}
		if warned {
			jobtest.CheckTrace(t, e, block, nil)
		} else {
			jobtest.CheckTrace(t, e, nil, block)
		}
	}
}
