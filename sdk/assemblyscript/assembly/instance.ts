// What a driver is given and what it returns.

import { readBool, readInt, readOptionalShape, readShape, readShapes, readText, readTextMap, readTextsMap, readValue } from "./read";
import { HttpError } from "./request";
import { Shape } from "./shape";
import { Value } from "./value";
import { Writer } from "./write";

/** Tags everything that a driver creates, so that list finds it and remove touches nothing else. */
export class Owner extends Shape {
  /** 16 letters and digits. */
  id: string = "";
  /** Informative. */
  runner: string = "";

  read(o: Value): void {
    this.id = readText(o, "id");
    this.runner = readText(o, "runner");
  }

  write(w: Writer): void {
    w.text("id", this.id);
    w.text("runner", this.runner);
  }
}

/** What belongs to one machine alone: how the host will log in and how it will know the machine again. */
export class Bootstrap extends Shape {
  ssh_user: string = "";
  /** One line for authorized_keys. */
  authorized_key: string = "";
  /** OpenSSH PEM, Ed25519. */
  host_key_private: string = "";
  /** One line. */
  host_key_public: string = "";
  /** A script for sh that makes an engine of the machine when root runs it at the first boot. */
  first_boot: string = "";

  read(o: Value): void {
    this.ssh_user = readText(o, "ssh_user");
    this.authorized_key = readText(o, "authorized_key");
    this.host_key_private = readText(o, "host_key_private");
    this.host_key_public = readText(o, "host_key_public");
    this.first_boot = readText(o, "first_boot");
  }

  write(w: Writer): void {
    w.text("ssh_user", this.ssh_user);
    w.text("authorized_key", this.authorized_key);
    w.text("host_key_private", this.host_key_private);
    w.text("host_key_public", this.host_key_public);
    w.textUnlessEmpty("first_boot", this.first_boot);
  }
}

/** The input of create. */
export class CreateRequest extends Shape {
  abi: i64 = 0;
  owner: Owner = new Owner();
  /** The machine's name and its key, RFC 1123, at most 63 characters. */
  name: string = "";
  options: Map<string, string[]> = new Map();
  bootstrap: Bootstrap = new Bootstrap();
  labels: Map<string, string> = new Map();
  /** RFC 3339, in UTC: when the provider may end the machine by itself, as far as it can; empty: never. */
  expires_at: string = "";

  read(o: Value): void {
    this.abi = readInt(o, "abi");
    this.owner = readShape<Owner>(o, "owner");
    this.name = readText(o, "name");
    this.options = readTextsMap(o, "options");
    this.bootstrap = readShape<Bootstrap>(o, "bootstrap");
    this.labels = readTextMap(o, "labels");
    this.expires_at = readText(o, "expires_at");
  }

  write(w: Writer): void {
    w.int("abi", this.abi);
    w.shape("owner", this.owner);
    w.text("name", this.name);
    w.textsMap("options", this.options);
    w.shape("bootstrap", this.bootstrap);
    w.textMapUnlessEmpty("labels", this.labels);
    w.textUnlessEmpty("expires_at", this.expires_at);
  }
}

/** The input of list. */
export class ListRequest extends Shape {
  abi: i64 = 0;
  owner: Owner = new Owner();
  options: Map<string, string[]> = new Map();
  /** Also those of other owners; a driver that can't tell them lists the owner's own. */
  all_owners: bool = false;

  read(o: Value): void {
    this.abi = readInt(o, "abi");
    this.owner = readShape<Owner>(o, "owner");
    this.options = readTextsMap(o, "options");
    this.all_owners = readBool(o, "all_owners");
  }

  write(w: Writer): void {
    w.int("abi", this.abi);
    w.shape("owner", this.owner);
    w.textsMap("options", this.options);
    w.boolUnlessFalse("all_owners", this.all_owners);
  }
}

/** The output of list: every instance that bears the owner's tag. */
export class ListResult extends Shape {
  instances: Instance[] = [];
  /** False: a part could not be read, so absence means nothing. */
  complete: bool = false;

  read(o: Value): void {
    this.instances = readShapes<Instance>(o, "instances");
    this.complete = readBool(o, "complete");
  }

  write(w: Writer): void {
    w.shapes<Instance>("instances", this.instances);
    w.bool("complete", this.complete);
  }
}

/** The input of remove. */
export class RemoveRequest extends Shape {
  abi: i64 = 0;
  owner: Owner = new Owner();
  name: string = "";
  /** The instance's, when known. */
  id: string = "";
  options: Map<string, string[]> = new Map();
  /** The driver's own, from the instance. */
  state: Value = new Value();

  read(o: Value): void {
    this.abi = readInt(o, "abi");
    this.owner = readShape<Owner>(o, "owner");
    this.name = readText(o, "name");
    this.id = readText(o, "id");
    this.options = readTextsMap(o, "options");
    this.state = readValue(o, "state");
  }

  write(w: Writer): void {
    w.int("abi", this.abi);
    w.shape("owner", this.owner);
    w.text("name", this.name);
    w.textUnlessEmpty("id", this.id);
    w.textsMap("options", this.options);
    w.value("state", this.state);
  }
}

/** The input of check. */
export class CheckRequest extends Shape {
  abi: i64 = 0;
  owner: Owner = new Owner();
  /** As those of create. */
  options: Map<string, string[]> = new Map();

  read(o: Value): void {
    this.abi = readInt(o, "abi");
    this.owner = readShape<Owner>(o, "owner");
    this.options = readTextsMap(o, "options");
  }

