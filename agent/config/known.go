package config

import (
	"slices"
	"strings"
)

// unsupported are keys, by section, that GitLab Runner knows and this agent does not serve. They are accepted and named once.
var unsupported = map[string][]string{
	"":                        {"experimental"},
	"runners":                 {"proxy_exec", "step_runner_image", "experimental", "parallels", "virtualbox", "kubernetes"},
	"runners.docker.services": {"suspend_data_path"},
}

// oldKeys are keys of old files, by path, that nobody reads any more, with what to write instead.
var oldKeys = map[string]string{
	"metrics_server":               "is not read any more; its name is listen_address now",
	"runners.cache.ServerAddress":  inS3,
	"runners.cache.AccessKey":      inS3,
	"runners.cache.SecretKey":      inS3,
	"runners.cache.BucketName":     inS3,
	"runners.cache.BucketLocation": inS3,
	"runners.cache.Insecure":       inS3,

	"runners.referees.metrics.metric_queries":         "is not read; its name is queries",
	"runners.docker.helper_image_autoset_arch_and_os": "is a key of [runners.kubernetes]; it has no effect here",
}

const inS3 = "is not read here any more; it belongs into [runners.cache.s3]"

// executors are the words that GitLab Runner 19 takes.
var executors = []string{
	"docker+machine", "docker", "docker-windows", "docker-autoscaler", "instance", "shell", "ssh", "parallels", "virtualbox", "kubernetes", "custom",
}

// Provided are the executors that this agent runs jobs with. Entries with others are named and skipped.
func Provided() []string {
	return []string{"docker+machine", "docker-autoscaler", "instance", "docker", "shell", "ssh", "custom"}
}

// Pwsh is the value of shell for PowerShell 7. The user's scripts are in its dialect, all others in that of a POSIX shell.
const Pwsh = "pwsh"

// PowerShell is the value of shell for the PowerShell that comes with Windows, which instances alone can have.
const PowerShell = "powershell"

// Shells are the values of shell that this agent writes scripts for with an executor; "" is the executor's choice. Entries with others are named
// and skipped.
func Shells(executor string) []string {
	switch executor {
	case "custom": // its driver is handed scripts of one dialect
		return []string{"bash", "sh"}
	case "instance":
		return []string{"bash", "sh", Pwsh, PowerShell}
	}
	return []string{"bash", "sh", Pwsh}
}

// unserved are those whose sections this agent doesn't read.
var unserved = []string{"parallels", "virtualbox", "kubernetes"}

// Executors are the words for executor whose sections this agent reads, whether or not it can run their jobs.
func Executors() []string {
	return slices.DeleteFunc(slices.Clone(executors), func(name string) bool { return slices.Contains(unserved, name) })
}

// goneExecutors are words of old files, with what became of them.
var goneExecutors = map[string]string{
	"docker-ssh":         "docker",
	"docker-ssh+machine": "docker+machine",
	"docker+autoscaler":  "docker-autoscaler",
}

// nearest returns the candidate that a misspelt word most likely means, or "" when none is near: a third of its letters may differ.
func nearest(word string, candidates []string) string {
	best, distance := "", len([]rune(word))/3+1
	for _, c := range candidates {
		n := editDistance(strings.ToLower(word), strings.ToLower(c))
		if n < distance || n == distance && best != "" && c < best {
			best, distance = c, n
		}
	}
	return best
}

// editDistance counts the letters to insert, delete or replace.
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		left := row[0]
		row[0] = i + 1
		for j := range y {
			cost := left
			if x[i] != y[j] {
				cost++
			}
			left = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(y)]
}
