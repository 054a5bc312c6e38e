// The exports of a policy: the entry file of one has export * from "millwright/assembly/policy".

import { ABI, begin, finish, finishWith, hasFailed, request } from "./call";
import { ValidateRequest, ValidateResult } from "./description";
import { input } from "./guest";
import { registeredPolicy } from "./register";
import { ObserveRequest, Snapshot } from "./snapshot";
import { Proposal } from "./proposal";
import { Writer } from "./write";

export function describe(): i32 {
  begin();
  const d = registeredPolicy().describe();
  d.abi = ABI;
  d.kind = "policy";
  return finish("describe", d);
}

export function decide(): i32 {
  begin();
  const snapshot = request<Snapshot>("decide", input());
  return finish("decide", hasFailed() ? new Proposal() : registeredPolicy().decide(snapshot));
}

export function validate(): i32 {
  begin();
  const asked = request<ValidateRequest>("validate", input());
  const result = new ValidateResult();
  if (!hasFailed()) result.problems = registeredPolicy().validate(asked);
  return finish("validate", result);
}

export function observe(): i32 {
  begin();
  const asked = request<ObserveRequest>("observe", input());
  if (hasFailed()) return finishWith("");
  const seen = registeredPolicy().observe(asked);
  if (seen === null) return finishWith("");
  const w = new Writer();
  w.raw(seen);
  return finishWith(w.toString());
}
