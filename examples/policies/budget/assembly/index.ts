// A budget: no machine is created that would cost more per hour than allowed, nor any more once the month's money is spent. See README.md.

import {
  ABSENT, Description, Policy, Problem, Proposal, Shape, Snapshot, ValidateRequest, Value, Writer, decode, decodeValue, fail, readFloat, readFloatMap, readInt, readText,
  readTextsMap, registerPolicy, unknownFields,
} from "millwright/assembly";

export * from "millwright/assembly/policy";

/** What budget.toml says below [config]. */
class Config extends Shape {
  /** Cost of an hour by machine type. */
  prices: Map<string, f64> = new Map();
  /** The type of a machine unless a policy chooses another one for it. */
  type: string = "";
  /** The driver's option by which a policy chooses one. */
  option: string = "";
  /** Cost per hour of all machines together; 0 = no limit. */
  per_hour: f64 = 0;
  /** Cost of a calendar month in UTC; 0 = no limit. */
  per_month: f64 = 0;

  read(o: Value): void {
    this.prices = readFloatMap(o, "prices");
    this.type = readText(o, "type");
    this.option = readText(o, "option");
    this.per_hour = readFloat(o, "per_hour");
    this.per_month = readFloat(o, "per_month");
  }

  /** The price of a type; the highest of all for one that has none, so that a surprise is never too cheap. */
  price(type: string): f64 {
    if (this.prices.has(type)) return this.prices.get(type);
    return this.highest();
  }

  highest(): f64 {
    const all = this.prices.values();
    let out: f64 = 0;
    for (let i = 0; i < all.length; i++) out = max(out, all[i]);
    return out;
  }
}

/** What is remembered between two decisions. */
class Memory extends Shape {
  month: string = "";
  spent: f64 = 0;
  at_unix_ms: i64 = 0;
  /** Cost per hour at that time. */
  rate: f64 = 0;
  /** The type that a machine created now gets. */
  next: string = "";
  /** The machines of another type than the usual one, by type. */
  others: Map<string, string[]> = new Map();
  /** Tells whether there was a decision before. */
  known: i64 = 0;

  read(o: Value): void {
    this.month = readText(o, "month");
    this.spent = readFloat(o, "spent");
    this.at_unix_ms = readInt(o, "at_unix_ms");
    this.rate = readFloat(o, "rate");
    this.next = readText(o, "next");
    this.others = readTextsMap(o, "others");
    this.known = readInt(o, "known");
  }

  write(w: Writer): void {
    w.text("month", this.month);
    w.float("spent", this.spent);
    w.int("at_unix_ms", this.at_unix_ms);
    w.float("rate", this.rate);
    w.textUnlessEmpty("next", this.next);
    w.textsMapUnlessEmpty("others", this.others);
    w.int("known", this.known);
  }
}

// Machines of unusual types that are remembered one by one: about 64 bytes each.
const MOST_OTHERS = 900;

const HOUR_MS: f64 = 3600000;

class Budget extends Policy {
  describe(): Description {
    const d = new Description();
    d.name = "budget";
    d.version = "1.0.0";
    d.summary = "creates no machine that would exceed a cost per hour or per month";
    d.position = 950; // after all that want something
    d.want_machines = true;
    return d;
  }

  validate(request: ValidateRequest): Problem[] {
    const problems = unknownFields(request.config, ["prices", "type", "option", "per_hour", "per_month"]);
    const config = new Config();
    const wrong = decodeValue(config, request.config);
    if (wrong.length) return [Problem.of("", wrong)];
    if (!config.prices.has(config.type)) problems.push(Problem.of("type", "'" + config.type + "' has no price; name it in [config.prices]"));
    const types = config.prices.keys();
    for (let i = 0; i < types.length; i++) {
      if (!(config.prices.get(types[i]) > 0)) problems.push(Problem.of("prices." + types[i], "must be more than 0"));
    }
    if (config.per_hour < 0 || config.per_month < 0) problems.push(Problem.of("per_hour", "a budget can't be negative; leave it out for none"));
    if (config.per_hour == 0 && config.per_month == 0) problems.push(Problem.of("per_month", "there is no budget; give per_hour, per_month or both"));
    return problems;
  }

  decide(s: Snapshot): Proposal {
    const out = new Proposal();
    const config = new Config();
    const wrong = decodeValue(config, s.config);
    if (wrong.length) fail(wrong);
    else if (!config.prices.has(config.type)) fail("the type '" + config.type + "' has no price in the configuration");
    else spend(s, config, out);
    return out;
  }
}

registerPolicy(new Budget());

