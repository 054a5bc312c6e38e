// What a policy is given: the input of decide and of observe.

import { Proposal } from "./proposal";
import { readBool, readFloat, readFloats, readInt, readInts, readOptionalShape, readShape, readShapes, readText, readTexts, readValue } from "./read";
import { Shape } from "./shape";
import { Value } from "./value";
import { Writer } from "./write";

/** The input of decide: the only thing that a policy knows of the world. */
export class Snapshot extends Shape {
  abi: i64 = 0;
  /** RFC 3339 with nanoseconds, UTC. */
  now: string = "";
  /** The same instant, milliseconds since 1970. */
  now_unix_ms: i64 = 0;
  /** Every time zone that the runner's configuration names. */
  zones: Zone[] = [];
  runner: RunnerSettings = new RunnerSettings();
  fleet: Counts = new Counts();
  /** The places for jobs on its machines; only with runner.instances. */
  slots: Slots | null = null;
  demand: Demand = new Demand();
  /** Creations that failed in the last hour, by kind. */
  failures: Failure[] = [];
  /** Only when describe asked for them. */
  machines: MachineView[] = [];
  /** Only when describe asked for it. */
  history: History | null = null;
  /** The module's own configuration. */
  config: Value = new Value();
  /** What the module's last proposal gave; empty at first, and whenever the host has lost it. */
  state: string = "";
  /** What observe returned last. */
  observed: Value = new Value();
  /** Seconds since then. */
  observed_age_s: f64 = 0;
  /** What the modules before this one proposed, merged. */
  proposal: Proposal = new Proposal();

  read(o: Value): void {
    this.abi = readInt(o, "abi");
    this.now = readText(o, "now");
    this.now_unix_ms = readInt(o, "now_unix_ms");
    this.zones = readShapes<Zone>(o, "zones");
    this.runner = readShape<RunnerSettings>(o, "runner");
    this.fleet = readShape<Counts>(o, "fleet");
    this.slots = readOptionalShape<Slots>(o, "slots");
    this.demand = readShape<Demand>(o, "demand");
    this.failures = readShapes<Failure>(o, "failures");
    this.machines = readShapes<MachineView>(o, "machines");
    this.history = readOptionalShape<History>(o, "history");
    this.config = readValue(o, "config");
    this.state = readText(o, "state");
    this.observed = readValue(o, "observed");
    this.observed_age_s = readFloat(o, "observed_age_s");
    this.proposal = readShape<Proposal>(o, "proposal");
  }

  write(w: Writer): void {
    w.int("abi", this.abi);
    w.text("now", this.now);
    w.int("now_unix_ms", this.now_unix_ms);
    w.shapesUnlessEmpty<Zone>("zones", this.zones);
    w.shape("runner", this.runner);
    w.shape("fleet", this.fleet);
    w.optionalShape("slots", this.slots);
    w.shape("demand", this.demand);
    w.shapesUnlessEmpty<Failure>("failures", this.failures);
    w.shapesUnlessEmpty<MachineView>("machines", this.machines);
    w.optionalShape("history", this.history);
    w.value("config", this.config);
    w.textUnlessEmpty("state", this.state);
    w.value("observed", this.observed);
    w.floatUnlessZero("observed_age_s", this.observed_age_s);
    w.shape("proposal", this.proposal);
  }
}

/** A time zone at the snapshot's instant. The wall clock there is now_unix_ms / 1000 + offset_s, read as if it were UTC. */
export class Zone extends Shape {
  /** IANA name as the configuration writes it; Local for the host's own. */
  name: string = "";
  /** The instant there, RFC 3339. */
  local: string = "";
  /** Seconds east of UTC now. */
  offset_s: i64 = 0;
  /** When the offset changes next, RFC 3339 in UTC; empty when never. */
  next_change: string = "";
  /** Seconds east of UTC from then on. */
  next_offset_s: i64 = 0;

  read(o: Value): void {
    this.name = readText(o, "name");
    this.local = readText(o, "local");
    this.offset_s = readInt(o, "offset_s");
    this.next_change = readText(o, "next_change");
    this.next_offset_s = readInt(o, "next_offset_s");
  }

  write(w: Writer): void {
    w.text("name", this.name);
    w.text("local", this.local);
    w.int("offset_s", this.offset_s);
    w.text("next_change", this.next_change);
    w.int("next_offset_s", this.next_offset_s);
  }
}

