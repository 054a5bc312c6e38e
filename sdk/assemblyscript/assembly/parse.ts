import { Kind, Value } from "./value";

// How deep lists and objects may nest: a guest's stack is small.
const MAX_DEPTH = 64;

// The cells of a node: its kind with flags, where it begins and ends in the source, and the node behind it and all that is in it.
const NODE = 4;

// Flags of a node. WHOLE is a number without fraction and exponent, ESCAPED a text that does not stand in the source as it is, YES is true.
const KIND = 15;
const WHOLE = 16;
const ESCAPED = 32;
const YES = 64;

/**
 * The values of a JSON text in the order in which they stand there, as places in it: nothing is copied before it is asked for. A node is named by its
 * index. The root is 0; what is in a list follows it, and in an object each name is followed by its value.
 */
export class Tape {
  private cells: StaticArray<i32>;
  private used: i32 = 0;

  constructor(private source: string) {
    this.cells = new StaticArray<i32>(max(64, source.length >> 1));
  }

  add(what: i32, start: i32, end: i32): i32 {
    const at = this.used;
    if (at + NODE > this.cells.length) {
      const more = new StaticArray<i32>(2 * this.cells.length);
      memory.copy(changetype<usize>(more), changetype<usize>(this.cells), <usize>at << 2);
      this.cells = more;
    }
    this.used = at + NODE;
    unchecked((this.cells[at] = what));
    unchecked((this.cells[at + 1] = start));
    unchecked((this.cells[at + 2] = end));
    unchecked((this.cells[at + 3] = at + NODE));
    return at;
  }

  /** Ends a list or object with what was added last. */
  close(at: i32): void {
    unchecked((this.cells[at + 3] = this.used));
  }

  @inline
  kind(at: i32): Kind {
    return <Kind>(unchecked(this.cells[at]) & KIND);
  }

  @inline
  isNull(at: i32): bool {
    return this.kind(at) == Kind.Null;
  }

  @inline
  isTrue(at: i32): bool {
    return (unchecked(this.cells[at]) & YES) != 0;
  }

  @inline
  isWhole(at: i32): bool {
    return (unchecked(this.cells[at]) & WHOLE) != 0;
  }

  @inline
  next(at: i32): i32 {
    return unchecked(this.cells[at + 3]);
  }

  /** The first node in a list or object; it is next(at) where there is none. */
  first(at: i32): i32 {
    return at + NODE;
  }

  /** Where the node begins in memory, and how many code units it has; for numbers and texts. */
  start(at: i32): usize {
    return changetype<usize>(this.source) + (<usize>unchecked(this.cells[at + 1]) << 1);
  }

  @inline
  length(at: i32): i32 {
    return unchecked(this.cells[at + 2]) - unchecked(this.cells[at + 1]);
  }

  /** The value of an object's next member of that name behind the value after, which is 0 at first; 0 when there is none. */
  find(object: i32, name: string, after: i32): i32 {
    const end = this.next(object);
    for (let at = after ? this.next(after) : object + NODE; at < end; at = this.next(at + NODE)) {
      if (this.is(at, name)) return at + NODE;
    }
    return 0;
  }

  /** Tells whether a text is that one. */
  is(at: i32, text: string): bool {
    if (unchecked(this.cells[at]) & ESCAPED) return this.text(at) == text;
    const n = this.length(at);
    if (n != text.length) return false;
    const a = this.start(at);
    const b = changetype<usize>(text);
    for (let i: usize = 0; i < <usize>n << 1; i += 2) {
      if (load<u16>(a + i) != load<u16>(b + i)) return false;
    }
    return true;
  }

  /** A text, or a number as it was written. Half of a surrogate pair in an escape becomes U+FFFD. */
  text(at: i32): string {
    const start = unchecked(this.cells[at + 1]);
    const end = unchecked(this.cells[at + 2]);
    if (!(unchecked(this.cells[at]) & ESCAPED)) return this.source.substring(start, end);
    const out = new StaticArray<u16>(end - start);
    const base = changetype<usize>(this.source);
    let n = 0;
    for (let i = start; i < end; i++) {
      let c: u16 = load<u16>(base + (<usize>i << 1));
      if (c == 0x5c) {
        c = load<u16>(base + (<usize>++i << 1));
        if (c == 0x75) {
          c = hex4(base, i + 1);
          i += 4;
          if ((c & 0xf800) == 0xd800) {
            const low = (c & 0x0400) == 0 && i + 6 < end && load<u16>(base + (<usize>(i + 1) << 1)) == 0x5c && load<u16>(base + (<usize>(i + 2) << 1)) == 0x75;
            const second: u16 = low ? hex4(base, i + 3) : 0;
            if ((second & 0xfc00) == 0xdc00) {
              unchecked((out[n++] = c));
              c = second;
              i += 6;
            } else c = 0xfffd;
          }
        } else c = plain(c);
      }
      unchecked((out[n++] = c));
    }
    return String.UTF16.decodeUnsafe(changetype<usize>(out), <usize>n << 1);
  }
}

// What an escaped character stands for.
function plain(c: u16): u16 {
  switch (c) {
    case 0x62: return 0x08;
    case 0x66: return 0x0c;
    case 0x6e: return 0x0a;
    case 0x72: return 0x0d;
    case 0x74: return 0x09;
  }
  return c;
}

// Four hexadecimal digits, which were checked.
function hex4(base: usize, at: i32): u16 {
  let n: u32 = 0;
  for (let i = at; i < at + 4; i++) n = (n << 4) | digit(load<u16>(base + (<usize>i << 1)));
  return <u16>n;
}

