package cli

import (
	"slices"
	"strings"
)

// askExecutor asks for what the executor needs.
func (r *registering) askExecutor(executor string) error {
	switch {
	case executor == "ssh":
		return r.askSSH()
	case executor == "docker+machine":
		if err := r.askImage("ruby:3.3", "/cache"); err != nil {
			return err
		}
		return r.askMachine()
	case executor == "docker-windows":
		return r.askImage("mcr.microsoft.com/windows/servercore:ltsc2022", `c:\cache`)
	case strings.HasPrefix(executor, "docker"):
		return r.askImage("ruby:3.3", "/cache")
	}
	return nil
}

// question is what one key of the entry is asked for by.
type question struct {
	path, text, flags string
	optional          bool
}

func (r *registering) askFor(questions ...question) error {
	for _, q := range questions {
		answer, err := r.asker.ask(q.text, r.entry.Text(q.path), q.flags, q.optional)
		if err != nil {
			return err
		}
		if answer != "" {
			r.entry.Set(q.path, answer)
		}
	}
	return nil
}

// askImage asks for the image, and gives the entry its cache volume.
func (r *registering) askImage(example, cache string) error {
	err := r.askFor(question{path: "docker.image", text: "Enter the default Docker image (for example, " + example + ")", flags: "--docker-image or DOCKER_IMAGE"})
	if err != nil || r.entry.Has("docker.disable_cache") {
		return err
	}
	volumes := r.entry.List("docker.volumes")
	if !slices.ContainsFunc(volumes, func(v string) bool { return v == cache || strings.HasSuffix(v, ":"+cache) }) {
		r.entry.Set("docker.volumes", append(volumes, cache))
	}
	return nil
}

// askMachine asks for what makes machines: without it the entry would get no job.
func (r *registering) askMachine() error {
	return r.askFor(
		question{path: "machine.MachineDriver", text: "Enter the machine driver (for example, google)", flags: "--machine-machine-driver or MACHINE_DRIVER"},
		question{path: "machine.MachineName", text: "Enter the machine name, with %s in it (for example, auto-%s)", flags: "--machine-machine-name or MACHINE_NAME"},
	)
}

func (r *registering) askSSH() error {
	return r.askFor(
		question{path: "ssh.host", text: "Enter the SSH server address (for example, my.server.com)", flags: "--ssh-host or SSH_HOST"},
		question{path: "ssh.port", text: "Enter the SSH server port (for example, 22)", flags: "--ssh-port or SSH_PORT", optional: true},
		question{path: "ssh.user", text: "Enter the SSH user (for example, root)", flags: "--ssh-user or SSH_USER"},
		question{path: "ssh.password", text: "Enter the SSH password (for example, docker.io)", flags: "--ssh-password or SSH_PASSWORD", optional: true},
		question{path: "ssh.identity_file", text: "Enter the path to the SSH identity file (for example, /home/user/.ssh/id_rsa)", flags: "--ssh-identity-file or SSH_IDENTITY_FILE", optional: true},
	)
}
