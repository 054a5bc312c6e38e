// The exports of a driver: the entry file of one has export * from "millwright/assembly/driver".

import { ABI, begin, fail, finish, finishWith, hasFailed, request } from "./call";
import { ValidateRequest, ValidateResult } from "./description";
import { input } from "./guest";
import { CheckRequest, CreateRequest, ListRequest, Outcome, RemoveRequest } from "./instance";
import { registeredDriver } from "./register";
import { Shape } from "./shape";
import { Writer } from "./write";

export function describe(): i32 {
  begin();
  const d = registeredDriver().describe();
  d.abi = ABI;
  d.kind = "driver";
  return finish("describe", d);
}

export function validate(): i32 {
  begin();
  const asked = request<ValidateRequest>("validate", input());
  const result = new ValidateResult();
  if (!hasFailed()) result.problems = registeredDriver().validate(asked);
  return answer("validate", result);
}

export function create(): i32 {
  begin();
  registeredDriver().error = null;
  const asked = request<CreateRequest>("create", input());
  return hasFailed() ? finishWith("") : answer("create", registeredDriver().create(asked));
}

export function list(): i32 {
  begin();
  registeredDriver().error = null;
  const asked = request<ListRequest>("list", input());
  return hasFailed() ? finishWith("") : answer("list", registeredDriver().list(asked));
}

export function remove(): i32 {
  begin();
  registeredDriver().error = null;
  const asked = request<RemoveRequest>("remove", input());
  if (hasFailed()) return finishWith("");
  registeredDriver().remove(asked);
  return answer("remove", new Shape());
}

export function check(): i32 {
  begin();
  registeredDriver().error = null;
  const asked = request<CheckRequest>("check", input());
  return hasFailed() ? finishWith("") : answer("check", registeredDriver().check(asked));
}

export function start(): i32 {
  return turn("start");
}

export function stop(): i32 {
  return turn("stop");
}

export function restart(): i32 {
  return turn("restart");
}

export function kill(): i32 {
  return turn("kill");
}

function turn(op: string): i32 {
  begin();
  registeredDriver().error = null;
  const asked = request<RemoveRequest>(op, input());
  if (hasFailed()) return finishWith("");
  registeredDriver().switchMachine(op, asked);
  return answer(op, new Shape());
}

export function logs(): i32 {
  begin();
  registeredDriver().error = null;
  const asked = request<RemoveRequest>("logs", input());
  if (hasFailed()) return finishWith("");
  const text = registeredDriver().logs(asked);
  if (registeredDriver().error !== null) return answer("logs", new Shape());
  const w = new Writer();
  w.open();
  w.text("ok", text);
  w.close();
  return finishWith(w.toString());
}

// Puts the outcome of a call into its envelope.
function answer(name: string, result: Shape): i32 {
  const error = registeredDriver().error;
  if (error !== null) {
    const outcome = new Outcome();
    outcome.error = error;
    return finish(name, outcome);
  }
  const w = new Writer();
  w.open();
  w.shape("ok", result);
  w.close();
  if (w.fault.length) fail(name + ": output: " + w.fault);
  return finishWith(w.toString());
}
