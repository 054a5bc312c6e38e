// Reading JSON into typed classes. An absent field, and one that is null, has its zero value; a field that nobody reads is ignored; a value of another
// type is a fault that names the field.

import { decodeBase64 } from "./base64";
import { Parser } from "./parse";
import { Kind, Value } from "./value";
import { Shape } from "./shape";

// What was wrong first; "" while all is well. The language has no exceptions.
let fault: string = "";

/** Reads text into out, which is new. It returns what is wrong with it, "" for nothing. */
export function decode(out: Shape, text: string): string {
  const parser = new Parser(text);
  const v = parser.parse();
  return parser.fault.length ? parser.fault : decodeValue(out, v);
}

/** Reads a value into out, which is new. It returns what is wrong with it, "" for nothing. */
export function decodeValue(out: Shape, v: Value): string {
  fault = "";
  if (!v.isNull()) into(out, v, "");
  const found = fault;
  fault = "";
  return found.startsWith(".") ? found.substring(1) : found;
}

function into(out: Shape, v: Value, place: string): void {
  const before = fault.length;
  if (v.kind != Kind.Object) wrong(v, "an object");
  else out.read(v);
  prefix(before, place);
}

// Puts the place before a fault that came since there were none.
function prefix(before: i32, place: string): void {
  if (!before && fault.length) fault = place + (fault.startsWith(".") || fault.startsWith("[") ? fault : ": " + fault);
}

function wrong(v: Value, wanted: string): void {
  if (!fault.length) fault = v.about() + ", where " + wanted + " should be";
}

function int(v: Value): i64 {
  if (v.isNull()) return 0;
  if (!v.isInt()) wrong(v, "an integer");
  return v.asInt();
}

function float(v: Value): f64 {
  if (v.isNull()) return 0;
  const n = v.asFloat();
  if (v.kind != Kind.Number) wrong(v, "a number");
  else if (!isFinite(n)) wrong(v, "a number within bounds");
  return n;
}

function text(v: Value): string {
  if (!v.isNull() && v.kind != Kind.Text) wrong(v, "a string");
  return v.text;
}

function list(v: Value): Value[] {
  if (!v.isNull() && v.kind != Kind.List) wrong(v, "a list");
  return v.items;
}

function texts(v: Value): string[] {
  const items = list(v);
  const out: string[] = [];
  for (let i = 0; i < items.length; i++) {
    const before = fault.length;
    out.push(text(items[i]));
    prefix(before, "[" + i.toString() + "]");
  }
  return out;
}

export function readInt(o: Value, name: string, absent: i64 = 0): i64 {
  let out = absent;
  for (let i = 0; i < o.names.length; i++) {
    if (o.names[i] != name) continue;
    const before = fault.length;
    out = o.items[i].isNull() ? absent : int(o.items[i]);
    prefix(before, "." + name);
  }
  return out;
}

export function readFloat(o: Value, name: string, absent: f64 = 0): f64 {
  let out = absent;
  for (let i = 0; i < o.names.length; i++) {
    if (o.names[i] != name) continue;
    const before = fault.length;
    out = o.items[i].isNull() ? absent : float(o.items[i]);
    prefix(before, "." + name);
  }
  return out;
}

export function readText(o: Value, name: string): string {
  const out = readOptionalText(o, name);
  return out === null ? "" : out;
}

export function readOptionalText(o: Value, name: string): string | null {
  let out: string | null = null;
  for (let i = 0; i < o.names.length; i++) {
    if (o.names[i] != name) continue;
    const before = fault.length;
    out = o.items[i].isNull() ? null : text(o.items[i]);
    prefix(before, "." + name);
  }
  return out;
}

export function readBool(o: Value, name: string): bool {
  let out = false;
  for (let i = 0; i < o.names.length; i++) {
    if (o.names[i] != name) continue;
    const v = o.items[i];
    const before = fault.length;
    if (!v.isNull() && v.kind != Kind.Bool) wrong(v, "true or false");
    out = v.bool;
    prefix(before, "." + name);
  }
  return out;
}

