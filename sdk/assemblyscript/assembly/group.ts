// What a driver of groups and the host say to each other: see hostfuncs/ABI.md, "Groups".

import { Problem } from "./description";
import { DriverError, Owner } from "./instance";
import { readBool, readInt, readOptionalShape, readShape, readShapes, readText, readTexts, readTextsMap } from "./read";
import { Shape } from "./shape";
import { Value } from "./value";
import { Writer } from "./write";

/** The input of group_info. */
export class GroupRequest extends Shape {
  abi: i64 = 0;
  owner: Owner = new Owner();
  /** Which group. */
  options: Map<string, string[]> = new Map();
  /** The runner's own bound; 0 sets none. */
  max_instances: i64 = 0;

  read(o: Value): void {
    this.abi = readInt(o, "abi");
    this.owner = readShape<Owner>(o, "owner");
    this.options = readTextsMap(o, "options");
    this.max_instances = readInt(o, "max_instances");
  }

  write(w: Writer): void {
    w.int("abi", this.abi);
    w.shape("owner", this.owner);
    w.textsMap("options", this.options);
    w.intUnlessZero("max_instances", this.max_instances);
  }
}

/** The output of group_info. */
export class GroupInfo extends Shape {
  /** Unique among the groups of the world. */
  id: string = "";
  /** Instances that the group may have at most; 0 sets no bound. */
  max_size: i64 = 0;
  /** Of what serves it, for people. */
  version: string = "";
  /** What must be otherwise with the group; one that is no warning keeps it from being used. */
  problems: Problem[] = [];

  read(o: Value): void {
    this.id = readText(o, "id");
    this.max_size = readInt(o, "max_size");
    this.version = readText(o, "version");
    this.problems = readShapes<Problem>(o, "problems");
  }

  write(w: Writer): void {
    w.text("id", this.id);
    w.intUnlessZero("max_size", this.max_size);
    w.textUnlessEmpty("version", this.version);
    w.shapes<Problem>("problems", this.problems);
  }
}

/** The input of increase. */
export class IncreaseRequest extends Shape {
  abi: i64 = 0;
  owner: Owner = new Owner();
  /** Which group. */
  options: Map<string, string[]> = new Map();
  /** By how many instances. */
  count: i64 = 0;

  read(o: Value): void {
    this.abi = readInt(o, "abi");
    this.owner = readShape<Owner>(o, "owner");
    this.options = readTextsMap(o, "options");
    this.count = readInt(o, "count");
  }

  write(w: Writer): void {
    w.int("abi", this.abi);
    w.shape("owner", this.owner);
    w.textsMap("options", this.options);
    w.int("count", this.count);
  }
}

/** The output of increase. */
export class IncreaseResult extends Shape {
  /** How many were granted. */
  count: i64 = 0;

  read(o: Value): void {
    this.count = readInt(o, "count");
  }

  write(w: Writer): void {
    w.int("count", this.count);
  }
}

/** The input of decrease. */
export class DecreaseRequest extends Shape {
  abi: i64 = 0;
  owner: Owner = new Owner();
  /** Which group. */
  options: Map<string, string[]> = new Map();
  /** The names of those to remove, as list gives them. */
  instances: string[] = [];

  read(o: Value): void {
    this.abi = readInt(o, "abi");
    this.owner = readShape<Owner>(o, "owner");
    this.options = readTextsMap(o, "options");
    this.instances = readTexts(o, "instances");
  }

  write(w: Writer): void {
    w.int("abi", this.abi);
    w.shape("owner", this.owner);
    w.textsMap("options", this.options);
    w.texts("instances", this.instances);
  }
}

/** The output of decrease. */
export class DecreaseResult extends Shape {
  /** Those whose removal was taken on, or that are gone. */
  instances: string[] = [];
  /** Why the others stay. */
  error: DriverError | null = null;

  read(o: Value): void {
    this.instances = readTexts(o, "instances");
    this.error = readOptionalShape<DriverError>(o, "error");
  }

  write(w: Writer): void {
    w.texts("instances", this.instances);
    w.optionalShape("error", this.error);
  }
}

/** The input of connect_info, and of heartbeat. */
export class ConnectRequest extends Shape {
  abi: i64 = 0;
  owner: Owner = new Owner();
  /** Which group. */
  options: Map<string, string[]> = new Map();
  /** Its name, as list gives it. */
  instance: string = "";
  /** What connector_config says, as the next three. */
  os: string = "";
  arch: string = "";
  protocol: string = "";
  username: string = "";
  /** The public half of a key that the host holds, to be let in; empty: none is wanted. */
  authorized_key: string = "";

  read(o: Value): void {
    this.abi = readInt(o, "abi");
    this.owner = readShape<Owner>(o, "owner");
    this.options = readTextsMap(o, "options");
    this.instance = readText(o, "instance");
    this.os = readText(o, "os");
    this.arch = readText(o, "arch");
    this.protocol = readText(o, "protocol");
    this.username = readText(o, "username");
    this.authorized_key = readText(o, "authorized_key");
  }

  write(w: Writer): void {
    w.int("abi", this.abi);
    w.shape("owner", this.owner);
    w.textsMap("options", this.options);
    w.text("instance", this.instance);
    w.textUnlessEmpty("os", this.os);
    w.textUnlessEmpty("arch", this.arch);
    w.textUnlessEmpty("protocol", this.protocol);
    w.textUnlessEmpty("username", this.username);
    w.textUnlessEmpty("authorized_key", this.authorized_key);
  }
}

/** The output of connect_info. */
export class ConnectInfo extends Shape {
  os: string = "";
  arch: string = "";
  /** ssh, winrm or winrm+https; empty is ssh. */
  protocol: string = "";
  /** 0 is the protocol's own. */
  port: i64 = 0;
  username: string = "";
  internal_addr: string = "";
  external_addr: string = "";
  /** The instance lets in the key of the request. */
  key_authorized: bool = false;
  password: string = "";
  /** Encrypted by RSA (PKCS #1 v1.5) for the key of key_path, as base64. */
  encrypted_password: string = "";
  /** How long the key or the password is good for; 0: it does not end. */
  ttl_s: i64 = 0;

  read(o: Value): void {
    this.os = readText(o, "os");
    this.arch = readText(o, "arch");
    this.protocol = readText(o, "protocol");
    this.port = readInt(o, "port");
    this.username = readText(o, "username");
    this.internal_addr = readText(o, "internal_addr");
    this.external_addr = readText(o, "external_addr");
    this.key_authorized = readBool(o, "key_authorized");
    this.password = readText(o, "password");
    this.encrypted_password = readText(o, "encrypted_password");
    this.ttl_s = readInt(o, "ttl_s");
  }

  write(w: Writer): void {
    w.textUnlessEmpty("os", this.os);
    w.textUnlessEmpty("arch", this.arch);
    w.textUnlessEmpty("protocol", this.protocol);
    w.intUnlessZero("port", this.port);
    w.textUnlessEmpty("username", this.username);
    w.textUnlessEmpty("internal_addr", this.internal_addr);
    w.textUnlessEmpty("external_addr", this.external_addr);
    w.boolUnlessFalse("key_authorized", this.key_authorized);
    w.textUnlessEmpty("password", this.password);
    w.textUnlessEmpty("encrypted_password", this.encrypted_password);
    w.intUnlessZero("ttl_s", this.ttl_s);
  }
}
