import { Description, Problem, ValidateRequest } from "./description";
import { CheckRequest, CheckResult, CreateRequest, DriverError, Instance, ListRequest, ListResult, RemoveRequest } from "./instance";
import { Proposal } from "./proposal";
import { ObserveRequest, Snapshot } from "./snapshot";
import { Value } from "./value";

/** Proposes how a runner's fleet should scale. fail makes each of its calls a failure. */
export class Policy {
  /** Says who the policy is. abi and kind are filled in. */
  describe(): Description {
    return new Description();
  }

  /** Decide is pure: what it returns depends on the snapshot alone, and so the same snapshot gives the same bytes. It may log. */
  decide(snapshot: Snapshot): Proposal {
    return new Proposal();
  }

  /** Lists what is wrong with the request's config. None means that all is well. */
  validate(request: ValidateRequest): Problem[] {
    return [];
  }

  /**
   * Looks at the world outside by httpSend. The host calls it on a schedule. What it returns, JSON of at most 64 KB, becomes observed in the next
   * snapshots; null leaves what was observed before.
   */
  observe(request: ObserveRequest): Value | null {
    return null;
  }
}

/**
 * Speaks to one provider. Its calls are short and idempotent, with the machine's name as the key. It never sleeps, waits or retries: it asks once and says
 * what became of it, and the host does the rest. To fail, a call sets error and returns anything.
 */
export class Driver {
  error: DriverError | null = null;

  /** Says who the driver is and which options it has. abi and kind are filled in. */
  describe(): Description {
    return new Description();
  }

  /** Lists what is wrong with the options as far as it can be known without asking the provider. */
  validate(request: ValidateRequest): Problem[] {
    return [];
  }

  /** Asks for a machine and returns at once. Called again with the same name it returns the instance that there is. */
  create(request: CreateRequest): Instance {
    return new Instance();
  }

  /** Returns every instance that bears the owner's tag. When a part could not be read the result is not complete. */
  list(request: ListRequest): ListResult {
    return new ListResult();
  }

  /** Deletes the machine and all that was made for it. A machine that is gone already is no failure. */
  remove(request: RemoveRequest): void {}

  /** Tries what the driver needs to be allowed, and makes nothing. A driver without one has no permissions to show. */
  check(request: CheckRequest): CheckResult {
    return new CheckResult();
  }

  /**
   * Does to a machine what op says, for people: start, stop, restart, or kill, a stop that asks nothing of the machine. It asks and returns; a machine
   * that is in that state already is no failure. A driver without one says that it can't.
   */
  switchMachine(op: string, request: RemoveRequest): void {
    const error = DriverError.of("invalid", "this driver can't switch machines off and on");
    error.code = "no_switch";
    this.error = error;
  }

  /** Returns the end of what a machine wrote to its console, for people. A driver without one says that it has none to show. */
  logs(request: RemoveRequest): string {
    const error = DriverError.of("invalid", "this driver's provider keeps no console of a machine");
    error.code = "no_logs";
    this.error = error;
    return "";
  }
}

let policy: Policy = new Policy();
let driver: Driver = new Driver();

/** Makes p the policy of this module. Call it once, at the top level of the entry file, which also has export * from "millwright/assembly/policy". */
export function registerPolicy(p: Policy): void {
  policy = p;
}

/** Makes d the driver of this module. Call it once, at the top level of the entry file, which also has export * from "millwright/assembly/driver". */
export function registerDriver(d: Driver): void {
  driver = d;
}

export function registeredPolicy(): Policy {
  return policy;
}

export function registeredDriver(): Driver {
  return driver;
}
