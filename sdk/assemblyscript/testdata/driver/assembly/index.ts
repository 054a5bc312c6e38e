// A driver for the cloud of driver_test.go in sdk: machines of an owner by their names, over HTTP, with a token that the host signs with.

import {
  CreateRequest, Description, Driver, DriverError, DriverOption, HttpRequest, HttpResponse, Instance, ListRequest, ListResult, Parser, Problem, RemoveRequest, Sign,
  ValidateRequest, Value, httpSend, readText, registerDriver,
} from "millwright/assembly";

export * from "millwright/assembly/driver";

class Tiny extends Driver {
  describe(): Description {
    const d = new Description();
    d.name = "tiny";
    d.hostnames = ["http://127.0.0.1:*"];
    d.options = [
      option("tiny-url", "", true, "where the cloud is"),
      option("tiny-size", "small", false, "small or large"),
      option("tiny-fail", "", false, "the status that the cloud answers with"),
    ];
    return d;
  }

  validate(r: ValidateRequest): Problem[] {
    const size = one(r.options, "tiny-size");
    return size == "small" || size == "large" ? [] : [Problem.of("tiny-size", '"' + size + '" is no size; use small or large')];
  }

  create(r: CreateRequest): Instance {
    const answer = this.ask("PUT", r.options, r.owner.id, r.name, one(r.options, "tiny-size"));
    return answer === null ? new Instance() : instance(new Parser(answer.text()).parse());
  }

  list(r: ListRequest): ListResult {
    const out = new ListResult();
    const answer = this.ask("GET", r.options, r.all_owners ? "all" : r.owner.id, "", "");
    if (answer === null) return out;
    const servers = new Parser(answer.text()).parse().items;
    for (let i = 0; i < servers.length; i++) out.instances.push(instance(servers[i]));
    out.complete = !answer.header("x-partial").length;
    return out;
  }

  remove(r: RemoveRequest): void {
    this.ask("DELETE", r.options, r.owner.id, r.name, "");
    const error = this.error;
    if (error !== null && error.kind == "not_found") this.error = null;
  }

  // Sends one request. What is no success becomes the call's error, and null is returned.
  ask(method: string, options: Map<string, string[]>, owner: string, name: string, body: string): HttpResponse | null {
    const request = HttpRequest.of(method, one(options, "tiny-url") + "/" + owner + "/" + name + "?fail=" + one(options, "tiny-fail"), body);
    request.sign = Sign.of("header", "cloud");
    const answer = httpSend(request);
    const none = answer.error;
    if (none !== null) {
      this.error = DriverError.ofHttp(none);
      return null;
    }
    if (answer.status == 200) return answer;
    const error = DriverError.of(kindOf(<i32>answer.status), answer.text());
    error.code = answer.status.toString();
    const wait = answer.header("retry-after");
    if (wait.length) error.retry_after_s = I64.parseInt(wait);
    this.error = error;
    return null;
  }
}

registerDriver(new Tiny());

function option(name: string, value: string, required: bool, help: string): DriverOption {
  const o = new DriverOption();
  o.name = name;
  o.type = "string";
  o.default = value;
  o.required = required;
  o.help = help;
  return o;
}

// The value of an option that has one.
function one(options: Map<string, string[]>, name: string): string {
  if (!options.has(name)) return "";
  const values = options.get(name);
  return values.length ? values[0] : "";
}

function instance(server: Value): Instance {
  const out = new Instance();
  const state = readText(server, "state");
  out.name = readText(server, "name");
  out.owner = readText(server, "owner");
  out.id = readText(server, "id");
  out.status = state == "BOOTING" ? "creating" : state == "ACTIVE" ? "running" : "unknown";
  out.address = readText(server, "ip");
  out.state = Value.object().set("zone", Value.ofText("a"));
  return out;
}

function kindOf(status: i32): string {
  switch (status) {
    case 401:
    case 403: return "auth";
    case 404: return "not_found";
    case 409: return "conflict";
    case 422: return "invalid";
    case 429: return "rate_limited";
    case 503: return "capacity";
    case 507: return "quota";
  }
  return "transient";
}
