// Writing typed classes as JSON: the same bytes for the same values.

import { encodeBase64 } from "./base64";
import { formatFloat } from "./number";
import { ABSENT, Shape } from "./shape";
import { Kind, Value } from "./value";

/** Writes JSON. What comes between open and close are members of an object. */
export class Writer {
  /** What could not be written; "" while all is well. */
  fault: string = "";
  private parts: string[] = [];
  private first: bool = true;

  toString(): string {
    return this.parts.join("");
  }

  open(): void {
    this.parts.push("{");
    this.first = true;
  }

  close(): void {
    this.parts.push("}");
    this.first = false;
  }

  private name(name: string): void {
    if (!this.first) this.parts.push(",");
    this.first = false;
    this.quote(name);
    this.parts.push(":");
  }

  private number(n: f64): void {
    if (!isFinite(n) && !this.fault.length) this.fault = n.toString() + " is no number that JSON can write";
    this.parts.push(isFinite(n) ? formatFloat(n) : "null");
  }

  // Writes a string piece by piece: what is plain is not copied before the end.
  private quote(s: string): void {
    this.parts.push('"');
    let start = 0;
    for (let i = 0; i < s.length; i++) {
      const c = <i32>load<u16>(changetype<usize>(s) + (<usize>i << 1));
      if (c >= 0x20 && c != 0x22 && c != 0x5c) continue;
      if (i > start) this.parts.push(s.substring(start, i));
      this.parts.push(escape(c));
      start = i + 1;
    }
    this.parts.push(start ? s.substring(start) : s);
    this.parts.push('"');
  }

  int(name: string, n: i64): void {
    this.name(name);
    this.parts.push(n.toString());
  }

  intUnlessZero(name: string, n: i64): void {
    if (n != 0) this.int(name, n);
  }

  optionalInt(name: string, n: i64): void {
    if (n != ABSENT) this.int(name, n);
  }

  float(name: string, n: f64): void {
    this.name(name);
    this.number(n);
  }

  floatUnlessZero(name: string, n: f64): void {
    if (n != 0) this.float(name, n);
  }

  /** NaN is absent. */
  optionalFloat(name: string, n: f64): void {
    if (!isNaN(n)) this.float(name, n);
  }

  bool(name: string, b: bool): void {
    this.name(name);
    this.parts.push(b ? "true" : "false");
  }

  boolUnlessFalse(name: string, b: bool): void {
    if (b) this.bool(name, b);
  }

  /** 1 or 0; ABSENT is absent. */
  optionalBool(name: string, b: i64): void {
    if (b != ABSENT) this.bool(name, b != 0);
  }

  text(name: string, s: string): void {
    this.name(name);
    this.quote(s);
  }

  textUnlessEmpty(name: string, s: string): void {
    if (s.length) this.text(name, s);
  }

  optionalText(name: string, s: string | null): void {
    if (s !== null) this.text(name, s);
  }

  bytesUnlessEmpty(name: string, b: Uint8Array): void {
    if (b.length) this.text(name, encodeBase64(b));
  }

  /** Null is absent. */
  value(name: string, v: Value): void {
    if (v.isNull()) return;
    this.name(name);
    this.raw(v);
  }

  raw(v: Value): void {
    switch (v.kind) {
      case Kind.Null: this.parts.push("null"); break;
      case Kind.Bool: this.parts.push(v.bool ? "true" : "false"); break;
      case Kind.Number: this.parts.push(v.text); break;
      case Kind.Text: this.quote(v.text); break;
      case Kind.List: {
        this.parts.push("[");
        for (let i = 0; i < v.items.length; i++) {
          if (i) this.parts.push(",");
          this.raw(v.items[i]);
        }
        this.parts.push("]");
        break;
      }
      case Kind.Object: {
        this.open();
        for (let i = 0; i < v.names.length; i++) {
          this.name(v.names[i]);
          this.raw(v.items[i]);
        }
        this.close();
      }
    }
  }

  shape(name: string, v: Shape): void {
    this.name(name);
    this.whole(v);
  }

  optionalShape(name: string, v: Shape | null): void {
    if (v !== null) this.shape(name, v);
  }

  whole(v: Shape): void {
    this.open();
    v.write(this);
    this.close();
  }

  texts(name: string, all: string[]): void {
    this.name(name);
    this.parts.push("[");
    for (let i = 0; i < all.length; i++) {
      if (i) this.parts.push(",");
      this.quote(all[i]);
    }
    this.parts.push("]");
  }

  textsUnlessEmpty(name: string, all: string[]): void {
    if (all.length) this.texts(name, all);
  }

  ints(name: string, all: i64[]): void {
    this.name(name);
    this.parts.push("[");
    for (let i = 0; i < all.length; i++) {
      if (i) this.parts.push(",");
      this.parts.push(all[i].toString());
    }
    this.parts.push("]");
  }

  floats(name: string, all: f64[]): void {
    this.name(name);
    this.parts.push("[");
    for (let i = 0; i < all.length; i++) {
      if (i) this.parts.push(",");
      this.number(all[i]);
    }
    this.parts.push("]");
  }

  shapes<T extends Shape>(name: string, all: T[]): void {
    this.name(name);
    this.parts.push("[");
    for (let i = 0; i < all.length; i++) {
      if (i) this.parts.push(",");
      this.whole(all[i]);
    }
    this.parts.push("]");
  }

  shapesUnlessEmpty<T extends Shape>(name: string, all: T[]): void {
    if (all.length) this.shapes<T>(name, all);
  }

  textMapUnlessEmpty(name: string, all: Map<string, string>): void {
    if (!all.size) return;
    this.name(name);
    this.open();
    const names = sorted(all.keys());
    for (let i = 0; i < names.length; i++) this.text(names[i], all.get(names[i]));
    this.close();
  }

  floatMapUnlessEmpty(name: string, all: Map<string, f64>): void {
    if (!all.size) return;
    this.name(name);
    this.open();
    const names = sorted(all.keys());
    for (let i = 0; i < names.length; i++) this.float(names[i], all.get(names[i]));
    this.close();
  }

  textsMap(name: string, all: Map<string, string[]>): void {
    this.name(name);
    this.open();
    const names = sorted(all.keys());
    for (let i = 0; i < names.length; i++) this.texts(names[i], all.get(names[i]));
    this.close();
  }

  textsMapUnlessEmpty(name: string, all: Map<string, string[]>): void {
    if (all.size) this.textsMap(name, all);
  }
}

// In the order of code points. Only where one has a surrogate and the other has not does that differ from the order of UTF-16.
function sorted(names: string[]): string[] {
  return names.sort((a, b) => {
    const n = min(a.length, b.length);
    for (let i = 0; i < n; i++) {
      const x = a.charCodeAt(i);
      const y = b.charCodeAt(i);
      if (x == y) continue;
      const high = (x & 0xf800) == 0xd800;
      if (high != ((y & 0xf800) == 0xd800)) return high ? 1 : -1;
      return x - y;
    }
    return a.length - b.length;
  });
}

function escape(c: i32): string {
  switch (c) {
    case 0x22: return '\\"';
    case 0x5c: return "\\\\";
    case 0x08: return "\\b";
    case 0x0c: return "\\f";
    case 0x0a: return "\\n";
    case 0x0d: return "\\r";
    case 0x09: return "\\t";
  }
  return "\\u00" + (c < 0x10 ? "0" : "") + c.toString(16);
}
