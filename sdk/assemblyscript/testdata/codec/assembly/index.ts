// A policy that runs the vectors of hostfuncs/vectors/codec: its configuration names the kind of a payload and gives its text, and it returns what it
// writes after reading that as state. It also does what a test of the boundary asks for.

import {
  CheckRequest, CheckResult, ConnectInfo, ConnectRequest, CreateRequest, DecreaseRequest, DecreaseResult, Description, GroupInfo, GroupRequest, HttpRequest, HttpResponse,
  IncreaseRequest, IncreaseResult, Instance, ListRequest, ListResult, LogRecord, ObserveRequest, Outcome, Policy, Proposal, RemoveRequest, Shape,
  Snapshot, ValidateRequest, ValidateResult, Value, Writer, decode, fail, httpSend, log, registerPolicy,
} from "millwright/assembly";

export * from "millwright/assembly/policy";

class Codec extends Policy {
  describe(): Description {
    const d = new Description();
    d.name = "codec";
    return d;
  }

  decide(s: Snapshot): Proposal {
    const out = new Proposal();
    out.state = again(s.config.get("kind").text, s.config.get("input").text);
    return out;
  }

  observe(r: ObserveRequest): Value | null {
    const kind = r.config.get("kind").text;
    const order = r.config.get("input").text;
    if (kind == "panic") throw new Error(order);
    if (kind == "log") log("info", order, new Map<string, string>().set("from", "assemblyscript"));
    else if (kind == "send") return send(order);
    else if (kind != "nothing") fail('no order "' + kind + '"');
    return null;
  }
}

registerPolicy(new Codec());

function send(url: string): Value | null {
  const answer = httpSend(HttpRequest.of("POST", url, "ping"));
  const error = answer.error;
  if (error !== null) {
    fail(error.kind + ": " + error.message);
    return null;
  }
  return Value.ofText(answer.status.toString() + " " + answer.text());
}

function through<T extends Shape>(text: string): string {
  const v = instantiate<T>();
  const wrong = decode(v, text);
  if (wrong.length) fail(wrong);
  const w = new Writer();
  w.whole(v);
  return w.toString();
}

// Reads a payload of a kind and writes it again.
function again(kind: string, text: string): string {
  if (kind == "check_request") return through<CheckRequest>(text);
  if (kind == "check_result") return through<CheckResult>(text);
  if (kind == "connect_info") return through<ConnectInfo>(text);
  if (kind == "connect_request") return through<ConnectRequest>(text);
  if (kind == "create_request") return through<CreateRequest>(text);
  if (kind == "decrease_request") return through<DecreaseRequest>(text);
  if (kind == "decrease_result") return through<DecreaseResult>(text);
  if (kind == "describe") return through<Description>(text);
  if (kind == "group_info") return through<GroupInfo>(text);
  if (kind == "group_request") return through<GroupRequest>(text);
  if (kind == "http_request") return through<HttpRequest>(text);
  if (kind == "http_response") return through<HttpResponse>(text);
  if (kind == "increase_request") return through<IncreaseRequest>(text);
  if (kind == "increase_result") return through<IncreaseResult>(text);
  if (kind == "instance") return through<Instance>(text);
  if (kind == "list_request") return through<ListRequest>(text);
  if (kind == "list_result") return through<ListResult>(text);
  if (kind == "log_record") return through<LogRecord>(text);
  if (kind == "observe_request") return through<ObserveRequest>(text);
  if (kind == "proposal") return through<Proposal>(text);
  if (kind == "remove_request") return through<RemoveRequest>(text);
  if (kind == "result") return through<Outcome>(text);
  if (kind == "snapshot") return through<Snapshot>(text);
  if (kind == "validate_request") return through<ValidateRequest>(text);
  if (kind == "validate_result") return through<ValidateResult>(text);
  fail("the kind " + kind + " is not known");
  return "";
}
