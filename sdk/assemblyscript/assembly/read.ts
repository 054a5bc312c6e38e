// Reading JSON into typed classes. An absent field, and one that is null, has its zero value; a field that nobody reads is ignored; a value of another
// type is a fault that names the field.

import { decodeBase64 } from "./base64";
import { integerOf, isInteger, parseFloat64, shortFloat } from "./number";
import { Parser, Tape } from "./parse";
import { Kind, Value } from "./value";
import { ABSENT, Shape } from "./shape";

// What was wrong first; "" while all is well. The language has no exceptions.
let fault: string = "";

/** Reads text into out, which is new. It returns what is wrong with it, "" for nothing. */
export function decode(out: Shape, text: string): string {
  const parser = new Parser(text);
  const v = parser.parse();
  return parser.fault.length ? parser.fault : decodeValue(out, v);
}

/** The value of a JSON text that stands in the source; it aborts when the text is no JSON. */
export function parseConstant(text: string): Value {
  const parser = new Parser(text);
  const v = parser.parse();
  assert(!parser.fault.length, parser.fault);
  return v;
}

/** Reads a value into out, which is new. It returns what is wrong with it, "" for nothing. */
export function decodeValue(out: Shape, v: Value): string {
  fault = "";
  if (!v.isNull()) into(out, v.backed(), "");
  const found = fault;
  fault = "";
  return found.startsWith(".") ? found.substring(1) : found;
}

function into(out: Shape, v: Value, place: string): void {
  const before = fault.length;
  if (v.kind != Kind.Object) wrong(v.source(), v.place(), "an object");
  else out.read(v);
  prefix(before, place);
}

// Puts the place before a fault that came since there were none.
function prefix(before: i32, place: string): void {
  if (!before && fault.length) fault = place + (fault.startsWith(".") || fault.startsWith("[") ? fault : ": " + fault);
}

function prefixName(before: i32, name: string): void {
  if (!before && fault.length) prefix(before, "." + name);
}

function prefixIndex(before: i32, i: i32): void {
  if (!before && fault.length) prefix(before, "[" + i.toString() + "]");
}

function wrong(t: Tape, v: i32, wanted: string): void {
  if (!fault.length) fault = Value.view(t, v).about() + ", where " + wanted + " should be";
}

function int(t: Tape, v: i32): i64 {
  if (t.isWhole(v) && isInteger(t.start(v), t.length(v))) return integerOf(t.start(v), t.length(v));
  if (!t.isNull(v)) wrong(t, v, "an integer");
  return 0;
}

function float(t: Tape, v: i32): f64 {
  if (t.isNull(v)) return 0;
  if (t.kind(v) != Kind.Number) {
    wrong(t, v, "a number");
    return NaN;
  }
  let n = shortFloat(t.start(v), t.length(v));
  if (isNaN(n)) n = parseFloat64(t.text(v));
  if (!isFinite(n)) wrong(t, v, "a number within bounds");
  return n;
}

function text(t: Tape, v: i32): string {
  if (t.kind(v) == Kind.Text) return t.text(v);
  if (!t.isNull(v)) wrong(t, v, "a string");
  return "";
}

// The end of a list; where there is none, its place, so that nothing is in it.
function endOf(t: Tape, v: i32): i32 {
  if (t.kind(v) == Kind.List) return t.next(v);
  if (!t.isNull(v)) wrong(t, v, "a list");
  return v;
}

function texts(t: Tape, v: i32): string[] {
  const out: string[] = [];
  const end = endOf(t, v);
  for (let i = t.first(v); i < end; i = t.next(i)) {
    const before = fault.length;
    out.push(text(t, i));
    prefixIndex(before, out.length - 1);
  }
  return out;
}

// A value whose members can be found. Only what an author built by hand, or changed, has to be made one.
function members(o: Value): Value {
  return o.backed();
}

// The next member of that name after the value v, 0 for the first; 0 for none.
function find(o: Value, name: string, v: i32): i32 {
  return o.kind == Kind.Object ? o.source().find(o.place(), name, v) : 0;
}

export function readInt(o: Value, name: string, absent: i64 = 0): i64 {
  let out = absent;
  o = members(o);
  for (let v = find(o, name, 0); v; v = find(o, name, v)) {
    const before = fault.length;
    out = o.source().isNull(v) ? absent : int(o.source(), v);
    prefixName(before, name);
  }
  return out;
}

export function readFloat(o: Value, name: string, absent: f64 = 0): f64 {
  let out = absent;
  o = members(o);
  for (let v = find(o, name, 0); v; v = find(o, name, v)) {
    const before = fault.length;
    out = o.source().isNull(v) ? absent : float(o.source(), v);
    prefixName(before, name);
  }
  return out;
}

export function readText(o: Value, name: string): string {
  const out = readOptionalText(o, name);
  return out === null ? "" : out;
}

export function readOptionalText(o: Value, name: string): string | null {
  let out: string | null = null;
  o = members(o);
  for (let v = find(o, name, 0); v; v = find(o, name, v)) {
    const before = fault.length;
    out = o.source().isNull(v) ? null : text(o.source(), v);
    prefixName(before, name);
  }
  return out;
}

export function readBool(o: Value, name: string): bool {
  let out = false;
  o = members(o);
  for (let v = find(o, name, 0); v; v = find(o, name, v)) {
    const t = o.source();
    const before = fault.length;
    if (!t.isNull(v) && t.kind(v) != Kind.Bool) wrong(t, v, "true or false");
    out = t.isTrue(v);
    prefixName(before, name);
  }
  return out;
}

