// What goes through the host functions.

import { readBytes, readInt, readOptionalShape, readText, readTextMap, readTextsMap } from "./read";
import { Shape } from "./shape";
import { Value } from "./value";
import { Writer } from "./write";

/** One line of the agent's log. */
export class LogRecord extends Shape {
  /** debug, info, warn or error. */
  level: string = "";
  message: string = "";
  fields: Map<string, string> = new Map();

  read(o: Value): void {
    this.level = readText(o, "level");
    this.message = readText(o, "message");
    this.fields = readTextMap(o, "fields");
  }

  write(w: Writer): void {
    w.text("level", this.level);
    w.text("message", this.message);
    w.textMapUnlessEmpty("fields", this.fields);
  }
}

/** A request of httpSend. */
export class HttpRequest extends Shape {
  /** Empty means GET. */
  method: string = "";
  /** https://, http://, or http+unix:// with the socket's path percent-encoded as the host. */
  url: string = "";
  headers: Map<string, string[]> = new Map();
  body: Uint8Array = new Uint8Array(0);
  /** 10,000 unless told, 60,000 at most. */
  deadline_ms: i64 = 0;
  sign: Sign | null = null;

  read(o: Value): void {
    this.method = readText(o, "method");
    this.url = readText(o, "url");
    this.headers = readTextsMap(o, "headers");
    this.body = readBytes(o, "body");
    this.deadline_ms = readInt(o, "deadline_ms");
    this.sign = readOptionalShape<Sign>(o, "sign");
  }

  write(w: Writer): void {
    w.text("method", this.method);
    w.text("url", this.url);
    w.textsMapUnlessEmpty("headers", this.headers);
    w.bytesUnlessEmpty("body", this.body);
    w.intUnlessZero("deadline_ms", this.deadline_ms);
    w.optionalShape("sign", this.sign);
  }

  static of(method: string, url: string, body: string = ""): HttpRequest {
    const out = new HttpRequest();
    out.method = method;
    out.url = url;
    out.body = Uint8Array.wrap(String.UTF8.encode(body));
    return out;
  }
}

/** How the host attaches the operator's credentials, which never enter the guest. */
export class Sign extends Shape {
  /** bearer, basic, header, aws4, google-oauth2, azure-ad, keystone or client-tls. */
  scheme: string = "";
  /** Its name in millwright.toml. */
  credential: string = "";
  /** What the scheme wants beside. */
  params: Map<string, string> = new Map();

  static of(scheme: string, credential: string): Sign {
    const out = new Sign();
    out.scheme = scheme;
    out.credential = credential;
    return out;
  }

  read(o: Value): void {
    this.scheme = readText(o, "scheme");
    this.credential = readText(o, "credential");
    this.params = readTextMap(o, "params");
  }

  write(w: Writer): void {
    w.text("scheme", this.scheme);
    w.text("credential", this.credential);
    w.textMapUnlessEmpty("params", this.params);
  }
}

/** The answer to a request, or why there is none. */
export class HttpResponse extends Shape {
  /** Any status is an answer, 400 and more too. */
  status: i64 = 0;
  headers: Map<string, string[]> = new Map();
  body: Uint8Array = new Uint8Array(0);
  error: HttpError | null = null;

  read(o: Value): void {
    this.status = readInt(o, "status");
    this.headers = readTextsMap(o, "headers");
    this.body = readBytes(o, "body");
    this.error = readOptionalShape<HttpError>(o, "error");
  }

  write(w: Writer): void {
    w.intUnlessZero("status", this.status);
    w.textsMapUnlessEmpty("headers", this.headers);
    w.bytesUnlessEmpty("body", this.body);
    w.optionalShape("error", this.error);
  }

  /** The first value of a header, in whatever case its name is written; "" when there is none. */
  header(name: string): string {
    const names = this.headers.keys();
    for (let i = 0; i < names.length; i++) {
      const values = this.headers.get(names[i]);
      if (values.length && names[i].toLowerCase() == name.toLowerCase()) return values[0];
    }
    return "";
  }

  /** The body as text. */
  text(): string {
    return String.UTF8.decode(this.body.buffer.slice(this.body.byteOffset, this.body.byteOffset + this.body.byteLength));
  }
}

/** A request that got no answer. */
export class HttpError extends Shape {
  /** denied, credential, dns, connect, tls, timeout, too_large, invalid or closed. */
  kind: string = "";
  message: string = "";

  read(o: Value): void {
    this.kind = readText(o, "kind");
    this.message = readText(o, "message");
  }

  write(w: Writer): void {
    w.text("kind", this.kind);
    w.text("message", this.message);
  }
}