/** The runner's settings from config.toml, with GitLab's meaning. */
export class RunnerSettings extends Shape {
  name: string = "";
  short_token: string = "";
  /** Machines and jobs at most; 0 = no limit. */
  limit: i64 = 0;
  /** Jobs at most over all runners. */
  concurrent: i64 = 0;
  idle_count: i64 = 0;
  idle_count_min: i64 = 0;
  /** 0 = off. */
  idle_scale_factor: f64 = 0;
  /** Seconds. */
  idle_time_s: i64 = 0;
  /** 0 = no limit. */
  max_growth_rate: i64 = 0;
  /** 0 = no limit. */
  max_builds: i64 = 0;
  autoscaling: PeriodsSettings[] = [];
  /** What a runner with [runners.autoscaler] has instead of all that begins with idle_count. */
  instances: InstanceSettings | null = null;

  read(o: Value): void {
    this.name = readText(o, "name");
    this.short_token = readText(o, "short_token");
    this.limit = readInt(o, "limit");
    this.concurrent = readInt(o, "concurrent");
    this.idle_count = readInt(o, "idle_count");
    this.idle_count_min = readInt(o, "idle_count_min");
    this.idle_scale_factor = readFloat(o, "idle_scale_factor");
    this.idle_time_s = readInt(o, "idle_time_s");
    this.max_growth_rate = readInt(o, "max_growth_rate");
    this.max_builds = readInt(o, "max_builds");
    this.autoscaling = readShapes<PeriodsSettings>(o, "autoscaling");
    this.instances = readOptionalShape<InstanceSettings>(o, "instances");
  }

  write(w: Writer): void {
    w.text("name", this.name);
    w.textUnlessEmpty("short_token", this.short_token);
    w.int("limit", this.limit);
    w.int("concurrent", this.concurrent);
    w.int("idle_count", this.idle_count);
    w.int("idle_count_min", this.idle_count_min);
    w.float("idle_scale_factor", this.idle_scale_factor);
    w.int("idle_time_s", this.idle_time_s);
    w.int("max_growth_rate", this.max_growth_rate);
    w.int("max_builds", this.max_builds);
    w.shapesUnlessEmpty<PeriodsSettings>("autoscaling", this.autoscaling);
    w.optionalShape("instances", this.instances);
  }
}

/** One [[runners.machine.autoscaling]] section. */
export class PeriodsSettings extends Shape {
  periods: string[] = [];
  /** Empty and Local are the host's zone. */
  timezone: string = "";
  idle_count: i64 = 0;
  idle_count_min: i64 = 0;
  idle_scale_factor: f64 = 0;
  idle_time_s: i64 = 0;

  read(o: Value): void {
    this.periods = readTexts(o, "periods");
    this.timezone = readText(o, "timezone");
    this.idle_count = readInt(o, "idle_count");
    this.idle_count_min = readInt(o, "idle_count_min");
    this.idle_scale_factor = readFloat(o, "idle_scale_factor");
    this.idle_time_s = readInt(o, "idle_time_s");
  }

  write(w: Writer): void {
    w.texts("periods", this.periods);
    w.text("timezone", this.timezone);
    w.int("idle_count", this.idle_count);
    w.int("idle_count_min", this.idle_count_min);
    w.float("idle_scale_factor", this.idle_scale_factor);
    w.int("idle_time_s", this.idle_time_s);
  }
}

/** The settings of [runners.autoscaler]. A machine has slots, each of which takes a job. */
export class InstanceSettings extends Shape {
  /** Slots per machine. */
  capacity_per_instance: i64 = 0;
  /** Jobs per machine; 0 = no limit. */
  max_use_count: i64 = 0;
  /** Machines in any state at most; 0 = no limit. */
  max_instances: i64 = 0;
  policy: InstancePolicy[] = [];

  read(o: Value): void {
    this.capacity_per_instance = readInt(o, "capacity_per_instance");
    this.max_use_count = readInt(o, "max_use_count");
    this.max_instances = readInt(o, "max_instances");
    this.policy = readShapes<InstancePolicy>(o, "policy");
  }

  write(w: Writer): void {
    w.int("capacity_per_instance", this.capacity_per_instance);
    w.int("max_use_count", this.max_use_count);
    w.int("max_instances", this.max_instances);
    w.shapesUnlessEmpty<InstancePolicy>("policy", this.policy);
  }
}

