package conformance

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// serviceRows are about the containers beside the job's.
func serviceRows() []row {
	return []row{
		{n: 71, name: "names of services", run: names},
		{n: 72, name: "names of an image with a registry", run: registryNames},
		{n: 73, name: "two of the same image", run: sameImage},
		{n: 74, name: "a service that opens its port", run: health("while :; do nc -l -p 8080 </dev/null; done", false)},
		{n: 74, name: "a service that does not", run: health("echo no port here; sleep 1000", true)},
		{n: 75, name: "no waiting", run: noWaiting},
		{n: 76, name: "a service's variables", run: serviceVariables},
		{n: 77, name: "network per build", run: perBuild},
	}
}

// idle is a service of an image that does nothing.
func idle(image, alias string) coordinator.Image {
	return coordinator.Image{Name: image, Alias: alias, Command: []string{"sleep", "1000"}}
}

// serving is a service that does something first and then serves the folder /www at port 8080.
func serving(image, first string) coordinator.Image {
	return coordinator.Image{Name: image, Alias: "db", Command: []string{"sh", "-c", "mkdir /www; " + first + "; exec httpd -f -p 8080 -h /www"}}
}

// fetch is a line that prints what a service serves as soon as it does.
const fetch = "until wget -q -O - http://db:8080/f; do sleep 0.2; done"

func names(t *testing.T, b *jobtest.Bench) {
	payload := script([]string{"ping -c1 -W2 db; ping -c1 -W2 db2; ping -c1 -W2 millwright-test-busybox; ping -c1 -W2 millwright-test__busybox"})
	payload.Services = []coordinator.Image{idle(b.Image, "db,db2")}
	e := b.Run(t, t.Context(), payload, nil)
	jobtest.CheckTrace(t, e, []string{"PING db ", "PING db2 ", "PING millwright-test-busybox ", "PING millwright-test__busybox ", "1 packets received", "Job succeeded"}, nil)
}

func registryNames(t *testing.T, b *jobtest.Bench) {
	image := "reg.x:5000/a/b:" + dockertest.Random()
	dockertest.Tag(t, b.Image, image)
	payload := script([]string{"ping -c1 -W2 reg.x__a__b; ping -c1 -W2 reg.x-a-b"})
	payload.Services = []coordinator.Image{idle(image, "")}
	e := b.Run(t, t.Context(), payload, nil)
	jobtest.CheckTrace(t, e, []string{"PING reg.x__a__b ", "1 packets received", "PING reg.x-a-b ", "1 packets received", "Job succeeded"}, nil)
}

func sameImage(t *testing.T, b *jobtest.Bench) {
	payload := script([]string{"ping -c1 -W2 millwright-test-busybox"})
	payload.Services = []coordinator.Image{idle(b.Image, ""), idle(b.Image, "")}
	e := b.Run(t, t.Context(), payload, nil)
	jobtest.CheckTrace(t, e, []string{
		`WARNING: Skipping alias "millwright-test__busybox" for service "` + b.Image + `" (services[1]): alias is already in use by another service.`,
		"1 packets received", "Job succeeded",
	}, nil)
	if n := strings.Count(e.Trace, "Starting service "); n != 1 {
		t.Errorf("%d services started", n)
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
		e := b.Run(t, t.Context(), payload, func(_ *job.Params, r *config.Runner) { r.Docker.WaitForServicesTimeout = 0 })
		jobtest.CheckTrace(t, e, []string{"Waiting for services to be up and running (timeout 30 seconds)...", "\nran\n", "Job succeeded"}, nil)
		block := []string{"*** WARNING: Service " + b.Image + " probably didn't start properly.", "Health check error:", "Health check container logs:", "Service container logs:", "no port here", "*********"}
		if warned {
			jobtest.CheckTrace(t, e, block, nil)
		} else {
			jobtest.CheckTrace(t, e, nil, block)
		}
	}
}

func noWaiting(t *testing.T, b *jobtest.Bench) {
	payload := script([]string{"echo ran"})
	payload.Services = []coordinator.Image{idle(b.Image, "")}
	e := b.Run(t, t.Context(), payload, func(_ *job.Params, r *config.Runner) { r.Docker.WaitForServicesTimeout = -1 })
	jobtest.CheckTrace(t, e, []string{"Starting service " + b.Image, "\nran\n", "Job succeeded"}, []string{"Waiting for services"})
}

// serviceVariables asks for a value by name that a service does not get by itself.
func serviceVariables(t *testing.T, b *jobtest.Bench) {
	payload := with(script([]string{fetch}), "OPEN", "public")
	payload.Variables = append(payload.Variables, coordinator.Variable{Key: "SECRET", Value: "not-public"})
	service := serving(b.Image, "printf '[%s] [%s] [%s]\n' \"$X\" \"${SECRET-none}\" \"$OPEN\" >/www/f")
	service.Variables = coordinator.Variables{{Key: "X", Value: "<$SECRET>"}}
	payload.Services = []coordinator.Image{service}
	e := b.Run(t, t.Context(), payload, nil)
	jobtest.CheckTrace(t, e, []string{"\n[<not-public>] [none] [public]\n", "Job succeeded"}, nil)
}

// perBuild has a service call the build container, and the other way round. That the network is gone in the end the bench checks.
func perBuild(t *testing.T, b *jobtest.Bench) {
	payload := with(script([]string{"echo net=$CI_BUILD_NETWORK_NAME", fetch}), "FF_NETWORK_PER_BUILD", "true")
	payload.Services = []coordinator.Image{serving(b.Image, "until ping -c1 -W1 build; do sleep 0.2; done; echo the service reached build >/www/f")}
	e := b.Run(t, t.Context(), payload, nil)
	jobtest.CheckTrace(t, e, []string{"\nnet=runner-", "\nthe service reached build\n", "Job succeeded"}, nil)
}