  write(w: Writer): void {
    w.int("abi", this.abi);
    w.shape("owner", this.owner);
    w.textsMap("options", this.options);
  }
}

/** The output of check. No permissions at all mean that the driver has no check. */
export class CheckResult extends Shape {
  permissions: Permission[] = [];

  read(o: Value): void {
    this.permissions = readShapes<Permission>(o, "permissions");
  }

  write(w: Writer): void {
    w.shapes<Permission>("permissions", this.permissions);
  }
}

/** One thing that the driver needs to be allowed, and whether it is. */
export class Permission extends Shape {
  /** As the provider names it. */
  name: string = "";
  /** granted, denied or unknown. */
  result: string = "";
  /** What it is for, one line. */
  purpose: string = "";
  /** What follows where it is missing. */
  without: string = "";
  /** What to do where it is not granted. */
  fix: string = "";
  /** Why it is denied or not known, in the provider's words. */
  message: string = "";

  read(o: Value): void {
    this.name = readText(o, "name");
    this.result = readText(o, "result");
    this.purpose = readText(o, "purpose");
    this.without = readText(o, "without");
    this.fix = readText(o, "fix");
    this.message = readText(o, "message");
  }

  write(w: Writer): void {
    w.text("name", this.name);
    w.text("result", this.result);
    w.textUnlessEmpty("purpose", this.purpose);
    w.textUnlessEmpty("without", this.without);
    w.textUnlessEmpty("fix", this.fix);
    w.textUnlessEmpty("message", this.message);
  }
}

/** The provider's record of a machine. */
export class Instance extends Shape {
  name: string = "";
  id: string = "";
  /** creating, running, stopped, gone, interrupted or unknown. */
  status: string = "";
  /** Why, in the provider's words. */
  message: string = "";
  /** Where the agent reaches it: IP address or hostname. */
  address: string = "";
  /** 0 = 22. */
  ssh_port: i64 = 0;
  /** Where the login is another one than the bootstrap's. */
  ssh_user: string = "";
  /** 0 = 2376. */
  engine_port: i64 = 0;
  /** NVIDIA GPUs that it has; the host waits until they answer. */
  gpus: i64 = 0;
  /** RFC 3339. */
  created_at: string = "";
  /** The driver's own, handed back to remove. */
  state: Value = new Value();
  /** The id of the owner's tag; required in the answer to all_owners. */
  owner: string = "";
  /** Of status gone: why the provider never made it, where that shows only after create has answered. */
  error: DriverError | null = null;

  read(o: Value): void {
    this.name = readText(o, "name");
    this.id = readText(o, "id");
    this.status = readText(o, "status");
    this.message = readText(o, "message");
    this.address = readText(o, "address");
    this.ssh_port = readInt(o, "ssh_port");
    this.ssh_user = readText(o, "ssh_user");
    this.engine_port = readInt(o, "engine_port");
    this.gpus = readInt(o, "gpus");
    this.created_at = readText(o, "created_at");
    this.state = readValue(o, "state");
    this.owner = readText(o, "owner");
    this.error = readOptionalShape<DriverError>(o, "error");
  }

  write(w: Writer): void {
    w.text("name", this.name);
    w.text("id", this.id);
    w.text("status", this.status);
    w.textUnlessEmpty("message", this.message);
    w.textUnlessEmpty("address", this.address);
    w.intUnlessZero("ssh_port", this.ssh_port);
    w.textUnlessEmpty("ssh_user", this.ssh_user);
    w.intUnlessZero("engine_port", this.engine_port);
    w.intUnlessZero("gpus", this.gpus);
    w.textUnlessEmpty("created_at", this.created_at);
    w.value("state", this.state);
    w.textUnlessEmpty("owner", this.owner);
    w.optionalShape("error", this.error);
  }
}

/** A failure as data. */
export class DriverError extends Shape {
  /**
   * not_found, conflict, quota, capacity, auth, rate_limited, invalid or transient; the host does what follows from it, and takes any other for
   * transient.
   */
  kind: string = "";
  /** What failed and what to do, for people. */
  message: string = "";
  /** The provider's own code. */
  code: string = "";
  /** Seconds to wait at least, when the provider said so. */
  retry_after_s: i64 = 0;

  static of(kind: string, message: string): DriverError {
    const out = new DriverError();
    out.kind = kind;
    out.message = message;
    return out;
  }

  /** Of a request that got no answer: invalid where no other try helps, auth where the operator's credential can't be used, else transient. */
  static ofHttp(e: HttpError): DriverError {
    const hopeless = e.kind == "denied" || e.kind == "invalid" || e.kind == "too_large";
    return DriverError.of(hopeless ? "invalid" : e.kind == "credential" ? "auth" : "transient", e.kind + ": " + e.message);
  }

  read(o: Value): void {
    this.kind = readText(o, "kind");
    this.message = readText(o, "message");
    this.code = readText(o, "code");
    this.retry_after_s = readInt(o, "retry_after_s");
  }

  write(w: Writer): void {
    w.text("kind", this.kind);
    w.text("message", this.message);
    w.textUnlessEmpty("code", this.code);
    w.intUnlessZero("retry_after_s", this.retry_after_s);
  }
}

/** The envelope of what every export of a driver but describe returns: one of its fields is set. */
export class Outcome extends Shape {
  ok: Value = new Value();
  error: DriverError | null = null;

  read(o: Value): void {
    this.ok = readValue(o, "ok");
    this.error = readOptionalShape<DriverError>(o, "error");
  }

  write(w: Writer): void {
    w.value("ok", this.ok);
    w.optionalShape("error", this.error);
  }
}
