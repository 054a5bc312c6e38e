// JSON as a tree, for what has no fixed shape and on the way to what has one.

import { formatFloat, integerOf, isInteger, parseFloat64 } from "./number";
import { Parser, Tape } from "./parse";
import { Writer } from "./write";

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

/** Any JSON value. A new one is null. One that was read is a view into the text, of which nothing is copied before it is asked for. */
export class Value {
  kind: Kind = Kind.Null;
  bool: bool = false;
  /** Where this is a view: what of. */
  private tape: Tape | null = null;
  private at: i32 = 0;
  private ownText: string | null = null;
  private ownItems: Value[] | null = null;
  private ownNames: string[] | null = null;

  /** The value at a place of a tape. */
  static view(tape: Tape, at: i32): Value {
    const v = new Value();
    v.kind = tape.kind(at);
    v.bool = tape.isTrue(at);
    v.tape = tape;
    v.at = at;
    return v;
  }

  /** This as a view, after writing and reading it where it is none or may have been changed. */
  backed(): Value {
    if (this.tape !== null && this.ownText === null && this.ownItems === null) return this;
    const w = new Writer();
    w.raw(this);
    return new Parser(w.toString()).parse();
  }

  /** Of a view. */
  @inline
  source(): Tape {
    return this.tape!;
  }

  /** Of a view: its place. */
  @inline
  place(): i32 {
    return this.at;
  }

  /** Of a text; of a number, as it was written. */
  get text(): string {
    const own = this.ownText;
    if (own !== null) return own;
    const tape = this.tape;
    const text = tape !== null && (this.kind == Kind.Text || this.kind == Kind.Number) ? tape.text(this.at) : "";
    this.ownText = text;
    return text;
  }

  set text(text: string) {
    this.ownText = text;
  }

  /** Of a list; of an object, beside names. */
  get items(): Value[] {
    if (this.ownItems === null) this.unfold();
    return this.ownItems!;
  }

  set items(items: Value[]) {
    this.ownItems = items;
  }

  /** Of an object, in the order in which they were written. Of several with one name the last counts. */
  get names(): string[] {
    if (this.ownNames === null) this.unfold();
    return this.ownNames!;
  }

  set names(names: string[]) {
    this.ownNames = names;
  }

  // Makes a view's items and names.
  private unfold(): void {
    const tape = this.tape;
    if (this.ownItems === null) this.ownItems = NO_VALUES;
    if (this.ownNames === null) this.ownNames = NO_NAMES;
    if (tape === null || (this.kind != Kind.List && this.kind != Kind.Object)) return;
    const items: Value[] = [];
    const names: string[] = [];
    const end = tape.next(this.at);
    for (let i = tape.first(this.at); i < end; i = tape.next(i)) {
      if (this.kind == Kind.Object) {
        names.push(tape.text(i));
        i = tape.next(i);
      }
      items.push(Value.view(tape, i));
    }
    this.ownItems = items;
    this.ownNames = names;
  }

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
    const tape = this.tape;
    if (tape === null || this.ownItems !== null) {
      for (let i = this.names.length - 1; i >= 0; i--) {
        if (this.names[i] == name) return this.items[i];
      }
    } else if (this.kind == Kind.Object) {
      let found = 0;
      for (let v = tape.find(this.at, name, 0); v; v = tape.find(this.at, name, v)) found = v;
      if (found) return Value.view(tape, found);
    }
    return new Value();
  }

  /** Tells whether this is a number without fraction and exponent that an i64 holds. */
  isInt(): bool {
    return this.kind == Kind.Number && isInteger(changetype<usize>(this.text), this.text.length);
  }

  /** The number, 0 when isInt says no. */
  asInt(): i64 {
    return this.isInt() ? integerOf(changetype<usize>(this.text), this.text.length) : 0;
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
