// A scaling policy: see README.md for what it decides.

import { Description, Policy, Proposal, Shape, Snapshot, Value, decodeValue, fail, parseConstant, readInt, registerPolicy } from "millwright/assembly";

export * from "millwright/assembly/policy"; // the exports of the module

// How many seconds of the past count: one of those that a snapshot has, 60, 300, 900 and 3600.
const WINDOW: i64 = 300;

// For how many jobs of that time one machine is held.
const JOBS_PER_MACHINE: i64 = 1;

// How many machines are held for them, unless the configuration says otherwise.
const MOST: i64 = 10;

// What [config] of NAME.toml may hold. The host checks it, so that a mistake there is told before the policy is asked.
const SCHEMA = `{
  "type": "object",
  "properties": {
    "most": {"type": "integer", "minimum": 0, "default": 10, "description": "machines to hold available for jobs that came lately"}
  },
  "additionalProperties": false
}`;

/** What NAME.toml says below [config]. */
class Config extends Shape {
  /** Machines to hold available for jobs that came lately. */
  most: i64 = MOST;

  read(o: Value): void {
    this.most = readInt(o, "most", MOST);
  }
}

/** Holds machines for as many jobs as came lately: there will be more. */
class Rule extends Policy {
  describe(): Description {
    const d = new Description();
    d.name = "NAME";
    d.version = "0.1.0";
    d.summary = "holds machines for as many jobs as came lately";
    d.config_schema = parseConstant(SCHEMA);
    return d;
  }

  /** It is pure: the same snapshot gives the same proposal. */
  decide(s: Snapshot): Proposal {
    const out = new Proposal();
    const config = new Config();
    const wrong = decodeValue(config, s.config);
    if (wrong.length) {
      fail(wrong);
      return out;
    }
    const jobs = arrivals(s);
    let target = (jobs + JOBS_PER_MACHINE - 1) / JOBS_PER_MACHINE;
    let why = "";
    if (target > config.most) {
      target = max<i64>(config.most, 0);
      why = ", the most that are allowed";
    }
    if (s.proposal.idle_target > target) { // ABSENT is less than any number
      target = s.proposal.idle_target;
      why = ", as the policies before this one want";
    }
    out.idle_target = target;
    out.reason = jobs.toString() + " jobs came in " + (WINDOW / 60).toString() + " minutes: hold " + target.toString() + " machines available" + why;
    return out;
  }
}

registerPolicy(new Rule());

// How many jobs came in the window.
function arrivals(s: Snapshot): i64 {
  for (let i = 0; i < s.demand.windows.length; i++) {
    if (s.demand.windows[i].seconds == WINDOW) return max<i64>(s.demand.windows[i].arrivals, 0);
  }
  return 0;
}