/** One [[runners.autoscaler.policy]] section, with what it leaves out filled in. */
export class InstancePolicy extends Shape {
  /** Unix cron's five fields each. */
  periods: string[] = [];
  /** Empty and Local are the host's zone. */
  timezone: string = "";
  /** Free slots to hold. */
  idle_count: i64 = 0;
  idle_time_s: i64 = 0;
  /** Free slots per slot in use; 0 = off. */
  scale_factor: f64 = 0;
  /** 0 = no limit. */
  scale_factor_limit: i64 = 0;
  /** Ask for a job only when a slot is free for it. */
  preemptive_mode: bool = false;

  read(o: Value): void {
    this.periods = readTexts(o, "periods");
    this.timezone = readText(o, "timezone");
    this.idle_count = readInt(o, "idle_count");
    this.idle_time_s = readInt(o, "idle_time_s");
    this.scale_factor = readFloat(o, "scale_factor");
    this.scale_factor_limit = readInt(o, "scale_factor_limit");
    this.preemptive_mode = readBool(o, "preemptive_mode");
  }

  write(w: Writer): void {
    w.texts("periods", this.periods);
    w.text("timezone", this.timezone);
    w.int("idle_count", this.idle_count);
    w.int("idle_time_s", this.idle_time_s);
    w.float("scale_factor", this.scale_factor);
    w.int("scale_factor_limit", this.scale_factor_limit);
    w.bool("preemptive_mode", this.preemptive_mode);
  }
}

/** The places for jobs on machines of [runners.autoscaler], those of machines that are being removed left out. */
export class Slots extends Shape {
  creating: i64 = 0;
  free: i64 = 0;
  /** Held for a job that is still to come. */
  reserved: i64 = 0;
  used: i64 = 0;
  /** That no job gets any more. */
  unavailable: i64 = 0;

  read(o: Value): void {
    this.creating = readInt(o, "creating");
    this.free = readInt(o, "free");
    this.reserved = readInt(o, "reserved");
    this.used = readInt(o, "used");
    this.unavailable = readInt(o, "unavailable");
  }

  write(w: Writer): void {
    w.int("creating", this.creating);
    w.int("free", this.free);
    w.int("reserved", this.reserved);
    w.int("used", this.used);
    w.int("unavailable", this.unavailable);
  }
}

/** Machines by state. */
export class Counts extends Shape {
  creating: i64 = 0;
  idle: i64 = 0;
  acquired: i64 = 0;
  used: i64 = 0;
  removing: i64 = 0;
  stuck_on_removing: i64 = 0;
  /** Creating, idle and acquired together. */
  available: i64 = 0;
  total: i64 = 0;

  read(o: Value): void {
    this.creating = readInt(o, "creating");
    this.idle = readInt(o, "idle");
    this.acquired = readInt(o, "acquired");
    this.used = readInt(o, "used");
    this.removing = readInt(o, "removing");
    this.stuck_on_removing = readInt(o, "stuck_on_removing");
    this.available = readInt(o, "available");
    this.total = readInt(o, "total");
  }

  write(w: Writer): void {
    w.int("creating", this.creating);
    w.int("idle", this.idle);
    w.int("acquired", this.acquired);
    w.int("used", this.used);
    w.int("removing", this.removing);
    w.int("stuck_on_removing", this.stuck_on_removing);
    w.int("available", this.available);
    w.int("total", this.total);
  }
}

/** What jobs ask of the fleet. */
export class Demand extends Shape {
  /** Jobs on machines. */
  running: i64 = 0;
  /** Jobs that hold no machine yet. */
  waiting: i64 = 0;
  windows: Window[] = [];

  read(o: Value): void {
    this.running = readInt(o, "running");
    this.waiting = readInt(o, "waiting");
    this.windows = readShapes<Window>(o, "windows");
  }

  write(w: Writer): void {
    w.int("running", this.running);
    w.int("waiting", this.waiting);
    w.shapesUnlessEmpty<Window>("windows", this.windows);
  }
}

/** The jobs of the last seconds. */
export class Window extends Shape {
  seconds: i64 = 0;
  arrivals: i64 = 0;
  finished: i64 = 0;
  /** Of those finished; 0 when none. */
  mean_duration_s: f64 = 0;

  read(o: Value): void {
    this.seconds = readInt(o, "seconds");
    this.arrivals = readInt(o, "arrivals");
    this.finished = readInt(o, "finished");
    this.mean_duration_s = readFloat(o, "mean_duration_s");
  }

