// What a policy returns from decide.

import { readBool, readFloat, readFloatMap, readInt, readOptionalBool, readOptionalShape, readOptionalText, readShapes, readText, readTextsMap } from "./read";
import { ABSENT, Shape } from "./shape";
import { Value } from "./value";
import { Writer } from "./write";

/** The output of decide. Every field is optional: an absent one inherits from the module before. Set what you decide. */
export class Proposal extends Shape {
  settings: Settings | null = null;
  /** Machines to hold available (creating, idle and acquired), 0 or more; ABSENT inherits. */
  idle_target: i64 = ABSENT;
  /** With runner.instances: free slots to hold, which count instead of idle_target. */
  idle_slots: i64 = ABSENT;
  /** With runner.instances: 1 to ask for a job only when a slot is free for it, 0 not to; ABSENT inherits. */
  preemptive: i64 = ABSENT;
  /** Machines being created at once; may only tighten MaxGrowthRate. */
  growth_limit: i64 = ABSENT;
  /** Nothing is created, for waiting jobs either; a later module can't take it back. */
  no_growth: bool = false;
  /** Jobs per machine; may only tighten MaxBuilds. */
  max_builds: i64 = ABSENT;
  /** Idle machines to remove now. */
  remove: Removal[] = [];
  /** Option overrides for the next machine, from an allowed list. */
  next_machine: Map<string, string[]> = new Map();
  /** Seconds until the next call at the latest; NaN inherits. */
  ask_again_s: f64 = NaN;
  /** For people. */
  metrics: Map<string, f64> = new Map();
  /** Kept for the module's next call, at most 64 KB; null leaves what there is. */
  state: string | null = null;
  /** Why, in words, one line. */
  reason: string = "";

  read(o: Value): void {
    this.settings = readOptionalShape<Settings>(o, "settings");
    this.idle_target = readInt(o, "idle_target", ABSENT);
    this.idle_slots = readInt(o, "idle_slots", ABSENT);
    this.preemptive = readOptionalBool(o, "preemptive");
    this.growth_limit = readInt(o, "growth_limit", ABSENT);
    this.no_growth = readBool(o, "no_growth");
    this.max_builds = readInt(o, "max_builds", ABSENT);
    this.remove = readShapes<Removal>(o, "remove");
    this.next_machine = readTextsMap(o, "next_machine");
    this.ask_again_s = readFloat(o, "ask_again_s", NaN);
    this.metrics = readFloatMap(o, "metrics");
    this.state = readOptionalText(o, "state");
    this.reason = readText(o, "reason");
  }

  write(w: Writer): void {
    w.optionalShape("settings", this.settings);
    w.optionalInt("idle_target", this.idle_target);
    w.optionalInt("idle_slots", this.idle_slots);
    w.optionalBool("preemptive", this.preemptive);
    w.optionalInt("growth_limit", this.growth_limit);
    w.boolUnlessFalse("no_growth", this.no_growth);
    w.optionalInt("max_builds", this.max_builds);
    w.shapesUnlessEmpty<Removal>("remove", this.remove);
    w.textsMapUnlessEmpty("next_machine", this.next_machine);
    w.optionalFloat("ask_again_s", this.ask_again_s);
    w.floatMapUnlessEmpty("metrics", this.metrics);
    w.optionalText("state", this.state);
    w.textUnlessEmpty("reason", this.reason);
  }
}

/** The four values that periods choose among; ABSENT and NaN inherit. */
export class Settings extends Shape {
  idle_count: i64 = ABSENT;
  idle_count_min: i64 = ABSENT;
  idle_scale_factor: f64 = NaN;
  /** Seconds. */
  idle_time_s: i64 = ABSENT;

  read(o: Value): void {
    this.idle_count = readInt(o, "idle_count", ABSENT);
    this.idle_count_min = readInt(o, "idle_count_min", ABSENT);
    this.idle_scale_factor = readFloat(o, "idle_scale_factor", NaN);
    this.idle_time_s = readInt(o, "idle_time_s", ABSENT);
  }

  write(w: Writer): void {
    w.optionalInt("idle_count", this.idle_count);
    w.optionalInt("idle_count_min", this.idle_count_min);
    w.optionalFloat("idle_scale_factor", this.idle_scale_factor);
    w.optionalInt("idle_time_s", this.idle_time_s);
  }
}

/** Names an idle machine to remove, and why. */
export class Removal extends Shape {
  name: string = "";
  reason: string = "";

  read(o: Value): void {
    this.name = readText(o, "name");
    this.reason = readText(o, "reason");
  }

  write(w: Writer): void {
    w.text("name", this.name);
    w.text("reason", this.reason);
  }

  static of(name: string, reason: string): Removal {
    const out = new Removal();
    out.name = name;
    out.reason = reason;
    return out;
  }
}