// The value of a hexadecimal digit; more than 15 of what is none.
function digit(c: u32): u32 {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const small = c | 0x20;
  return small >= 0x61 && small <= 0x66 ? small - 0x57 : 255;
}

/**
 * Reads one JSON value and nothing else around it but white space. fault says what was found where; the value is then null.
 *
 * A \u escape that is half of a surrogate pair becomes U+FFFD.
 */
export class Parser {
  fault: string = "";
  private at: i32 = 0;
  private end: i32;
  private base: usize;
  private tape: Tape;

  constructor(private source: string) {
    this.end = source.length;
    this.base = changetype<usize>(source);
    this.tape = new Tape(source);
  }

  parse(): Value {
    this.space();
    this.value(0);
    this.space();
    if (this.at < this.end) this.unexpected("the end");
    return this.fault.length ? new Value() : Value.view(this.tape, 0);
  }

  // The next code unit, -1 at the end and after a fault.
  @inline
  private peek(): i32 {
    return this.at < this.end ? <i32>load<u16>(this.base + (<usize>this.at << 1)) : -1;
  }

  private space(): void {
    for (let c = this.peek(); c == 0x20 || c == 0x0a || c == 0x09 || c == 0x0d; c = this.peek()) this.at++;
  }

  // Notes what is wrong, and makes this the end.
  private unexpected(wanted: string): void {
    if (this.fault.length) return;
    const found = this.at < this.end ? "'" + this.source.charAt(this.at) + "'" : "the end";
    this.fault = "no JSON: " + found + " at character " + this.at.toString() + ", where " + wanted + " should be";
    this.end = 0;
  }

  private value(depth: i32): void {
    const c = this.peek();
    if (c == 0x22) this.string();
    else if (c == 0x2d || (c >= 0x30 && c <= 0x39)) this.number();
    else if (c == 0x7b) this.object(depth);
    else if (c == 0x5b) this.list(depth);
    else if (c == 0x74) this.word("true", Kind.Bool | YES);
    else if (c == 0x66) this.word("false", Kind.Bool);
    else if (c == 0x6e) this.word("null", Kind.Null);
    else this.unexpected("a value");
  }

  private word(word: string, what: i32): void {
    if (this.source.substr(this.at, word.length) != word) this.unexpected("a value");
    this.tape.add(what, this.at, this.at + word.length);
    this.at += word.length;
  }

  // Goes into a list or object; tells whether there is anything in it.
  private open(depth: i32, end: i32): bool {
    if (depth >= MAX_DEPTH) {
      this.fault = "JSON nests deeper than " + MAX_DEPTH.toString() + " at character " + this.at.toString();
      this.end = 0;
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
    if (c != 0x2c) return false;
    this.space();
    return true;
  }

  private list(depth: i32): void {
    const node = this.tape.add(Kind.List, this.at, this.at);
    let more = this.open(depth, 0x5d);
    while (more) {
      this.value(depth + 1);
      more = this.next(0x5d);
    }
    this.tape.close(node);
  }

  private object(depth: i32): void {
    const node = this.tape.add(Kind.Object, this.at, this.at);
    let more = this.open(depth, 0x7d);
    while (more) {
      if (this.peek() == 0x22) this.string();
      else this.unexpected("a name");
      this.space();
      if (this.peek() != 0x3a) this.unexpected("a colon");
      this.at++;
      this.space();
      this.value(depth + 1);
      more = this.next(0x7d);
    }
    this.tape.close(node);
  }

  private digits(): void {
    const start = this.at;
    for (let c = this.peek(); c >= 0x30 && c <= 0x39; c = this.peek()) this.at++;
    if (this.at == start) this.unexpected("a digit");
  }

  private number(): void {
    const start = this.at;
    let what = Kind.Number | WHOLE;
    if (this.peek() == 0x2d) this.at++;
    if (this.peek() == 0x30) this.at++;
    else this.digits();
    if (this.peek() == 0x2e) {
      what = Kind.Number;
      this.at++;
      this.digits();
    }
    let c = this.peek();
    if (c == 0x65 || c == 0x45) {
      what = Kind.Number;
      this.at++;
      c = this.peek();
      if (c == 0x2b || c == 0x2d) this.at++;
      this.digits();
    }
    this.tape.add(what, start, this.at);
  }

  private string(): void {
    const start = this.at + 1;
    let what: i32 = Kind.Text;
    let at = start;
    for (; at < this.end; at++) {
      const c = load<u16>(this.base + (<usize>at << 1));
      if (c == 0x22) {
        this.tape.add(what, start, at);
        this.at = at + 1;
        return;
      }
      if (c < 0x20) break;
      if (c == 0x5c) {
        what = Kind.Text | ESCAPED;
        this.at = at + 1;
        at += this.escape();
      }
    }
    this.at = at;
    this.unexpected("the end of a string");
  }

  // Checks what follows a backslash and returns its length.
  private escape(): i32 {
    const c = this.peek();
    if (c == 0x75) {
      for (let i = 0; i < 4; i++) {
        this.at++;
        const d = this.peek();
        if (d < 0 || digit(d) > 15) this.unexpected("a hexadecimal digit");
      }
      return 5;
    }
    const known = c == 0x22 || c == 0x5c || c == 0x2f || c == 0x62 || c == 0x66 || c == 0x6e || c == 0x72 || c == 0x74;
    if (!known) this.unexpected("an escaped character");
    return 1;
  }
}