/** 1 or 0, and ABSENT where there is none. */
export function readOptionalBool(o: Value, name: string): i64 {
  const on: i64 = readBool(o, name) ? 1 : 0;
  let out = ABSENT;
  o = members(o);
  for (let v = find(o, name, 0); v; v = find(o, name, v)) {
    out = o.source().isNull(v) ? ABSENT : on;
  }
  return out;
}

/** Bytes, which JSON holds in base64. */
export function readBytes(o: Value, name: string): Uint8Array {
  let out = new Uint8Array(0);
  o = members(o);
  for (let v = find(o, name, 0); v; v = find(o, name, v)) {
    const before = fault.length;
    const bytes = decodeBase64(text(o.source(), v));
    if (bytes !== null) out = bytes;
    else wrong(o.source(), v, "base64");
    prefixName(before, name);
  }
  return out;
}

export function readTexts(o: Value, name: string): string[] {
  let out: string[] = [];
  o = members(o);
  for (let v = find(o, name, 0); v; v = find(o, name, v)) {
    const before = fault.length;
    out = texts(o.source(), v);
    prefixName(before, name);
  }
  return out;
}

export function readInts(o: Value, name: string): i64[] {
  let out: i64[] = [];
  o = members(o);
  for (let v = find(o, name, 0); v; v = find(o, name, v)) {
    const before = fault.length;
    const t = o.source();
    const end = endOf(t, v);
    out = [];
    for (let i = t.first(v); i < end; i = t.next(i)) out.push(int(t, i));
    prefixName(before, name);
  }
  return out;
}

export function readFloats(o: Value, name: string): f64[] {
  let out: f64[] = [];
  o = members(o);
  for (let v = find(o, name, 0); v; v = find(o, name, v)) {
    const before = fault.length;
    const t = o.source();
    const end = endOf(t, v);
    out = [];
    for (let i = t.first(v); i < end; i = t.next(i)) out.push(float(t, i));
    prefixName(before, name);
  }
  return out;
}

/** A field of any type. */
export function readValue(o: Value, name: string): Value {
  return o.get(name);
}

export function readShape<T extends Shape>(o: Value, name: string): T {
  const out = readOptionalShape<T>(o, name);
  return out === null ? instantiate<T>() : out;
}

export function readOptionalShape<T extends Shape>(o: Value, name: string): T | null {
  let out: T | null = null;
  o = members(o);
  for (let v = find(o, name, 0); v; v = find(o, name, v)) {
    out = null;
    if (o.source().isNull(v)) continue;
    const one = instantiate<T>();
    into(one, Value.view(o.source(), v), "." + name);
    out = one;
  }
  return out;
}

export function readShapes<T extends Shape>(o: Value, name: string): T[] {
  let out: T[] = [];
  o = members(o);
  for (let v = find(o, name, 0); v; v = find(o, name, v)) {
    const before = fault.length;
    const t = o.source();
    const end = endOf(t, v);
    out = [];
    for (let i = t.first(v); i < end; i = t.next(i)) {
      const inner = fault.length;
      const one = instantiate<T>();
      if (!t.isNull(i)) into(one, Value.view(t, i), "");
      prefixIndex(inner, out.length);
      out.push(one);
    }
    prefixName(before, name);
  }
  return out;
}

// The last member of that name; all must be objects or null.
function inner(o: Value, name: string): Value {
  let out = new Value();
  o = members(o);
  for (let v = find(o, name, 0); v; v = find(o, name, v)) {
    const t = o.source();
    const before = fault.length;
    if (!t.isNull(v) && t.kind(v) != Kind.Object) wrong(t, v, "an object");
    out = Value.view(t, v);
    prefixName(before, name);
  }
  return out;
}

export function readTextMap(o: Value, name: string): Map<string, string> {
  const out = new Map<string, string>();
  const all = inner(o, name);
  if (all.kind != Kind.Object) return out;
  const t = all.source();
  const end = t.next(all.place());
  for (let i = t.first(all.place()); i < end; i = t.next(t.next(i))) {
    const before = fault.length;
    const key = t.text(i);
    out.set(key, text(t, t.next(i)));
    prefixName(before, name + "." + key);
  }
  return out;
}

export function readFloatMap(o: Value, name: string): Map<string, f64> {
  const out = new Map<string, f64>();
  const all = inner(o, name);
  if (all.kind != Kind.Object) return out;
  const t = all.source();
  const end = t.next(all.place());
  for (let i = t.first(all.place()); i < end; i = t.next(t.next(i))) {
    const before = fault.length;
    const key = t.text(i);
    out.set(key, float(t, t.next(i)));
    prefixName(before, name + "." + key);
  }
  return out;
}

export function readTextsMap(o: Value, name: string): Map<string, string[]> {
  const out = new Map<string, string[]>();
  const all = inner(o, name);
  if (all.kind != Kind.Object) return out;
  const t = all.source();
  const end = t.next(all.place());
  for (let i = t.first(all.place()); i < end; i = t.next(t.next(i))) {
    const before = fault.length;
    const key = t.text(i);
    out.set(key, texts(t, t.next(i)));
    prefixName(before, name + "." + key);
  }
  return out;
}
