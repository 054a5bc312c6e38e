// Package fakecloud is a cloud for tests: a small provider of machines with an HTTP API, a ledger of everything that ever happened in it, and
// faults on demand. The crash suite, the scale benchmark and `millwright driver test` run against it, by the driver of
// examples/drivers/fakecloud. It works in the process of a test (Start) and as a process of its own (the command serve).
//
// It keeps the terms of the large clouds: names are unique in the account, a creation answers before the machine boots, a removal before the
// machine is gone, lists come in pages and may lag behind, and who calls too often is told to wait.
//
// The provider's API, which a driver speaks, lies below /v1:
//
//	POST   /v1/instances            a CreateRequest; 201 with the Instance, 409 when the name is taken
//	GET    /v1/instances            ?tag=key:value or ?tag=key, &page=token; a Page
//	GET    /v1/instances/{name}     never lags; 404
//	DELETE /v1/instances/{name}     ?id=…, 409 when it is another one; 202, 404
//
// What tests steer it by lies below /control and meets no fault: settings, faults, ledger, summary, and instances/{name}/{act}. Client
// speaks it; Cloud has the same methods.
//
// With Options.Machines each running machine is real as far as provisioning and probing go: a server for SSH that takes the host key and the
// login of the bootstrap and answers the provisioner's scripts, and a Docker API behind TLS with the certificates that the provisioner sent. It
// runs no containers, but with Options.Engine set to Jobs it takes jobs and pretends to run them. A machine costs two listening ports and about 20 KB, so a thousand fit one process.
package fakecloud
