import { Kind, Value } from "./value";

// How deep lists and objects may nest: a guest's stack is small.
const MAX_DEPTH = 64;

/**
 * Reads one JSON value and nothing else around it but white space. fault says what was found where; the value is then null.
 *
 * A \u escape that is half of a surrogate pair becomes U+FFFD.
 */
export class Parser {
  fault: string = "";
  private at: i32 = 0;

  constructor(private source: string) {}

  parse(): Value {
    this.space();
    const v = this.value(0);
    this.space();
    if (!this.fault.length && this.at < this.source.length) this.unexpected("the end");
    return this.fault.length ? new Value() : v;
  }

  // The next code unit, -1 at the end and after a fault.
  private peek(): i32 {
    if (this.at >= this.source.length || this.fault.length) return -1;
    return this.source.charCodeAt(this.at);
  }

  private space(): void {
    for (let c = this.peek(); c == 0x20 || c == 0x0a || c == 0x09 || c == 0x0d; c = this.peek()) this.at++;
  }

  private unexpected(wanted: string): void {
    if (this.fault.length) return;
    const found = this.at < this.source.length ? "'" + this.source.charAt(this.at) + "'" : "the end";
    this.fault = "no JSON: " + found + " at character " + this.at.toString() + ", where " + wanted + " should be";
  }

  private value(depth: i32): Value {
    const c = this.peek();
    if (c == 0x7b) return this.object(depth);
    if (c == 0x5b) return this.list(depth);
    if (c == 0x22) return Value.ofText(this.string());
    if (c == 0x2d || (c >= 0x30 && c <= 0x39)) return this.number();
    if (c == 0x74) return this.word("true", Value.ofBool(true));
    if (c == 0x66) return this.word("false", Value.ofBool(false));
    if (c == 0x6e) return this.word("null", new Value());
    this.unexpected("a value");
    return new Value();
  }

  private word(word: string, v: Value): Value {
    if (this.source.substr(this.at, word.length) != word) this.unexpected("a value");
    this.at += word.length;
    return v;
  }

  // Goes into a list or object; tells whether there is anything in it.
  private open(depth: i32, end: i32): bool {
    if (depth >= MAX_DEPTH) {
      this.fault = "JSON nests deeper than " + MAX_DEPTH.toString() + " at character " + this.at.toString();
      return false;
    }
    this.at++;
    this.space();
    if (this.peek() != end) return true;
    this.at++;
    return false;
  }

  // Goes on behind an element; tells whether another one follows.
  private next(end: i32): bool {
    this.space();
    const c = this.peek();
    if (c != 0x2c && c != end) {
      this.unexpected("a comma or the end of the list or object");
      return false;
    }
    this.at++;
    this.space();
    return c == 0x2c;
  }

  private list(depth: i32): Value {
    const out = Value.list();
    let more = this.open(depth, 0x5d);
    while (more) {
      out.items.push(this.value(depth + 1));
      more = this.next(0x5d);
    }
    return out;
  }

  private object(depth: i32): Value {
    const out = Value.object();
    let more = this.open(depth, 0x7d);
    while (more) {
      if (this.peek() != 0x22) this.unexpected("a name");
      const name = this.string();
      this.space();
      if (this.peek() != 0x3a) this.unexpected("a colon");
      this.at++;
      this.space();
      out.set(name, this.value(depth + 1));
      more = this.next(0x7d);
    }
    return out;
  }

  private digits(): void {
    const start = this.at;
    for (let c = this.peek(); c >= 0x30 && c <= 0x39; c = this.peek()) this.at++;
    if (this.at == start) this.unexpected("a digit");
  }

  private number(): Value {
    const start = this.at;
    if (this.peek() == 0x2d) this.at++;
    if (this.peek() == 0x30) this.at++;
    else this.digits();
    if (this.peek() == 0x2e) {
      this.at++;
      this.digits();
    }
    let c = this.peek();
    if (c == 0x65 || c == 0x45) {
      this.at++;
      c = this.peek();
      if (c == 0x2b || c == 0x2d) this.at++;
      this.digits();
    }
    const v = new Value();
    v.kind = Kind.Number;
    v.text = this.source.substring(start, this.at);
    return v;
  }

  private string(): string {
    this.at++;
    let out = "";
    while (true) {
      const start = this.at;
      let c = this.peek();
      while (c >= 0x20 && c != 0x22 && c != 0x5c) {
        this.at++;
        c = this.peek();
      }
      const plain = this.source.substring(start, this.at);
      if (c == 0x22) {
        this.at++;
        return out.length ? out + plain : plain;
      }
      out += plain;
      if (c != 0x5c) {
        this.unexpected("the end of a string");
        return out;
      }
      this.at++;
      out += this.escape();
    }
  }

  private escape(): string {
    const c = this.peek();
    if (c == 0x75) return this.unicode();
    this.at++;
    switch (c) {
      case 0x22: return '"';
      case 0x5c: return "\\";
      case 0x2f: return "/";
      case 0x62: return "\b";
      case 0x66: return "\f";
      case 0x6e: return "\n";
      case 0x72: return "\r";
      case 0x74: return "\t";
    }
    this.at--;
    this.unexpected("an escaped character");
    return "";
  }

  // Reads the uXXXX of an escape, and of a second one when both make one character.
  private unicode(): string {
    this.at++;
    const first = this.hex4();
    if (first < 0xd800 || first > 0xdfff) return String.fromCharCode(first);
    if (first < 0xdc00 && this.source.substr(this.at, 2) == "\\u") {
      const back = this.at;
      this.at += 2;
      const second = this.hex4();
      if (second >= 0xdc00 && second <= 0xdfff) return String.fromCharCode(first, second);
      this.at = back;
    }
    return "\ufffd";
  }

  private hex4(): i32 {
    let n = 0;
    for (let i = 0; i < 4; i++) {
      const c = this.peek() | 0x20;
      if (c >= 0x30 && c <= 0x39 && this.peek() == c) n = n * 16 + c - 0x30;
      else if (c >= 0x61 && c <= 0x66) n = n * 16 + c - 0x57;
      else {
        this.unexpected("a hexadecimal digit");
        return 0;
      }
      this.at++;
    }
    return n;
  }
}
