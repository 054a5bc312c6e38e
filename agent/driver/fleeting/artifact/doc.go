// Package artifact finds and installs fleeting plug-ins. They are published in OCI registries, one image for each platform, by GitLab's tool
// fleeting-artifact, and installed where `gitlab-runner fleeting install` puts them: what one program installed the other finds.
//
//	reference.go what plugin = "..." names
//	version.go   versions and constraints
//	find.go      the binary that serves a name
//	install.go   from the registry into the folder
//	unpack.go    a layer's archive, which may be hostile
//	login.go     credentials of registries
package artifact
