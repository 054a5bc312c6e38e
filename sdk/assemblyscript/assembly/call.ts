// What policies and drivers share: the course of one call of an export.

import { failure, output } from "./guest";
import { decode } from "./read";
import { Shape } from "./shape";
import { Writer } from "./write";
import { Value } from "./value";
import { Problem } from "./description";
import { Kind } from "./value";

/** The version of the ABI that this package speaks. */
export const ABI: i64 = 1;

let failed: bool = false;
let why: string = "";

/**
 * Makes the call that is under way a failure, whatever it returns: the host skips the policy this time and shows people the reason. It is the way
 * to say that something is amiss, since the language has no exceptions; throw ends the guest and counts towards quarantine.
 */
export function fail(reason: string): void {
  if (!failed) why = reason;
  failed = true;
}

/** Starts a call. */
export function begin(): void {
  failed = false;
  why = "";
}

export function hasFailed(): bool {
  return failed;
}

/** Reads the input of an export into a new T. What is wrong with it makes the call a failure. */
export function request<T extends Shape>(name: string, text: string): T {
  const out = instantiate<T>();
  const wrong = decode(out, text);
  if (wrong.length) fail(name + ": input: " + wrong);
  return out;
}

/** Ends a call with its output. It returns what the export does. */
export function finish(name: string, result: Shape): i32 {
  const w = new Writer();
  if (!failed) w.whole(result);
  if (w.fault.length) fail(name + ": output: " + w.fault);
  return finishWith(w.toString());
}

export function finishWith(text: string): i32 {
  if (failed) {
    failure(why);
    return 1;
  }
  output(text);
  return 0;
}

/** Lists the members of a configuration that are none of known, as problems for validate: most often they are spelling mistakes. */
export function unknownFields(config: Value, known: string[]): Problem[] {
  const out: Problem[] = [];
  if (config.kind != Kind.Object) return out;
  for (let i = 0; i < config.names.length; i++) {
    const name = config.names[i];
    if (!known.includes(name)) out.push(Problem.of(name, "is not known; there are " + known.join(", ")));
  }
  return out;
}