/** Bytes, which JSON holds in base64. */
export function readBytes(o: Value, name: string): Uint8Array {
  let out = new Uint8Array(0);
  for (let i = 0; i < o.names.length; i++) {
    if (o.names[i] != name) continue;
    const before = fault.length;
    const bytes = decodeBase64(text(o.items[i]));
    if (bytes !== null) out = bytes;
    else wrong(o.items[i], "base64");
    prefix(before, "." + name);
  }
  return out;
}

export function readTexts(o: Value, name: string): string[] {
  let out: string[] = [];
  for (let i = 0; i < o.names.length; i++) {
    if (o.names[i] != name) continue;
    const before = fault.length;
    out = texts(o.items[i]);
    prefix(before, "." + name);
  }
  return out;
}

export function readInts(o: Value, name: string): i64[] {
  let out: i64[] = [];
  for (let i = 0; i < o.names.length; i++) {
    if (o.names[i] != name) continue;
    const before = fault.length;
    const items = list(o.items[i]);
    out = [];
    for (let j = 0; j < items.length; j++) out.push(int(items[j]));
    prefix(before, "." + name);
  }
  return out;
}

export function readFloats(o: Value, name: string): f64[] {
  let out: f64[] = [];
  for (let i = 0; i < o.names.length; i++) {
    if (o.names[i] != name) continue;
    const before = fault.length;
    const items = list(o.items[i]);
    out = [];
    for (let j = 0; j < items.length; j++) out.push(float(items[j]));
    prefix(before, "." + name);
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
  for (let i = 0; i < o.names.length; i++) {
    if (o.names[i] != name) continue;
    out = null;
    if (o.items[i].isNull()) continue;
    const one = instantiate<T>();
    into(one, o.items[i], "." + name);
    out = one;
  }
  return out;
}

export function readShapes<T extends Shape>(o: Value, name: string): T[] {
  let out: T[] = [];
  for (let i = 0; i < o.names.length; i++) {
    if (o.names[i] != name) continue;
    const before = fault.length;
    const items = list(o.items[i]);
    out = [];
    for (let j = 0; j < items.length; j++) {
      const one = instantiate<T>();
      if (!items[j].isNull()) into(one, items[j], "[" + j.toString() + "]");
      out.push(one);
    }
    prefix(before, "." + name);
  }
  return out;
}

// The last member of that name that is an object; all must be objects or null.
function members(o: Value, name: string): Value {
  let out = new Value();
  for (let i = 0; i < o.names.length; i++) {
    if (o.names[i] != name) continue;
    const before = fault.length;
    out = o.items[i];
    if (!out.isNull() && out.kind != Kind.Object) wrong(out, "an object");
    prefix(before, "." + name);
  }
  return out;
}

export function readTextMap(o: Value, name: string): Map<string, string> {
  const out = new Map<string, string>();
  const all = members(o, name);
  for (let i = 0; i < all.names.length; i++) {
    const before = fault.length;
    out.set(all.names[i], text(all.items[i]));
    prefix(before, "." + name + "." + all.names[i]);
  }
  return out;
}

export function readFloatMap(o: Value, name: string): Map<string, f64> {
  const out = new Map<string, f64>();
  const all = members(o, name);
  for (let i = 0; i < all.names.length; i++) {
    const before = fault.length;
    out.set(all.names[i], float(all.items[i]));
    prefix(before, "." + name + "." + all.names[i]);
  }
  return out;
}

export function readTextsMap(o: Value, name: string): Map<string, string[]> {
  const out = new Map<string, string[]>();
  const all = members(o, name);
  for (let i = 0; i < all.names.length; i++) {
    const before = fault.length;
    out.set(all.names[i], texts(all.items[i]));
    prefix(before, "." + name + "." + all.names[i]);
  }
  return out;
}