// Takes the machines into account and says what the budget still allows. It fails when that is nothing: the policy is required, and so its failure
// stops growth.
function spend(s: Snapshot, config: Config, out: Proposal): void {
  const memory = new Memory();
  if (decode(memory, s.state).length) memory.known = 0; // none yet, or that of another version
  const next = chosenType(s, config);
  const others = unusual(s, config, memory);
  const rate = costOf(s, config, others);
  const month = s.now.substring(0, 7);

  const passed = max(0.0, <f64>(s.now_unix_ms - memory.at_unix_ms) / HOUR_MS);
  if (!memory.known || memory.month != month) memory.spent = 0;
  // Between two decisions the number of machines changed somehow: take the mean. Of a month that has begun since, only its own part counts.
  if (memory.known) memory.spent += (min(passed, hoursOfMonth(s.now)) * (memory.rate + rate)) / 2;
  memory.month = month;
  memory.at_unix_ms = s.now_unix_ms;
  memory.rate = rate;
  memory.next = next;
  memory.others = others;
  memory.known = 1;

  const price = config.price(next);
  if (config.per_month > 0 && memory.spent >= config.per_month) {
    fail("the month's budget of " + money(config.per_month) + " is spent; no machine is created until the next month (UTC)");
    return;
  }
  const reason = s.fleet.total.toString() + " machines cost " + money(rate) + " an hour";
  let room = i64.MAX_VALUE;
  if (config.per_hour > 0) {
    room = <i64>Math.floor((config.per_hour - rate) / price + 1e-9);
    if (room < 1) {
      fail(reason + ", and one more at " + money(price) + " would exceed the " + money(config.per_hour) + " allowed; no machine is created");
      return;
    }
    const limit = s.fleet.creating + room;
    const before = s.proposal.growth_limit;
    if (before == ABSENT || before <= 0 || limit < before) out.growth_limit = limit;
    if (s.proposal.idle_target != ABSENT) out.idle_target = min(s.proposal.idle_target, s.fleet.available + room);
  }
  const w = new Writer();
  w.whole(memory);
  out.state = w.toString();
  out.metrics.set("cost_per_hour", cents(rate));
  out.metrics.set("spent_this_month", cents(memory.spent));
  out.reason = (s.proposal.reason.length ? s.proposal.reason + "; " : "") + reason + ", " + money(memory.spent) + " this month";
}

// The type of the next machine: what a policy before this one chose, or the usual one.
function chosenType(s: Snapshot, config: Config): string {
  if (!config.option.length || !s.proposal.next_machine.has(config.option)) return config.type;
  const values = s.proposal.next_machine.get(config.option);
  return values.length ? values[values.length - 1] : config.type;
}

// Notes which machines are of another type than the usual one: those that came since the last decision got the type that was chosen then.
function unusual(s: Snapshot, config: Config, memory: Memory): Map<string, string[]> {
  const before = new Map<string, string>();
  const types = memory.others.keys();
  for (let i = 0; i < types.length; i++) {
    const names = memory.others.get(types[i]);
    for (let j = 0; j < names.length; j++) before.set(names[j], types[i]);
  }
  const since = memory.known ? <f64>(s.now_unix_ms - memory.at_unix_ms) / 1000 : 0.0;
  const out = new Map<string, string[]>();
  for (let i = 0, count = 0; i < s.machines.length && count < MOST_OTHERS; i++) {
    const m = s.machines[i];
    let type = config.type;
    if (before.has(m.name)) type = before.get(m.name);
    else if (m.age_s <= since) type = memory.next;
    if (type == config.type) continue;
    if (!out.has(type)) out.set(type, []);
    out.get(type).push(m.name);
    count++;
  }
  return out;
}

// The cost of an hour of all machines.
function costOf(s: Snapshot, config: Config, others: Map<string, string[]>): f64 {
  let usual = s.fleet.total;
  let cost: f64 = 0;
  const types = others.keys();
  for (let i = 0; i < types.length; i++) {
    const n = others.get(types[i]).length;
    usual -= n;
    cost += <f64>n * config.price(types[i]);
  }
  return cost + <f64>max(usual, 0) * config.price(config.type);
}

// Hours since the month began, by an instant such as 2026-08-20T10:00:00.123Z.
function hoursOfMonth(now: string): f64 {
  const day = I32.parseInt(now.substring(8, 10));
  const hour = I32.parseInt(now.substring(11, 13));
  const minute = I32.parseInt(now.substring(14, 16));
  const second = I32.parseInt(now.substring(17, 19));
  return <f64>(day - 1) * 24 + <f64>hour + <f64>minute / 60 + <f64>second / 3600;
}

function cents(n: f64): f64 {
  return Math.floor(n * 100 + 0.5) / 100;
}

// Writes an amount with two digits after the point.
function money(n: f64): string {
  const whole = <i64>Math.floor(n * 100 + 0.5);
  const fraction = whole % 100;
  return (whole / 100).toString() + (fraction < 10 ? ".0" : ".") + fraction.toString();
}
