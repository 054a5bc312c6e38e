// JSON as a tree, for what has no fixed shape and on the way to what has one.

import { formatFloat, parseFloat64 } from "./number";

/** What a Value is. */
export enum Kind {
  Null,
  Bool,
  Number,
  Text,
  List,
  Object,
}

const NO_VALUES: Value[] = [];
const NO_NAMES: string[] = [];

/** Any JSON value. A new one is null. */
export class Value {
  kind: Kind = Kind.Null;
  bool: bool = false;
  /** Of a text; of a number, as it was written. */
  text: string = "";
  /** Of a list; of an object, beside names. */
  items: Value[] = NO_VALUES;
  /** Of an object, in the order in which they were written. Of several with one name the last counts. */
  names: string[] = NO_NAMES;

  static ofBool(b: bool): Value {
    const v = new Value();
    v.kind = Kind.Bool;
    v.bool = b;
    return v;
  }

  static ofInt(n: i64): Value {
    const v = new Value();
    v.kind = Kind.Number;
    v.text = n.toString();
    return v;
  }

  /** Of a number that is infinite or none at all, null. */
  static ofFloat(n: f64): Value {
    const v = new Value();
    if (!isFinite(n)) return v;
    v.kind = Kind.Number;
    v.text = formatFloat(n);
    return v;
  }

  static ofText(s: string): Value {
    const v = new Value();
    v.kind = Kind.Text;
    v.text = s;
    return v;
  }

  static list(items: Value[] = []): Value {
    const v = new Value();
    v.kind = Kind.List;
    v.items = items;
    return v;
  }

  static object(): Value {
    const v = new Value();
    v.kind = Kind.Object;
    v.items = [];
    v.names = [];
    return v;
  }

  isNull(): bool {
    return this.kind == Kind.Null;
  }

  /** Adds a member to an object. */
  set(name: string, v: Value): Value {
    this.names.push(name);
    this.items.push(v);
    return this;
  }

  /** The member of an object with that name; a null value when there is none, or this is no object. */
  get(name: string): Value {
    for (let i = this.names.length - 1; i >= 0; i--) {
      if (this.names[i] == name) return this.items[i];
    }
    return new Value();
  }

  /** Tells whether this is a number without fraction and exponent that an i64 holds. */
  isInt(): bool {
    if (this.kind != Kind.Number) return false;
    const negative = this.text.charCodeAt(0) == 0x2d;
    const digits = this.text.length - (negative ? 1 : 0);
    if (digits > 19) return false;
    let n: u64 = 0;
    for (let i = negative ? 1 : 0; i < this.text.length; i++) {
      const c = this.text.charCodeAt(i) - 0x30;
      if (c < 0 || c > 9) return false;
      n = n * 10 + c; // 19 digits fit
    }
    return n <= (<u64>i64.MAX_VALUE) + (negative ? 1 : 0);
  }

  /** The number, 0 when isInt says no. */
  asInt(): i64 {
    return this.isInt() ? I64.parseInt(this.text) : 0;
  }

  /** The number, which is infinite when it lies beyond all bounds; NaN of what is no number. */
  asFloat(): f64 {
    return this.kind == Kind.Number ? parseFloat64(this.text) : NaN;
  }

  /** What it is, for messages. */
  about(): string {
    switch (this.kind) {
      case Kind.Bool: return "a boolean";
      case Kind.Number: return this.text;
      case Kind.Text: return "a string";
      case Kind.List: return "a list";
      case Kind.Object: return "an object";
      default: return "null";
    }
  }
}
