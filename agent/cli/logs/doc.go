// Package logs is how the agent's log looks: as gitlab-runner's (runner), as key=value text (text) or as JSON (json). Format and level
// can change while the agent runs. It also takes in what libraries say through the standard library's logger.
package logs