  write(w: Writer): void {
    w.int("seconds", this.seconds);
    w.int("arrivals", this.arrivals);
    w.int("finished", this.finished);
    w.float("mean_duration_s", this.mean_duration_s);
  }
}

/** Creations that failed with one kind of error. */
export class Failure extends Shape {
  /** As hostfuncs/ABI.md lists them: quota, capacity, ... */
  kind: string = "";
  count: i64 = 0;
  /** Seconds since the last. */
  age_s: f64 = 0;

  read(o: Value): void {
    this.kind = readText(o, "kind");
    this.count = readInt(o, "count");
    this.age_s = readFloat(o, "age_s");
  }

  write(w: Writer): void {
    w.text("kind", this.kind);
    w.int("count", this.count);
    w.float("age_s", this.age_s);
  }
}

/** One machine as a policy sees it. */
export class MachineView extends Shape {
  name: string = "";
  /** creating, idle, acquired, used, removing or stuck-on-removing. */
  state: string = "";
  age_s: f64 = 0;
  /** Seconds idle, 0 when it is not. */
  idle_s: f64 = 0;
  used_count: i64 = 0;

  read(o: Value): void {
    this.name = readText(o, "name");
    this.state = readText(o, "state");
    this.age_s = readFloat(o, "age_s");
    this.idle_s = readFloat(o, "idle_s");
    this.used_count = readInt(o, "used_count");
  }

  write(w: Writer): void {
    w.text("name", this.name);
    w.text("state", this.state);
    w.float("age_s", this.age_s);
    w.floatUnlessZero("idle_s", this.idle_s);
    w.int("used_count", this.used_count);
  }
}

/** A runner's past, oldest step first. All lists have the same length. The step that is under way is not in it. */
export class History extends Shape {
  /** When the first step began, milliseconds since 1970; a multiple of the step. */
  from_unix_ms: i64 = 0;
  step_s: i64 = 0;
  /** Of the step that the agent saw; with 0 nothing is known of it, and all else is 0. */
  minutes: i64[] = [];
  /** Jobs that came. */
  arrivals: i64[] = [];
  /** Jobs that ended. */
  finished: i64[] = [];
  /** Jobs on machines, mean. */
  running: f64[] = [];
  /** The most at once. */
  running_max: i64[] = [];
  /** Jobs without a machine, the most at once. */
  waiting_max: i64[] = [];
  /** Machines creating, idle or acquired, mean. */
  available: f64[] = [];
  /** Machines in any state, mean. */
  total: f64[] = [];

  read(o: Value): void {
    this.from_unix_ms = readInt(o, "from_unix_ms");
    this.step_s = readInt(o, "step_s");
    this.minutes = readInts(o, "minutes");
    this.arrivals = readInts(o, "arrivals");
    this.finished = readInts(o, "finished");
    this.running = readFloats(o, "running");
    this.running_max = readInts(o, "running_max");
    this.waiting_max = readInts(o, "waiting_max");
    this.available = readFloats(o, "available");
    this.total = readFloats(o, "total");
  }

  write(w: Writer): void {
    w.int("from_unix_ms", this.from_unix_ms);
    w.int("step_s", this.step_s);
    w.ints("minutes", this.minutes);
    w.ints("arrivals", this.arrivals);
    w.ints("finished", this.finished);
    w.floats("running", this.running);
    w.ints("running_max", this.running_max);
    w.ints("waiting_max", this.waiting_max);
    w.floats("available", this.available);
    w.floats("total", this.total);
  }
}

/** The input of observe. */
export class ObserveRequest extends Shape {
  abi: i64 = 0;
  /** RFC 3339 with nanoseconds, UTC. */
  now: string = "";
  /** The same instant, milliseconds since 1970. */
  now_unix_ms: i64 = 0;
  config: Value = new Value();
  /** What observe returned last: a Retry-After to mind, an ETag. Lost when the agent starts. */
  observed: Value = new Value();

  read(o: Value): void {
    this.abi = readInt(o, "abi");
    this.now = readText(o, "now");
    this.now_unix_ms = readInt(o, "now_unix_ms");
    this.config = readValue(o, "config");
    this.observed = readValue(o, "observed");
  }

  write(w: Writer): void {
    w.int("abi", this.abi);
    w.text("now", this.now);
    w.int("now_unix_ms", this.now_unix_ms);
    w.value("config", this.config);
    w.value("observed", this.observed);
  }
}
