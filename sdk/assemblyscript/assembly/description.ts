// What a module says of itself, and of the configuration and options that it is given.

import { readBool, readInt, readOptionalShape, readShapes, readText, readTexts, readTextsMap, readValue } from "./read";
import { Shape } from "./shape";
import { Value } from "./value";
import { Writer } from "./write";

/** What a module returns from describe. abi and kind are filled in. */
export class Description extends Shape {
  abi: i64 = 0;
  kind: string = "";
  /** Lower case letters, digits and hyphens, 1 to 63. */
  name: string = "";
  version: string = "";
  /** One line for people. */
  summary: string = "";
  /** What it wants to talk to: api.example.com, https://*.example.com:8443, unix:///var/run/docker.sock. */
  hostnames: string[] = [];
  /** Of policies: place in the chain; 0 means after the built-in ones (100). */
  position: i64 = 0;
  /** Of policies: list the machines in the snapshot. */
  want_machines: bool = false;
  /** Of policies: give the past in the snapshot. */
  want_history: HistoryWish | null = null;
  /** Of policies: what [config] of NAME.toml may hold, as a JSON Schema of the keywords that ABI.md names; the host checks it. */
  config_schema: Value = new Value();
  /** Of drivers: it has the verbs of groups in the place of create and remove. */
  group: bool = false;
  /** Of drivers. */
  options: DriverOption[] = [];

  read(o: Value): void {
    this.abi = readInt(o, "abi");
    this.kind = readText(o, "kind");
    this.name = readText(o, "name");
    this.version = readText(o, "version");
    this.summary = readText(o, "summary");
    this.hostnames = readTexts(o, "hostnames");
    this.position = readInt(o, "position");
    this.want_machines = readBool(o, "want_machines");
    this.want_history = readOptionalShape<HistoryWish>(o, "want_history");
    this.config_schema = readValue(o, "config_schema");
    this.group = readBool(o, "group");
    this.options = readShapes<DriverOption>(o, "options");
  }

  write(w: Writer): void {
    w.int("abi", this.abi);
    w.text("kind", this.kind);
    w.text("name", this.name);
    w.textUnlessEmpty("version", this.version);
    w.textUnlessEmpty("summary", this.summary);
    w.textsUnlessEmpty("hostnames", this.hostnames);
    w.intUnlessZero("position", this.position);
    w.boolUnlessFalse("want_machines", this.want_machines);
    w.optionalShape("want_history", this.want_history);
    w.value("config_schema", this.config_schema);
    w.boolUnlessFalse("group", this.group);
    w.shapesUnlessEmpty<DriverOption>("options", this.options);
  }
}

/** How much of the past a policy wants: the last points (1 to 1000) steps of step_s seconds, a multiple of 60; together a week at most. */
export class HistoryWish extends Shape {
  points: i64 = 0;
  step_s: i64 = 0;

  read(o: Value): void {
    this.points = readInt(o, "points");
    this.step_s = readInt(o, "step_s");
  }

  write(w: Writer): void {
    w.int("points", this.points);
    w.int("step_s", this.step_s);
  }
}

/** One driver option, as MachineOptions and the command line name it. */
export class DriverOption extends Shape {
  /** With the driver's prefix: docker-image. */
  name: string = "";
  /** string, int, bool or list. */
  type: string = "";
  /** The environment variable that gives its default. */
  env: string = "";
  default: string = "";
  required: bool = false;
  /** It reaches the guest as a reference, never as its value. */
  secret: bool = false;
  /** What it means to the host: zone, type, spot or account; empty is nothing in particular. */
  role: string = "";
  help: string = "";

  read(o: Value): void {
    this.name = readText(o, "name");
    this.type = readText(o, "type");
    this.env = readText(o, "env");
    this.default = readText(o, "default");
    this.required = readBool(o, "required");
    this.secret = readBool(o, "secret");
    this.role = readText(o, "role");
    this.help = readText(o, "help");
  }

  write(w: Writer): void {
    w.text("name", this.name);
    w.text("type", this.type);
    w.textUnlessEmpty("env", this.env);
    w.textUnlessEmpty("default", this.default);
    w.boolUnlessFalse("required", this.required);
    w.boolUnlessFalse("secret", this.secret);
    w.textUnlessEmpty("role", this.role);
    w.text("help", this.help);
  }
}

/** The input of validate: a policy's configuration, or a driver's options with defaults filled in. */
export class ValidateRequest extends Shape {
  abi: i64 = 0;
  options: Map<string, string[]> = new Map();
  config: Value = new Value();

  read(o: Value): void {
    this.abi = readInt(o, "abi");
    this.options = readTextsMap(o, "options");
    this.config = readValue(o, "config");
  }

  write(w: Writer): void {
    w.int("abi", this.abi);
    w.textsMap("options", this.options);
    w.value("config", this.config);
  }
}

/** The output of validate; no problem means that all is well. */
export class ValidateResult extends Shape {
  problems: Problem[] = [];

  read(o: Value): void {
    this.problems = readShapes<Problem>(o, "problems");
  }

  write(w: Writer): void {
    w.shapes<Problem>("problems", this.problems);
  }
}

/** One thing that is wrong with an option or a setting. */
export class Problem extends Shape {
  option: string = "";
  /** What was found and what is allowed. */
  message: string = "";
  /** It may stay. */
  warning: bool = false;

  read(o: Value): void {
    this.option = readText(o, "option");
    this.message = readText(o, "message");
    this.warning = readBool(o, "warning");
  }

  write(w: Writer): void {
    w.text("option", this.option);
    w.text("message", this.message);
    w.boolUnlessFalse("warning", this.warning);
  }

  static of(option: string, message: string): Problem {
    const out = new Problem();
    out.option = option;
    out.message = message;
    return out;
  }
}
