// Removal by the billing hour: a machine that is paid for until the full hour may as well stay until shortly before it. See README.md.

import {
  ABSENT, Description, MachineView, Policy, Problem, Proposal, Removal, Settings, Shape, Snapshot, ValidateRequest, Value, decodeValue, fail, readInt, registerPolicy,
  unknownFields,
} from "millwright/assembly";

export * from "millwright/assembly/policy";

/** What billing-hour.toml says below [config]. */
class Config extends Shape {
  /** Seconds that are paid for at once. */
  period_s: i64 = 3600;
  /** Seconds before the end of a period in which a machine that is not needed goes. */
  window_s: i64 = 300;
  /** Seconds that removing takes, which must be over before the next period begins. */
  margin_s: i64 = 60;

  read(o: Value): void {
    this.period_s = readInt(o, "period_s", 3600);
    this.window_s = readInt(o, "window_s", 300);
    this.margin_s = readInt(o, "margin_s", 60);
  }

  /** What is wrong with it, "" for nothing. */
  fault(): string {
    if (this.period_s < 60) return "period_s: " + this.period_s.toString() + " is too short; use 60 or more";
    if (this.margin_s < 0) return "margin_s: " + this.margin_s.toString() + " is negative; use 0 or more";
    if (this.window_s <= this.margin_s || this.window_s > this.period_s) return "window_s: must be more than margin_s and at most period_s";
    return "";
  }
}

// An idle time that never comes to its end: the host would remove machines by it in the middle of what is paid for.
const NEVER: i64 = 1000000;

class BillingHour extends Policy {
  describe(): Description {
    const d = new Description();
    d.name = "billing-hour";
    d.version = "1.0.0";
    d.summary = "removes machines that are not needed shortly before their next billing period begins";
    d.want_machines = true;
    return d;
  }

  validate(request: ValidateRequest): Problem[] {
    const problems = unknownFields(request.config, ["period_s", "window_s", "margin_s"]);
    const config = new Config();
    let wrong = decodeValue(config, request.config);
    if (!wrong.length) wrong = config.fault();
    if (wrong.length) problems.push(Problem.of("", wrong));
    return problems;
  }

  decide(s: Snapshot): Proposal {
    const out = new Proposal();
    const config = new Config();
    let wrong = decodeValue(config, s.config);
    if (!wrong.length) wrong = config.fault();
    if (wrong.length) {
      fail(wrong);
      return out;
    }
    const surplus = s.fleet.available - target(s);
    const leaving = ending(s, config);
    const n = <i32>min(max(surplus, 0), <i64>leaving.length);
    const remove = s.proposal.remove.slice(0);
    for (let i = 0; i < n; i++) remove.push(Removal.of(leaving[i].name, paid(leaving[i], config)));

    out.remove = remove;
    const settings = new Settings();
    settings.idle_time_s = NEVER;
    out.settings = settings;
    out.metrics.set("surplus", <f64>max(surplus, 0));
    out.reason = (s.proposal.reason.length ? s.proposal.reason + "; " : "") + reason(surplus, n);
    return out;
  }
}

registerPolicy(new BillingHour());

// Machines to hold available: what the policies before this one want, or IdleCount.
function target(s: Snapshot): i64 {
  if (s.proposal.idle_target != ABSENT) return s.proposal.idle_target;
  const settings = s.proposal.settings;
  return settings !== null && settings.idle_count != ABSENT ? settings.idle_count : s.runner.idle_count;
}

// How long a machine must be idle before it may go: the idle time that would hold without this policy.
function idleTime(s: Snapshot): i64 {
  const settings = s.proposal.settings;
  return settings !== null && settings.idle_time_s != ABSENT ? settings.idle_time_s : s.runner.idle_time_s;
}

// The idle machines whose period ends within the window, the soonest first, of equals by name.
function ending(s: Snapshot, config: Config): MachineView[] {
  const out: MachineView[] = [];
  // An idle time as long as the period would never come within the window: a machine that was idle all the time before the window may go.
  const patience = <f64>min(idleTime(s), config.period_s - config.window_s);
  for (let i = 0; i < s.machines.length; i++) {
    const m = s.machines[i];
    const rest = left(m, config);
    if (m.state == "idle" && rest <= <f64>config.window_s && rest >= <f64>config.margin_s && m.idle_s >= patience) out.push(m);
  }
  period = config;
  return out.sort((a, b) => {
    const x = left(a, period);
    const y = left(b, period);
    return x < y ? -1 : x > y ? 1 : a.name < b.name ? -1 : 1;
  });
}

// What the comparison above goes by: the language's functions capture nothing.
let period: Config = new Config();

// Seconds that are paid for and not yet over.
function left(m: MachineView, config: Config): f64 {
  const length = <f64>config.period_s;
  return length - (max(m.age_s, 0) - Math.floor(max(m.age_s, 0) / length) * length);
}

function paid(m: MachineView, config: Config): string {
  return "not needed, and the next " + config.period_s.toString() + " s would be paid for in " + (<i64>left(m, config)).toString() + " s";
}

function reason(surplus: i64, n: i32): string {
  if (surplus <= 0) return "no machine is more than is wanted";
  return surplus.toString() + " more than wanted, " + n.toString() + " of them at the end of what is paid for";
}
